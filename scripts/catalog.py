"""The catalog's data files, made again from a folder of source data or compared with it.

    python scripts/catalog.py SOURCE            # writes toolkit/shardyard/catalog/data/
    python scripts/catalog.py SOURCE --check    # exit code 1 and a list of the files that differ

SOURCE holds base_images.json, ecr_registries.json and instance_types.json; what each field means and where it
comes from travels along in every file's ``_meta``. Evidence for single rows stays behind.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

DATA = Path(__file__).resolve().parents[1] / "toolkit" / "shardyard" / "catalog" / "data"
TOOL = "scripts/catalog.py"
Table = dict[str, Any]


def base_images(source: Table) -> Table:
    """By framework and version; the library's versions of a tag as a plain list, oldest first."""
    frameworks = {
        name: {
            "aliases": found["aliases"],
            "versions": {row["version"]: _version(row) for row in found["versions"]},
        }
        for name, found in source["frameworks"].items()
    }
    return {
        "frameworks": frameworks,
        "huggingface": [_without(row, "listing", "listed_tags") for row in source["huggingface_training"]],
        "library_releases": [
            {key: row[key] for key in ("version", "date", "images")} for row in source["smp_v1_releases"]
        ],
        "library_version_2": source["smp_v2_images"],
    }


def _version(row: Table) -> Table:
    kept = {key: row[key] for key in ("repository", "sdk_py_versions") if key in row}
    return {**kept, **row.get("support", {}), "images": [_image(image) for image in row["images"]]}


def _image(row: Table) -> Table:
    kept = _without(row, "sources", "listed", "short_tag_in_docs_data", "smp")
    return {**kept, "last_listed": row["listed"][1], "smp": [one["version"] for one in row.get("smp", [])]}


def registries(source: Table) -> Table:
    kept = ("account", "dns_suffix", "legacy_account", "name", "partition", "smp_v2_account")
    return {
        "partitions": source["partitions"],
        "regions": {name: {key: row[key] for key in kept} for name, row in source["regions"].items()},
        "regions_without_account": source["regions_without_account"],
    }


def instance_types(source: Table) -> Table:
    rows = {row["name"]: _without(row, "name", "source", "sdk_gpu_memory_mib") for row in source["instances"]}
    return {"instance_types": rows}


def _without(row: Table, *names: str) -> Table:
    return {key: value for key, value in row.items() if key not in names}


FILES: dict[str, tuple[str, Callable[[Table], Table]]] = {
    "base_images.json": ("base_images.json", base_images),
    "registries.json": ("ecr_registries.json", registries),
    "instance_types.json": ("instance_types.json", instance_types),
}


def made(name: str, folder: Path) -> str:
    """The text of one data file."""
    origin, distil = FILES[name]
    source = json.loads((folder / origin).read_text(encoding="utf-8"))
    return written({"_meta": {**source["_meta"], "made_by": TOOL}, **distil(source)}) + "\n"


def written(value: Any, depth: int = 0) -> str:
    """JSON whose innermost rows take a line each, so that a change of the data reads as one."""
    flat = json.dumps(value, ensure_ascii=False, sort_keys=not _ordered(value))
    if not isinstance(value, (dict, list)) or not value or (len(flat) < 100 and depth):
        return flat
    nested = value.values() if isinstance(value, dict) else value
    if depth > 1 and not any(isinstance(one, (dict, list)) and len(str(one)) > 100 for one in nested):
        return flat
    indent = "\n" + " " * (depth + 1)
    keys = value if isinstance(value, list) or _ordered(value) else sorted(value)
    rows = [
        written(key, depth + 1)
        if isinstance(value, list)
        else f"{json.dumps(key)}: {written(value[key], depth + 1)}"
        for key in keys
    ]
    opening, closing = "[]" if isinstance(value, list) else "{}"
    return opening + indent + ("," + indent).join(rows) + "\n" + " " * depth + closing


def _ordered(value: Any) -> bool:
    """Whether the order of the keys says something: of versions it does, of fields it does not."""
    return isinstance(value, dict) and all(key[:1].isdigit() or key.startswith("ml.") for key in value)


def main(words: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("source", type=Path, metavar="SOURCE")
    parser.add_argument("--check", action="store_true", help="compare only")
    asked = parser.parse_args(words)
    different = [
        name for name in FILES if (DATA / name).read_text(encoding="utf-8") != made(name, asked.source)
    ]
    for name in different:
        if asked.check:
            print(f"{name} differs from what {asked.source} gives; type: python {TOOL} {asked.source}")
        else:
            (DATA / name).write_text(made(name, asked.source), encoding="utf-8")
            print(f"wrote {DATA / name}")
    return int(asked.check and bool(different))


if __name__ == "__main__":
    sys.exit(main())
