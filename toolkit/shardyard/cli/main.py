"""``shardyard``: registers the commands and turns errors into a message and an exit code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

import typer

from shardyard.errors import ShardyardError

# In the order of --help.
COMMANDS = (
    "init", "images", "check", "plan", "render", "build", "push", "build-and-push", "layers", "sbom", "rebase", "run",
    "report", "estimator", "launch", "doctor",
)  # fmt: skip


def commands(names: Sequence[str] = COMMANDS) -> typer.Typer:
    """The command line with these commands. Each lies in a file of its name, read only where it is asked for:
    an edit of the script should be in the registry before all of them were. The whole of it completes in a shell."""
    group = typer.Typer(
        name="shardyard",
        help="Builds, ships and runs model-parallel training containers.",
        no_args_is_help=True,
        add_completion=names is COMMANDS,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    group.callback()(_root)
    for name in names:
        importlib.import_module(f"shardyard.cli.{name.replace('-', '_')}").register(group)
    return group


def _root() -> None:
    """Builds, ships and runs model-parallel training containers."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and gives its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        asked = [one for one in words[:1] if one in COMMANDS]
        typer.main.get_command(commands(asked or COMMANDS))(words, prog_name="shardyard")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except ShardyardError as error:
        print(f"shardyard: {error.message}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"shardyard: {error}", file=sys.stderr)
        return 3
    except KeyboardInterrupt:
        print("shardyard: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
