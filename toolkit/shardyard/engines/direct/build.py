"""Carries out a Dockerfile without a container: settings, copied files, archives, Python packages."""

from __future__ import annotations

from collections.abc import Callable
from posixpath import join

from shardyard.engines.base import Listener
from shardyard.engines.direct import layers
from shardyard.engines.direct.context import Context
from shardyard.engines.direct.dockerfile import Instruction, command, expanded, pairs, parse, words
from shardyard.engines.direct.image_config import ImageConfig
from shardyard.engines.direct.store import Layer, Store
from shardyard.errors import ProjectError

WAY_OUT = "Use the docker engine for it: shardyard build-and-push --engine docker. Or put it into a base image of your own"


class Builder:
    """One build. `run` is what carries out a RUN line: it gives a layer, None where nothing had to be done,
    or refuses."""

    def __init__(
        self,
        context: Context,
        config: ImageConfig,
        store: Store,
        run: Callable[[Builder, str], Layer | None],
        listener: Listener,
    ) -> None:
        self.context, self.config, self.store = context, config, store
        self._run, self._listener = run, listener
        self.layers: list[Layer] = []
        self.copied: dict[str, str] = {}  # path in the image to name in the context

    def all(self) -> None:
        steps = list(parse(self.context.dockerfile))
        for number, step in enumerate(steps, 1):
            self._listener({"stream": f"Step {number}/{len(steps)} : {shortened(str(step))}\n"})
            if step.name != "FROM":
                self._step(step)
            elif number > 1:
                raise ProjectError(f"{str(step)!r}: the direct engine builds one stage. {WAY_OUT}")

    def _step(self, step: Instruction) -> None:
        settings, env = self.config.settings, self.config.env
        match step.name:
            case "ENV":
                self.config.add_env(pairs(step.text, env), str(step))
            case "LABEL":
                self.config.add_labels(pairs(step.text, env), str(step))
            case "ADD" | "COPY":
                self._files(step)
            case "RUN":
                self._add(self._run(self, step.text), step)
            case "WORKDIR":
                settings["WorkingDir"] = join(settings.get("WorkingDir") or "/", expanded(step.text, env))
                self.config.note(str(step))
            case "USER":
                settings["User"] = expanded(step.text, env)
                self.config.note(str(step))
            case "ENTRYPOINT" | "CMD":
                settings["Entrypoint" if step.name == "ENTRYPOINT" else "Cmd"] = command(step.text)
                if step.name == "ENTRYPOINT":
                    settings.pop("Cmd", None)  # the base's arguments belong to the base's entrypoint
                self.config.note(str(step))
            case _:
                raise ProjectError(f"the direct engine cannot carry out {str(step)!r}. {WAY_OUT}")

    def _files(self, step: Instruction) -> None:
        given = words(step.text, self.config.env)
        if len(given) != 2 or given[0].startswith("--") or "://" in given[0] or not given[1].startswith("/"):
            raise ProjectError(f"the direct engine cannot carry out {str(step)!r}. {WAY_OUT}")
        source, target = given
        if step.name == "ADD" and source.endswith(".tar"):
            if target != "/":
                raise ProjectError(f"the direct engine unpacks archives at / only: {str(step)!r}. {WAY_OUT}")
            layer = layers.unpacked(self.context.archive(source), self.store)
        else:
            layer = layers.make(self.context.copied(source, target), self.store)
            self.copied[target.rstrip("/")] = source.rstrip("/")
        self._add(layer, step)

    def _add(self, layer: Layer | None, step: Instruction) -> None:
        if layer is None:
            self.config.note(str(step))
        else:
            self.config.add_layer(layer, str(step))
            self.layers.append(layer)


def shortened(text: str, limit: int = 160) -> str:
    return text if len(text) <= limit else text[: limit - 3] + "..."
