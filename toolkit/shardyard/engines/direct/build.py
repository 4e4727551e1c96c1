"""Carries out a Dockerfile without a container: settings, copied files, archives, Python packages."""

from __future__ import annotations

from collections.abc import Callable

from shardyard.engines.base import Listener
from shardyard.engines.direct import layers
from shardyard.engines.direct.context import Context
from shardyard.engines.direct.image_config import ImageConfig
from shardyard.engines.direct.settings import Settings
from shardyard.engines.direct.store import Layer, Store
from shardyard.errors import ProjectError
from shardyard.image.dockerfile import Instruction, parse, words

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
        self._settings = Settings(config)
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
        match step.name:
            case "ADD" | "COPY":
                self._files(step)
            case "RUN":
                self._add(self._run(self, step.text), step)
            case _:
                if not self._settings.apply(step):
                    raise ProjectError(f"the direct engine cannot carry out {str(step)!r}. {WAY_OUT}")

    def _files(self, step: Instruction) -> None:
        given = words(step.text, self._settings.variables)
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
