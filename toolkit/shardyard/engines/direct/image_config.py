"""The configuration of the image that is being made: the base's, with what the project adds."""

from __future__ import annotations

import copy
import json
from typing import Any

from shardyard.engines.direct.store import Layer

EPOCH = "1970-01-01T00:00:00Z"  # the same project gives the same image
# What a builder wrote about its own containers says nothing about this image.
_OF_THE_BUILD = (
    "id",
    "parent",
    "container",
    "container_config",
    "docker_version",
    "moby.buildkit.buildinfo.v1",
)


class ImageConfig:
    """A config that grows by layers and settings, each with its line in the history."""

    def __init__(self, base: dict[str, Any]) -> None:
        self._whole = {key: copy.deepcopy(value) for key, value in base.items() if key not in _OF_THE_BUILD}
        self._whole["created"] = EPOCH
        self._whole["rootfs"] = {"type": "layers", "diff_ids": list(base["rootfs"]["diff_ids"])}
        self._whole["history"] = list(self._whole.get("history") or ())
        self.settings: dict[str, Any] = dict(self._whole.get("config") or {})

    @property
    def env(self) -> dict[str, str]:
        return dict(one.split("=", 1) for one in self.settings.get("Env") or () if "=" in one)

    def add_env(self, values: dict[str, str], said: str) -> None:
        self.settings["Env"] = [f"{name}={value}" for name, value in {**self.env, **values}.items()]
        self.note(said)

    def add_labels(self, values: dict[str, str], said: str | None = None) -> None:
        self.settings["Labels"] = {**(self.settings.get("Labels") or {}), **values}
        if said:
            self.note(said)

    def add_layer(self, layer: Layer, said: str) -> None:
        self._whole["rootfs"]["diff_ids"].append(layer.diff_id)
        self._whole["history"].append({"created": EPOCH, "created_by": said, "comment": "shardyard direct"})

    def note(self, said: str) -> None:
        """A line of history without a layer."""
        line = {"created": EPOCH, "created_by": said, "comment": "shardyard direct", "empty_layer": True}
        self._whole["history"].append(line)

    def stack(self, diff_ids: list[str], history: list[dict[str, Any]]) -> None:
        """Layers of another image on top, with their own lines of history."""
        self._whole["rootfs"]["diff_ids"] += diff_ids
        self._whole["history"] += history

    def raw(self) -> bytes:
        return json.dumps({**self._whole, "config": self.settings}, sort_keys=True).encode()
