"""The tool that makes the data files, on a source of its own: nothing outside of the project is needed."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def tool(tmp_path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("catalog_tool", ROOT / "scripts" / "catalog.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.DATA = tmp_path / "data"  # type: ignore[attr-defined]
    (tmp_path / "data").mkdir()
    for name in module.FILES:
        (tmp_path / "data" / name).write_text("{}")
    return module


@pytest.fixture
def source(tmp_path: Path) -> Path:
    image = {"device": "gpu", "tag": "9.9.0-gpu", "short_tag": None, "python": "py312", "cuda": "cu999"}
    image |= {"listed": ["2026-01-01", "2026-02-02"], "os": "linux", "sources": ["x"]}
    image["smp"] = [{"evidence": [], "since": "2026-01-01", "version": "1.2.3"}]  # type: ignore[assignment]
    row = {"version": "9.9.0", "repository": "pytorch", "sdk_py_versions": None, "images": [image]}
    region = dict.fromkeys(("account", "dns_suffix", "legacy_account", "name", "partition", "smp_v2_account"))
    meta = {"_meta": {"as_of": "2026-01-01", "sources": {}}}
    texts: dict[str, Any] = {
        "base_images.json": {
            **meta,
            "frameworks": {"pytorch": {"aliases": {}, "versions": [row]}},
            "huggingface_training": [],
            "smp_v1_releases": [],
            "smp_v2_images": {},
        },
        "ecr_registries.json": {
            **meta,
            "partitions": {},
            "regions": {"xx-north-1": {**region, "sdk_versions": 3}},
            "regions_without_account": {},
        },
        "instance_types.json": {**meta, "instances": [{"name": "ml.x", "vcpus": 2, "source": {}}]},
    }
    (tmp_path / "source").mkdir()
    for name, value in texts.items():
        (tmp_path / "source" / name).write_text(json.dumps(value))
    return tmp_path / "source"


def test_writes_then_agrees_then_sees_a_change(
    tool: ModuleType, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tool.main([str(source), "--check"]) == 1
    assert capsys.readouterr().out.count("differs") == 3
    assert tool.main([str(source)]) == 0
    assert tool.main([str(source), "--check"]) == 0
    made = json.loads((tool.DATA / "base_images.json").read_text())
    assert made["frameworks"]["pytorch"]["versions"]["9.9.0"]["images"][0]["smp"] == ["1.2.3"]
    text = (source / "instance_types.json").read_text()
    (source / "instance_types.json").write_text(text.replace('"vcpus": 2', '"vcpus": 4'))
    capsys.readouterr()
    assert tool.main([str(source), "--check"]) == 1
    assert "instance_types.json differs" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["base_images.json", "registries.json", "instance_types.json"])
def test_the_data_have_provenance(name: str) -> None:
    data = ROOT / "toolkit" / "shardyard" / "catalog" / "data" / name
    meta = json.loads(data.read_text(encoding="utf-8"))["_meta"]
    assert meta["as_of"]
    assert meta["sources"]
    assert (ROOT / meta["made_by"]).is_file()
