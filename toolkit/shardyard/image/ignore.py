"""``.dockerignore``: which paths stay out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

FILE_NAME = ".dockerignore"
# Never part of the code; a later line of .dockerignore that begins with "!" can bring one back.
ALWAYS = (".git", "**/__pycache__", "**/*.pyc", "**/.DS_Store", ".venv", ".shardyard")


class Ignore:
    """Rules in order; the last one that matches a path, or a folder that it is in, decides."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        for line in lines:
            text = line.strip()
            if not text or text.startswith("#"):
                continue
            keep = text.startswith("!")
            pattern = "/".join(part for part in text.lstrip("!").strip().split("/") if part not in ("", "."))
            if pattern:
                self._rules.append((keep, re.compile(_expression(pattern) + r"(?:/.*)?", re.DOTALL)))

    @classmethod
    def of(cls, folder: Path, more: Iterable[str] = ()) -> Ignore:
        """The rules of this folder's file after those that always hold."""
        file = folder / FILE_NAME
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
        return cls([*ALWAYS, *more, *lines])

    def __call__(self, path: str) -> bool:
        """Whether this relative path, written with slashes, stays out."""
        out = False
        for keep, pattern in self._rules:
            if pattern.fullmatch(path):
                out = not keep
        return out

    @property
    def may_keep(self) -> bool:
        """Whether something inside an ignored folder may be kept."""
        return any(keep for keep, _ in self._rules)


def _expression(pattern: str) -> str:
    """Docker's wildcards as a regular expression: ``*`` and ``?`` stop at a slash, ``**`` does not."""
    result, at = "", 0
    while at < len(pattern):
        if pattern.startswith("**/", at):
            result, at = result + "(?:.*/)?", at + 3
        elif pattern.startswith("**", at):
            result, at = result + ".*", at + 2
        elif pattern[at] == "*":
            result, at = result + "[^/]*", at + 1
        elif pattern[at] == "?":
            result, at = result + "[^/]", at + 1
        elif pattern[at] == "[" and (end := pattern.find("]", at + 2)) > 0:
            inside = pattern[at + 1 : end].replace("\\", r"\\").replace("[", r"\[")
            result, at = f"{result}[{inside}]", end + 1
        elif pattern[at] == "\\" and at + 1 < len(pattern):
            result, at = result + re.escape(pattern[at + 1]), at + 2
        else:
            result, at = result + re.escape(pattern[at]), at + 1
    return result
