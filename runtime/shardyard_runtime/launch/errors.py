"""What the launcher refuses, said so that the reader knows what to do next."""

from __future__ import annotations

import signal


class LaunchError(Exception):
    """The job cannot start. The message says what is wrong, why, and what to do."""

    def __init__(self, message: str, exit_code: int = 2) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class StopRequested(LaunchError):
    """The platform ended the job before the user's program was started."""

    def __init__(self, number: int) -> None:
        name = signal.Signals(number).name
        super().__init__(
            f"{name} reached the launcher while it was preparing the code, so the job was stopped.",
            128 + number,
        )
        self.number = number
