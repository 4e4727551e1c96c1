"""What the launcher refuses, said so that the reader knows what to do next."""

from __future__ import annotations


class LaunchError(Exception):
    """The job cannot start. The message says what is wrong, why, and what to do."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code
