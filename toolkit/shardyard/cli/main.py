"""``shardyard``: registers the commands and turns errors into a message and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from shardyard.cli import (
    build,
    build_and_push,
    check,
    doctor,
    estimator,
    images,
    init,
    launch,
    plan,
    push,
    render,
    run,
)
from shardyard.errors import ShardyardError

# In the order of --help.
COMMANDS = (init, images, check, plan, render, build, push, build_and_push, run, estimator, launch, doctor)

commands = typer.Typer(
    name="shardyard",
    help="Builds, ships and runs model-parallel training containers.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@commands.callback()
def _root() -> None:
    """Builds, ships and runs model-parallel training containers."""


for _command in COMMANDS:
    _command.register(commands)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and gives its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        typer.main.get_command(commands)(words, prog_name="shardyard")
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


def app() -> None:
    """The console script."""
    sys.exit(main())


if __name__ == "__main__":
    app()
