"""A template of the user's own: extends ours, sandboxed, its mistakes told with their line."""

from __future__ import annotations

from pathlib import Path

import pytest

import shardyard

TOML = '[image]\nname = "a"\nbase = "base:1"\ntemplate = "docker/my.Dockerfile.j2"\n'


def project(folder: Path, template: str) -> Path:
    (folder / "docker").mkdir(exist_ok=True)
    (folder / "docker/my.Dockerfile.j2").write_text(template)
    (folder / "shardyard.toml").write_text(TOML)
    (folder / "train.py").touch()
    return folder


def test_blocks_are_overridden_and_kept(tmp_path: Path) -> None:
    plain = shardyard.render(project(tmp_path, '{% extends "pytorch.Dockerfile.j2" %}'))
    (tmp_path / "docker/pytorch.Dockerfile.j2").write_text("RUN hidden\n")  # hides none of ours
    (tmp_path / "docker/part.j2").write_text("RUN part\n")
    text = """{% extends "pytorch.Dockerfile.j2" %}
{% block system %}
RUN mine {{ program | quoted }}
{% include "part.j2" %}
{{ super() }}
{% endblock %}
"""
    lines = shardyard.render(project(tmp_path, text)).splitlines()
    assert [one for one in lines if one not in plain.splitlines()] == ['RUN mine "train.py"', "RUN part"]
    assert [one for one in plain.splitlines() if one not in lines] == []
    assert not shardyard.check(tmp_path)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("RUN {{ nope }}", "line 3: 'nope' is undefined"),
        ("RUN {{ 1 + }}", "line 3: unexpected 'end of print statement'"),
        ("RUN {{ 1 / 0 }}", "line 3: ZeroDivisionError"),
        ("{{ ''.__class__.__mro__ }}", "line 3: access to attribute '__class__'"),
        ("{{ run.append('x') }}", "line 3: "),
        ('{% include "none.j2" %}', "'none.j2', which is not there; ours are: base.Dockerfile.j2"),
        ('{% include "../shardyard.toml" %}', "'../shardyard.toml', which is not there"),
        ('{% include "my.Dockerfile.j2" %}', "includes itself without an end"),
        ("{% endblock %}{% block run %}", "line "),
    ],
)
def test_mistakes_are_told_with_their_line(tmp_path: Path, body: str, said: str) -> None:
    text = f'{{% extends "pytorch.Dockerfile.j2" %}}\n{{% block run %}}\n{body}\n{{% endblock %}}\n'
    folder = project(tmp_path, text)
    with pytest.raises(shardyard.ProjectError) as caught:
        shardyard.render(folder)
    assert said in str(caught.value)
    assert [one.code for one in shardyard.check(folder)] == ["template"]


def test_what_is_left_out_is_told(tmp_path: Path) -> None:
    found = shardyard.check(project(tmp_path, "RUN echo\n"))
    assert [(one.level, one.code) for one in found] == [
        ("error", "template"),
        ("warning", "template"),
        ("warning", "template"),
    ]
    (tmp_path / "docker/my.Dockerfile.j2").unlink()
    assert "there is no file" in str(shardyard.check(tmp_path)[0])
