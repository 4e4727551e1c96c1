"""Live progress of builds, pulls and pushes on standard error."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from shardyard.engines.base import Event


class ConsoleProgress:
    """A listener of stream events: build output as lines, layer transfers as bars (as lines where there is no
    terminal)."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(stderr=True, highlight=False)
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            console=self.console,
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, str] = {}

    def __enter__(self) -> ConsoleProgress:
        if self.console.is_terminal:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.console.is_terminal:  # elsewhere stop() would print an empty line
            self._bars.stop()

    def __call__(self, event: Event) -> None:
        text = str(event.get("stream") or "")
        for line in text.splitlines():
            if line.strip():
                self._say(line)
        status = event.get("status")
        if status:
            self._transfer(str(event.get("id") or ""), str(status), event.get("progressDetail"))

    def _say(self, line: str) -> None:
        self.console.print(line, markup=False, soft_wrap=True)

    def _transfer(self, layer: str, status: str, detail: object) -> None:
        numbers = detail if isinstance(detail, dict) else {}
        if self.console.is_terminal and layer and numbers.get("total"):
            if layer not in self._tasks:
                self._tasks[layer] = self._bars.add_task(f"{layer}: {status}")
            self._bars.update(
                self._tasks[layer],
                description=f"{layer}: {status}",
                completed=numbers.get("current", 0),
                total=numbers["total"],
            )
        elif self._said.get(layer) != status:
            self._said[layer] = status
            self._say(f"{layer}: {status}" if layer else status)


def silent(event: Event) -> None:
    """A listener that says nothing."""
