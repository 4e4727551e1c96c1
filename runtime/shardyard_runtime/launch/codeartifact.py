"""pip's index when the job names an AWS CodeArtifact repository."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from . import s3
from .errors import LaunchError

VARIABLE = "CA_REPOSITORY_ARN"
_ARN = re.compile(
    r"arn:[^:]+:codeartifact:(?P<region>[^:]+):(?P<owner>[^:]+):repository/(?P<domain>[^/]+)/(?P<repository>.+)"
)


def index_url(environ: Mapping[str, str]) -> str:
    """With its password inside: it may go to pip's environment, never to a command line or a log."""
    arn = environ.get(VARIABLE) or ""
    if not arn:
        return ""
    found = _ARN.fullmatch(arn)
    if found is None:
        raise LaunchError(
            f"{VARIABLE} is {arn!r}. It must read arn:aws:codeartifact:REGION:ACCOUNT:repository/DOMAIN/NAME."
        )
    service = s3.client("codeartifact", f"Installing from {arn!r}", environ, region_name=found["region"])
    where: dict[str, Any] = {"domain": found["domain"], "domainOwner": found["owner"]}
    try:
        token = service.get_authorization_token(**where)["authorizationToken"]
        endpoint = service.get_repository_endpoint(**where, repository=found["repository"], format="pypi")
    except Exception as error:  # botocore makes its classes at run time
        raise LaunchError(f"CodeArtifact refused {arn!r}: {type(error).__name__}: {error}.", 4) from error
    address = urlsplit(endpoint["repositoryEndpoint"])
    path = f"{address.path.rstrip('/')}/simple/"
    return urlunsplit(address._replace(netloc=f"aws:{quote(token, safe='')}@{address.netloc}", path=path))
