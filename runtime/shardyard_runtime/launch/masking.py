"""Secrets never reach the log or the failure file: what they are is told by their names."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

MASK = "******"
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_SECRET_WORDS = {
    *("SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "TOKEN", "CREDENTIAL", "CREDENTIALS", "CREDS"),
    *("PRIVATE", "AUTH", "AUTHORIZATION", "APIKEY"),
}
_KEEPERS_OF_KEYS = {"ACCESS", "API", "ENCRYPTION", "SIGNING", "SSH"}
_SHORTEST = 6  # a shorter value is part of too many ordinary words to be replaced in running text
_LONGEST_OPTIONS = 1 << 14  # a longer text is no list of options, and splitting it as a shell does is slow
_IN_ADDRESS = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")


def is_secret(name: str) -> bool:
    """`HF_TOKEN`, `apiKey` and `aws_access_key_id` are; `max_tokens` and `key_dim` are not."""
    words = [word.upper() for word in _WORDS.findall(name)]
    if _SECRET_WORDS.intersection(words) or words[-1:] == ["KEY"]:
        return True
    return any(first in _KEEPERS_OF_KEYS and then == "KEY" for first, then in pairwise(words))


class Masker:
    """Knows the secret values of one job and replaces them in any text."""

    def __init__(self, *sources: Mapping[str, Any]) -> None:
        values = {text for source in sources for text in _secret_values(source)}
        forms = values | {json.dumps(value)[1:-1] for value in values}
        ordered = sorted((form for form in forms if len(form) >= _SHORTEST), key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, ordered))) if ordered else None

    def mask(self, text: str) -> str:
        text = _IN_ADDRESS.sub(rf"\1:{MASK}@", text)
        return self._pattern.sub(MASK, text) if self._pattern else text

    def variables(self, environment: Mapping[str, str]) -> dict[str, str]:
        return {
            name: MASK if value and is_secret(name) else self.mask(value)
            for name, value in environment.items()
        }

    def arguments(self, arguments: Iterable[str]) -> list[str]:
        """`--password x`: the word after a secret name is hidden, however short."""
        shown: list[str] = []
        hide = False
        for word in arguments:
            shown.append(MASK if hide and word else self.mask(word))
            hide = not hide and word.startswith("-") and is_secret(word)
        return shown


def _secret_values(source: Any, is_hidden: bool = False) -> Iterable[str]:
    """The texts that stand for a secret, however deep: below a secret name everything is one."""
    if isinstance(source, Mapping):
        for name, value in source.items():
            yield from _secret_values(value, is_hidden or is_secret(str(name)))
    elif isinstance(source, list):
        for value in source:
            yield from _secret_values(value, is_hidden)
    elif is_hidden and source is not None:
        yield str(source)
    elif isinstance(source, str):
        yield from (found[2] for found in _IN_ADDRESS.finditer(source))
        for name, value in _assignments(source) if "=" in source else ():  # `-x HF_TOKEN=...` for mpirun
            yield from _secret_values({name: value}) if is_secret(name) else ()


def _assignments(text: str) -> Iterable[tuple[str, str]]:
    """`NAME=VALUE` among words, which a shell's quotation marks may hold together."""
    try:
        words = shlex.split(text) if len(text) < _LONGEST_OPTIONS else text.split()
    except ValueError:
        words = text.split()
    pairs = [word.partition("=") for word in words]
    return [(name.lstrip("-"), value) for name, equals, value in pairs if equals]
