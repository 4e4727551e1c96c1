"""The program that runs: of which kind it is, and from which folder."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from pathlib import Path


class Kind(enum.Enum):
    PROGRAM = "a Python program"
    PACKAGE = "a Python package"
    COMMAND = "a command"
    FUNCTION = "a function"


@dataclass(frozen=True)
class EntryPoint:
    code_dir: Path
    program: str
    module_dir: str = ""
    function: str = ""  # what SAGEMAKER_TRAINING_MODULE names, instead of the program

    @property
    def kind(self) -> Kind:
        if self.function:
            return Kind.FUNCTION
        if self.program.endswith(".sh"):
            return Kind.COMMAND
        if (self.code_dir / "setup.py").is_file():
            return Kind.PACKAGE
        return Kind.PROGRAM if self.program.endswith(".py") else Kind.COMMAND

    @property
    def is_python(self) -> bool:
        return self.kind is not Kind.COMMAND

    @property
    def module_name(self) -> str:
        return self.program.removesuffix(".py")
