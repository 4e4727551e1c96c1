"""The examples of docs/images.md."""

from __future__ import annotations

import re
from pathlib import Path

import shardyard

PAGE = (Path(__file__).parents[3] / "docs/images.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_template_and_the_secrets_render(tmp_path: Path) -> None:
    (template,), (toml,) = blocks("jinja"), blocks("toml")
    (tmp_path / "my.Dockerfile.j2").write_text(template)
    head = '[image]\nname = "a"\nbase = "base:1"\ntemplate = "my.Dockerfile.j2"\napt = ["git"]\n'
    (tmp_path / "shardyard.toml").write_text(head + toml.removeprefix("[image]\n"))
    lines = shardyard.render(tmp_path).splitlines()
    assert lines.index("      git \\") < lines.index(
        "COPY --from=ghcr.io/astral-sh/uv:0.9 /uv /usr/local/bin/uv"
    )
    assert any(
        "--mount=type=secret,id=netrc,target=/root/.netrc --mount=type=secret,id=token" in one
        for one in lines
    )


def test_every_block_is_named() -> None:
    template = Path(__file__).parents[3] / "templates/image/base.Dockerfile.j2"
    listed = re.search(r"^- Blocks, in their order: (.*?)\.$", PAGE, re.DOTALL | re.MULTILINE)
    assert listed is not None
    assert re.findall(r"`(\w+)`", listed[1]) == re.findall(r"{% block (\w+) %}", template.read_text())
