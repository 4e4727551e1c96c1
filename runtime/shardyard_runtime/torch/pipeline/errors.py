"""Errors that cross ranks."""

from __future__ import annotations

import pickle
import traceback


class PeerFailed(RuntimeError):
    """The step was abandoned because another rank failed; that rank's own error is the root cause."""

    shardyard_follow_up = True


class RemoteTraceback(Exception):
    """The traceback of an error on the rank where it happened, shown as the cause of the one raised here."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f"\n{self.text}"


def portable(error: BaseException) -> BaseException | None:
    """The error, when it survives pickling, without its traceback and tensors."""
    try:
        return pickle.loads(pickle.dumps(error))  # type: ignore[no-any-return]
    except Exception:  # any class may refuse in any way; the text of the traceback travels instead
        return None


def formatted(error: BaseException) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def arrived(error: BaseException | None, summary: str, text: str) -> BaseException:
    """The exception to raise at the caller's line for an error on another rank."""
    raised = error if error is not None else RuntimeError(summary)
    raised.__cause__ = RemoteTraceback(text)
    raised.__dict__["shardyard_follow_up"] = True
    return raised
