"""Dockerfile templates: those that come along, and one of the user's that extends them."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import BaseLoader, ChoiceLoader, FileSystemLoader, PrefixLoader, StrictUndefined
from jinja2.exceptions import TemplateError, TemplateNotFound, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shardyard.errors import ProjectError
from shardyard.image.dockerfile import quoted
from shardyard.image.render import FOLDER
from shardyard.project.findings import Finding

_KEY = "image.template"
_OWN = "project"  # what names in the user's folder begin with, so that none hides one of ours


def fill(framework: str, variables: Mapping[str, Any]) -> str:
    """The text of the template for this framework."""
    return _environment(None).get_template(f"{framework}.Dockerfile.j2").render(variables)


def fill_own(file: Path, given: str, variables: Mapping[str, Any]) -> str:
    """The text of a template of the user's, which the project names as `given`. Raises ProjectError where it is
    wrong, with the line."""
    if not file.is_file():
        raise _refused(f"there is no file {given!r}")
    try:
        return _environment(file.parent).get_template(f"{_OWN}/{file.name}").render(variables)
    except TemplateNotFound as error:
        known = ", ".join(sorted(one for one in _environment(None).list_templates() if "/" not in one))
        raise _refused(
            f"{given!r} names a template {str(error)!r}, which is not there; ours are: {known}"
        ) from error
    except TemplateSyntaxError as error:
        raise _refused(f"{given!r}, line {error.lineno}: {error.message}") from error
    except RecursionError as error:
        raise _refused(f"{given!r} includes itself without an end") from error
    except Exception as error:  # whatever the user's expressions raise: a type error, a division by zero
        said = str(error) if isinstance(error, TemplateError) else f"{type(error).__name__}: {error}"
        raise _refused(f"{given!r}{_line(error, file)}: {said}") from error


def _line(error: Exception, file: Path) -> str:
    """Jinja makes frames that have the template's own lines."""
    own = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == str(file)]
    return f", line {own[-1]}" if own else ""


def _refused(text: str) -> ProjectError:
    remedy = "docs/images.md lists the blocks and names that a template may use"
    return ProjectError(
        "the Dockerfile cannot be written", [Finding("error", "template", _KEY, text, remedy)]
    )


@cache
def _environment(folder: Path | None) -> ImmutableSandboxedEnvironment:
    loaders: list[BaseLoader] = [FileSystemLoader(FOLDER)]
    if folder is not None:
        loaders += [PrefixLoader({_OWN: FileSystemLoader(folder)}), FileSystemLoader(folder)]
    environment = ImmutableSandboxedEnvironment(
        loader=ChoiceLoader(loaders),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    environment.filters["quoted"] = quoted
    return environment
