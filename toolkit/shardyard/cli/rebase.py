"""``shardyard rebase``"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from shardyard.cli.common import ByDigestOption, JsonOption, ProjectOption, TagOption, document, note


def register(app: typer.Typer) -> None:
    @app.command("rebase")
    def rebase(
        project: ProjectOption = Path("."),
        base: Annotated[
            str | None,
            typer.Option("--base", help="The new base; by default what its own base's name means today."),
        ] = None,
        tag: TagOption = None,
        new_tag: Annotated[
            str | None, typer.Option("--new-tag", help="For the result; by default the image's own tag.")
        ] = None,
        by_digest: ByDigestOption = False,
        as_json: JsonOption = False,
    ) -> None:
        """Put a patched base under the pushed image, without a build; prints the image URI."""
        from shardyard.api.rebase import rebase as swap

        done = swap(project, base=base, tag=tag, new_tag=new_tag)
        if not done.changed:
            note(f"{done.base} is what the image stands on already; nothing was pushed")
        if as_json:
            document(done.as_dict())
        else:
            print(done.image_uri_by_digest if by_digest else done.image_uri)
