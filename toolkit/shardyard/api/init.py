"""``shardyard init``"""

from __future__ import annotations

import os
import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from shardyard.errors import ProjectError
from shardyard.paths import data_dir


def init(directory: str | Path = ".") -> list[Path]:
    """Writes shardyard.toml and a working script; files that are there already stay. Gives what it wrote."""
    folder = Path(os.path.expanduser(directory))
    environment = Environment(
        loader=FileSystemLoader(data_dir("templates") / "init"),
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    name = re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-") or "model"
    written: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for template in sorted(environment.list_templates(extensions=["j2"])):
            target = folder / template.removesuffix(".j2")
            if not target.exists():
                written.append(target)
                target.write_text(environment.get_template(template).render(name=name), encoding="utf-8")
    except OSError as error:
        for target in written:  # half a project would look like one
            target.unlink(missing_ok=True)
        raise ProjectError(f"cannot write to {str(directory)!r}: {error.strerror or error}") from error
    return written
