"""Bars of layer transfers in a terminal, lines of text above them."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn


class Bars:
    """On standard error, until `stop`; then the bars are gone and the lines stay."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._tasks: dict[str, TaskID] = {}
        self._progress.start()

    def say(self, line: str) -> None:
        self._progress.console.print(line, markup=False, soft_wrap=True)

    def show(self, layer: str, status: str, done: int, total: int) -> None:
        """`done` and `total` in bytes."""
        if layer not in self._tasks:
            self._tasks[layer] = self._progress.add_task("", total=total)
        self._progress.update(
            self._tasks[layer], description=f"{layer}: {status}", completed=done, total=total
        )

    def done(self, layer: str) -> None:
        """Its bar goes: only what is on its way is shown."""
        task = self._tasks.pop(layer, None)
        if task is not None:
            self._progress.remove_task(task)

    def stop(self) -> None:
        self._progress.stop()
