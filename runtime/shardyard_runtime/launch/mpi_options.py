"""The user's options for mpirun, merged with ours by what they set: the user wins."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import Any

from .errors import LaunchError
from .masking import is_secret

_HOSTS = {"host", "hostfile", "H", "machinefile", "default-hostfile", "add-host", "add-hostfile"}
_ENDINGS = {"h": "prints its help", "help": "prints its help", "V": "prints its version"}
_ENDINGS |= {"version": "prints its version", "do-not-launch": "starts nothing"}
_PAIRS = {"mca", "gmca", "prtemca", "pmixmca", "gprtemca", "gpmixmca", "omca"}
_ALIASES = {
    **dict.fromkeys(("n", "c", "np"), "np"),
    **dict.fromkeys(("oversubscribe", "nooversubscribe"), "oversubscribe"),
    # All of them say where ranks go, and mpirun takes only one.
    **dict.fromkeys(("N", "npernode", "pernode", "npersocket", "ppr", "bynode", "byslot"), "map-by"),
    **dict.fromkeys(("bind-to-core", "bind-to-socket", "bind-to-none", "cpu-set", "cpu-list"), "bind-to"),
    "tag-output": "output",
}


@dataclass(frozen=True)
class Option:
    """One option of mpirun: what it sets, and how it is written."""

    key: tuple[str, str]
    tokens: tuple[str, ...]

    def __str__(self) -> str:
        return shlex.join(self.tokens)


@dataclass
class UserOptions:
    options: list[Option] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)  # asked for in a spelling that is not mpirun's
    warnings: list[str] = field(default_factory=list)

    @property
    def exported(self) -> list[str]:
        """Names whose values come from mpirun, not from the rank's own host."""
        return [option.key[1] for option in self.options if option.key[0] == "x"]

    def take_secrets(self) -> dict[str, str]:
        """Values that must not stand in the process list; mpirun takes them from its environment as well."""
        taken = {}
        for number, option in enumerate(self.options):
            name, has_value, value = option.tokens[-1].partition("=")
            if option.key[0] == "x" and has_value and is_secret(name):
                taken[name] = value
                self.options[number] = Option(option.key, ("-x", name))
        return taken

    def value_of(self, name: str) -> str | None:
        found = [option.tokens for option in self.options if option.key == ("flag", name)]
        return found[0][-1].rpartition("=")[2] if found else None


def mca(name: str, value: str, flag: str = "mca") -> Option:
    return Option(("mca", name), (f"--{flag}", name, value))


def flag(name: str, *values: str) -> Option:
    return Option(("flag", _ALIASES.get(name, name)), (f"--{name}", *values))


def parse_options(text: Any) -> UserOptions:
    if not isinstance(text, str | None):
        raise LaunchError(
            f"custom_mpi_options is {text!r}. It must be one text of options, as mpirun takes them."
        )
    try:
        tokens = shlex.split(text or "")
    except ValueError as error:
        raise LaunchError(
            f"custom_mpi_options {text!r} cannot be split into words: {error}. Close every quotation mark."
        ) from error
    result = UserOptions()
    while tokens:
        word = tokens.pop(0)
        name, has_value, value = word.lstrip("-").partition("=")
        if not word.startswith("-") or not name:
            raise LaunchError(
                f"custom_mpi_options has {word!r} where an option should stand, so mpirun would take it "
                "for the program to start. Options begin with a dash."
            )
        if name in _HOSTS:
            raise LaunchError(
                f"custom_mpi_options has {word!r}, but the hosts come from the job's resource configuration. "
                "Remove that option; set the number of hosts with instance_count."
            )
        if name in _ENDINGS:
            raise LaunchError(
                f"custom_mpi_options has {word!r}, with which mpirun only {_ENDINGS[name]}, so no rank would "
                "start. Remove that option."
            )
        values = [value] if has_value else _take_values(name, word, tokens)
        _add(result, name, word, has_value, values)
    return result


def _take_values(name: str, word: str, tokens: list[str]) -> list[str]:
    needed = 2 if name in _PAIRS else 1 if name in {"x", "NCCL_DEBUG"} else None
    if needed is None:
        values = []
        while tokens and not tokens[0].startswith("-"):
            values.append(tokens.pop(0))
        return values
    if len(tokens) < needed:
        raise LaunchError(
            f"custom_mpi_options ends after {word!r}, which needs {needed} more word(s). Add them."
        )
    return [tokens.pop(0) for _ in range(needed)]


def _add(result: UserOptions, name: str, word: str, has_value: str, values: list[str]) -> None:
    if name == "NCCL_DEBUG":
        result.environment["NCCL_DEBUG"] = values[0]
        return
    tokens = (word,) if has_value else (word, *values)
    if name in _PAIRS and len(values) == 2:
        key = ("mca", values[0])
    elif name == "x":
        variable, has_own_value, _ = values[0].partition("=")
        if variable.startswith("SM_") and not has_own_value:
            return  # the platform's own differ from host to host, and every rank has its host's anyway
        key, tokens = ("x", variable), ("-x", values[0])
    else:
        key = ("flag", _ALIASES.get(name, name))
    option = Option(key, tokens)
    for earlier in [one for one in result.options if one.key == key]:
        result.options.remove(earlier)
        result.warnings.append(f"custom_mpi_options has `{earlier}` and then `{option}`: the last one counts")
    result.options.append(option)


def merge_options(ours: list[Option], users: list[Option]) -> tuple[list[Option], list[str]]:
    """Both together, and a warning for each of ours that the user gave too."""
    wanted = {option.key: option for option in users}
    warnings = []
    for option in ours:
        users_own = wanted.get(option.key)
        if users_own is None:
            continue
        same = users_own.tokens[1:] == option.tokens[1:]
        how = "says again what holds anyway:" if same else f"replaces `{option}` with"
        warnings.append(f"custom_mpi_options {how} `{users_own}`")
    return [option for option in ours if option.key not in wanted] + users, warnings
