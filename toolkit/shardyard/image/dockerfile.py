"""The part of Dockerfile syntax that needs no shell: instructions, quotes, variables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shardyard.errors import ProjectError

_VARIABLE = re.compile(r"\$(?:(?P<plain>\w+)|\{(?P<name>\w+)(?::(?P<sign>[-+])(?P<word>[^}]*))?\})")


@dataclass(frozen=True)
class Instruction:
    """One instruction; `text` is what follows its name, continued lines joined by a space."""

    name: str
    text: str

    def __str__(self) -> str:
        return f"{self.name} {self.text}"


def parse(dockerfile: str) -> Iterator[Instruction]:
    held = ""
    for line in dockerfile.splitlines():
        stripped = line.strip()
        if stripped.startswith("#") or not stripped:
            continue
        if stripped.endswith("\\"):
            held += stripped[:-1].rstrip() + " "
            continue
        name, _, text = (held + stripped).partition(" ")
        held = ""
        yield Instruction(name.upper(), text.strip())
    if held:
        raise ProjectError(f"the Dockerfile ends in the middle of {held.strip()!r}")


def stands_on(dockerfile: str, base: str) -> bool:
    """Whether the last stage, which the image is made of, begins with this base; a template of the user's may choose
    another."""
    stages = [step.text for step in parse(dockerfile) if step.name == "FROM"]
    return bool(stages) and stages[-1].split()[0] == base


def quoted(value: str) -> str:
    """A value of an ENV line: in quotes, nothing in it expanded."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$") + '"'


def words(text: str, env: Mapping[str, str]) -> list[str]:
    """Split at spaces outside of quotes; quotes and backslashes resolved, variables expanded."""
    found: list[str] = []
    current, quote, at, open_word = "", "", 0, False
    while at < len(text):
        letter = text[at]
        if letter == "\\" and quote != "'" and at + 1 < len(text):
            kept = "\\" if quote and text[at + 1] not in '"$\\' else ""
            current, at, open_word = current + kept + text[at + 1], at + 2, True
        elif letter == quote or (not quote and letter in "\"'"):
            quote, at, open_word = ("" if quote else letter), at + 1, True
        elif letter == "$" and quote != "'" and (variable := _VARIABLE.match(text, at)):
            current, at, open_word = current + _value(variable, env), variable.end(), True
        elif letter.isspace() and not quote:
            found += [current] if open_word else []
            current, at, open_word = "", at + 1, False
        else:
            current, at, open_word = current + letter, at + 1, True
    if quote:
        raise ProjectError(f"the Dockerfile has a quote without an end: {text!r}")
    return found + ([current] if open_word else [])


def _value(variable: re.Match[str], env: Mapping[str, str]) -> str:
    value = env.get(variable["plain"] or variable["name"], "")
    if variable["sign"] == "-":
        return value or expanded(variable["word"], env)
    if variable["sign"] == "+":
        return expanded(variable["word"], env) if value else ""
    return value


def expanded(text: str, env: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda one: _value(one, env), text)


def pairs(text: str, env: Mapping[str, str]) -> dict[str, str]:
    """`NAME=value ...` of ENV and LABEL."""
    found = {}
    for word in words(text, env):
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ProjectError(f"{text!r} is not of the form NAME=value")
        found[name] = value
    return found


def command(text: str) -> list[str]:
    """ENTRYPOINT and CMD: a JSON list, or a line for the shell."""
    try:
        listed = json.loads(text)
        if isinstance(listed, list) and all(isinstance(one, str) for one in listed):
            return listed
    except ValueError:
        pass
    return ["/bin/sh", "-c", text]
