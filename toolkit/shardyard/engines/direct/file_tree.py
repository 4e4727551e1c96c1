"""The file system that layers make, one over the other, by name."""

from __future__ import annotations

from collections.abc import Iterable

from shardyard.engines.direct.layer_index import LayerIndex


def merged(indices: Iterable[LayerIndex]) -> LayerIndex:
    """The file system that the layers make, base first: whiteouts taken away."""
    whole = LayerIndex()
    for index in indices:
        for name in index.paths:
            above, _, last = name.rpartition("/")
            if last == ".wh..wh..opq":
                _remove(whole, above, itself=False)
            elif last.startswith(".wh."):
                _remove(whole, f"{above}/{last[4:]}".lstrip("/"), itself=True)
        whole.paths.update({k: v for k, v in index.paths.items() if "/.wh." not in f"/{k}"})
        whole.kept.update(index.kept)
        whole.glibc = index.glibc or whole.glibc
    return whole


def _remove(whole: LayerIndex, name: str, itself: bool) -> None:
    for table in (whole.paths, whole.kept):
        gone = [one for one in table if one.startswith(name + "/") or (itself and one == name)]
        for one in gone:
            del table[one]


def resolve(paths: dict[str, str], name: str) -> str | None:
    """Where a path ends up through symbolic links, every part of it; None where it leads nowhere."""
    todo, done = name.strip("/").split("/")[::-1], ""
    for _ in range(200):
        if not todo:
            return done
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            done = done.rpartition("/")[0]
            continue
        here = f"{done}/{part}".lstrip("/")
        kind = paths.get(here)
        if kind is not None and kind.startswith("l"):
            target = kind[1:]
            todo += target.split("/")[::-1]
            done = "" if target.startswith("/") else done
        elif kind is None and not todo:
            return None
        else:
            done = here  # a folder that no layer lists may still be there
    return None
