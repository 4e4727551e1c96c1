"""``custom_mpi_options``: what mpirun, or the launcher before it, would stumble over."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from shardyard.project.findings import Finding
from shardyard.project.model import Project

WHERE = "distribution.mpi.custom_mpi_options"

# What each takes away from the job; the names without their dashes.
_HOSTS = ("host", "hostfile", "H", "machinefile", "default-hostfile", "add-host", "add-hostfile")
_NEVER = {
    **dict.fromkeys(_HOSTS, "sets hosts, which come from the job's resource configuration"),
    **dict.fromkeys(("h", "help", "V", "version"), "makes mpirun print something and start nothing"),
    "do-not-launch": "makes mpirun start nothing",
}
_SETTINGS = ("mca", "gmca", "omca")
# mpirun of the bases ends where one of these is given again, even with the same value.
_GIVEN_BY_BASE = (
    *("btl_tcp_if_include", "oob_tcp_if_include", "plm_rsh_no_tree_spawn", "pml", "btl"),
    *("orte_abort_on_non_zero_status", "btl_vader_single_copy_mechanism"),
)


@dataclass(frozen=True)
class Option:
    """``key`` is what it sets: a flag's name, or of ``-mca`` and ``-x`` the name that follows."""

    flag: str
    key: str
    text: str


def options(project: Project) -> list[Option]:
    """The options as words; empty where they cannot be split."""
    try:
        words = shlex.split(project.distribution.mpi.custom_mpi_options)
    except ValueError:
        return []
    found = []
    while words:
        word = words.pop(0)
        name, _, value = word.lstrip("-").partition("=")
        taken: list[str] = []
        wanted = 2 if name in _SETTINGS else 1
        while words and (len(taken) < wanted if name in (*_SETTINGS, "x") else words[0][:1] != "-"):
            taken.append(words.pop(0))
        inner = name in (*_SETTINGS, "x") and (taken or value)
        key = (taken[0] if taken else value).partition("=")[0] if inner else name
        found.append(Option(name if word.startswith("-") else "", key, " ".join([word, *taken])))
    return found


def words(project: Project) -> Iterator[Finding]:
    """Text that is no list of options."""
    text = project.distribution.mpi.custom_mpi_options
    try:
        shlex.split(text)
    except ValueError as error:
        message = f"{text!r} cannot be split into words: {error}"
        yield Finding("error", "mpi-words", WHERE, message, "close every quotation mark")
    for one in options(project):
        if not one.flag:
            message = f"{one.text!r} stands where an option should: mpirun would take it for the program"
            yield Finding("error", "mpi-words", WHERE, message, "begin every option with a dash")
    if project.image.runtime == "image" and any(mark in text for mark in "'\"\\"):
        message = (
            f"{text!r}: the launcher of the base splits at blanks only, quotation marks stay in the words"
        )
        yield Finding("warning", "mpi-quotes", WHERE, message, "write it without quotation marks")


def never(project: Project) -> Iterator[Finding]:
    """Options after which no rank starts; the launcher of the bases even ends with exit code 0 then."""
    for one in options(project):
        if one.flag in _NEVER:
            yield Finding("error", "mpi-option", WHERE, f"{one.text!r} {_NEVER[one.flag]}", "remove it")


def twice(project: Project) -> Iterator[Finding]:
    """Flags given twice, by the user alone or by the base's launcher too."""
    of_base = project.image.runtime == "image"
    seen: dict[tuple[bool, str], Option] = {}
    for one in options(project):
        setting = one.flag in _SETTINGS
        fatal = of_base and setting
        if fatal and one.key in _GIVEN_BY_BASE:
            text = f"{one.text!r}: the launcher of the base gives {one.key} already, and mpirun ends when it is repeated"
            yield Finding("error", "mpi-twice", WHERE, text, "remove it")
        earlier = seen.get((setting, one.key))
        if earlier is not None:
            ending = "mpirun ends when a setting is repeated" if fatal else "the last one counts"
            text = f"{earlier.text!r} and then {one.text!r}: {ending}"
            yield Finding("error" if fatal else "warning", "mpi-twice", WHERE, text, "keep one of them")
        seen[(setting, one.key)] = one
