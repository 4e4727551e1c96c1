"""The instructions of a Dockerfile that make no layer: they change the image's configuration."""

from __future__ import annotations

from posixpath import join

from shardyard.engines.direct.image_config import ImageConfig
from shardyard.image.dockerfile import Instruction, command, expanded, pairs, words


class Settings:
    """Applies instructions to one configuration, in their order."""

    def __init__(self, config: ImageConfig) -> None:
        self._config = config
        self._arguments: dict[str, str] = {}

    @property
    def variables(self) -> dict[str, str]:
        """What a `$NAME` of the next instruction stands for; ENV wins over ARG, as Docker has it."""
        return {**self._arguments, **self._config.env}

    def apply(self, step: Instruction) -> bool:
        """Whether it was such an instruction, and of a kind that is known here."""
        config, settings, said = self._config, self._config.settings, str(step)
        match step.name:
            case "ARG":
                given = [word.partition("=") for word in words(step.text, self.variables)]
                self._arguments |= {name: value for name, equals, value in given if equals}
                config.note(said)
            case "ENV":
                config.add_env(pairs(step.text, self.variables), said)
            case "LABEL":
                config.add_labels(pairs(step.text, self.variables), said)
            case "WORKDIR":
                place = expanded(step.text, self.variables)
                settings["WorkingDir"] = join(settings.get("WorkingDir") or "/", place)
                config.note(said)
            case "USER":
                settings["User"] = expanded(step.text, self.variables)
                config.note(said)
            case "ENTRYPOINT" | "CMD":
                settings["Entrypoint" if step.name == "ENTRYPOINT" else "Cmd"] = command(step.text)
                if step.name == "ENTRYPOINT":
                    settings.pop("Cmd", None)  # the base's arguments belong to the base's entrypoint
                config.note(said)
            case _:
                return False
        return True
