"""A page of docs/commands/ for every command, made from its definition.

python scripts/command_pages.py            # writes docs/commands/
python scripts/command_pages.py --check    # exit code 1 and a list of the pages that differ
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, get_args, get_type_hints

import shardyard
from shardyard.cli.main import commands

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "commands"
INDEX = "README.md"
FIRST = "<!-- Made by `make docs` from the command's definition: edit that, not this page. -->\n"
COMMON = """
Every command takes `--help`. With `--json` standard output is one JSON document and nothing else. Progress, warnings and
logs go to standard error. Exit codes: 0 done, 1 the job or build failed, 2 the project or the command line is wrong, 3
something is missing on this machine, 4 the other side refused.
"""


@dataclass(frozen=True)
class Word:
    """An option or argument of a command, as its function declares it."""

    names: tuple[str, ...]
    value: str
    default: Any
    help: str

    @property
    def is_argument(self) -> bool:
        return not self.names[0].startswith("-")

    def row(self) -> str:
        shown = [f"`{one} {self.value}`".replace(" `", "`") for one in reversed(self.names)]
        given = "" if self.default in (None, False, inspect.Parameter.empty) else f"`{self.default}`"
        return f"| {', '.join(map(cell, shown))} | {given} | {cell(self.help)} |"


def pages() -> dict[str, str]:
    """The text of every page by its file's name."""
    registered = [(one.name, one.callback) for one in commands().registered_commands if one.callback]
    functions = {name or one.__name__.replace("_", "-"): one for name, one in registered}
    return {INDEX: index(functions), **{f"{name}.md": page(name, one) for name, one in functions.items()}}


def index(functions: dict[str, Callable[..., Any]]) -> str:
    rows = [f"| [{name}]({name}.md) | {cell(inspect.getdoc(one))} |" for name, one in functions.items()]
    return "\n".join([FIRST, "# The commands\n", "| command | does |", "|---|---|", *rows, COMMON])


def page(name: str, function: Callable[..., Any]) -> str:
    found = sorted(words(function), key=lambda one: not one.is_argument)
    line = " ".join(
        [f"shardyard {name}", "[OPTIONS]", *(f"[{one.names[0]}]" for one in found if one.is_argument)]
    )
    parts = [FIRST, f"# shardyard {name}\n", inspect.getdoc(function) or "", f"\n```\n{line}\n```\n"]
    parts += ["| option | default | |", "|---|---|---|", *(one.row() for one in found), ""]
    return "\n".join([*parts, *in_python(name)]) + "\n"


def words(function: Callable[..., Any]) -> Iterator[Word]:
    hints = get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, info = get_args(hints[name])[:2]
        if not info.hidden:
            first = (info.default,) if isinstance(info.default, str) else ()
            names = (*first, *(info.param_decls or ())) or (name.upper(),)
            yield Word(names, info.metavar or value(kind, names), parameter.default, info.help or "")


def value(kind: Any, names: Sequence[str]) -> str:
    """What follows an option: nothing for a flag, its choices, or the name of its type."""
    plain = next((one for one in (*get_args(kind), kind) if isinstance(one, type)), str)
    if plain is bool or not names[0].startswith("-"):
        return ""
    if issubclass(plain, Enum):
        return "|".join(one.value for one in plain)
    return {int: "N", float: "NUMBER", Path: "PATH"}.get(plain, "TEXT")


def cell(text: str | None) -> str:
    """A cell of a table: one line, no bar that would end it, nothing that reads as HTML."""
    return " ".join((text or "").split()).replace("|", "\\|").replace("<", "&lt;")


def in_python(name: str) -> Iterable[str]:
    """The public function that the command is a call of."""
    function = getattr(shardyard, name.replace("-", "_"))
    signature = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(function)))
    yield f"## In Python\n\n```python\nshardyard.{function.__name__}{signature}\n```\n"
    yield inspect.getdoc(function) or ""


def differing(made: dict[str, str]) -> list[str]:
    """Names of the pages that are missing, stale, or of no command."""
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.md")}
    return sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    made = pages()
    different = differing(made)
    if parser.parse_args().check:
        print("\n".join(different))
        return int(bool(different))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name in different:
        if name in made:
            (FOLDER / name).write_text(made[name], encoding="utf-8")
        else:
            (FOLDER / name).unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
