"""Whose the AWS credentials are, and the region they are used in."""

from __future__ import annotations

from collections.abc import Iterator

from shardyard.errors import MissingError, RemoteError
from shardyard.preflight.aws import Aws, code_of
from shardyard.project.findings import Finding
from shardyard.project.model import Project

_WHERE = "credentials"
_REMEDIES = {
    "ExpiredToken": "sign in again (aws sso login), or take new keys",
    "ExpiredTokenException": "sign in again (aws sso login), or take new keys",
    "InvalidClientTokenId": "aws configure, or set AWS_PROFILE; a region that must be opted into says the same",
    "SignatureDoesNotMatch": "aws configure: the secret key is not that of the access key",
}


def identity(project: Project, aws: Aws) -> Iterator[Finding]:
    """STS knows them; the registry's account is theirs, or named as another's."""
    try:
        region = aws.region
    except MissingError:
        remedy = 'add to [registry]: region = "us-east-1", or set AWS_REGION'
        yield Finding("error", "no-region", "registry.region", "no AWS region is set", remedy, "machine")
        return
    try:
        who = aws.identity()
    except MissingError as error:
        yield Finding("error", "no-credentials", _WHERE, error.message, "aws configure", "machine")
        return
    except RemoteError as error:
        remedy = _REMEDIES.get(
            code_of(error), f"is {region!r} the region that you mean? Is AWS within reach?"
        )
        yield Finding("error", "credentials", _WHERE, error.message, remedy, "remote")
        return
    account = project.registry.account
    if account not in (None, who.account):
        text = f"pushes to account {account} as {who.arn}; its repository's policy must let account {who.account} in"
        yield Finding("note", "cross-account", "registry.account", text, "", "remote")
