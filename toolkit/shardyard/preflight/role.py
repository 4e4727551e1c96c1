"""The job's role: it exists, in this account, and SageMaker may take it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from shardyard.preflight.aws import DENIED, Aws
from shardyard.project.findings import Finding
from shardyard.project.model import Project
from shardyard.registry.aws.boto import explained

_WHERE = "job.role"
SERVICE = "sagemaker.amazonaws.com"  # some partitions append to it


def role(project: Project, aws: Aws) -> Iterator[Finding]:
    """By name or ARN, as [job] gives it."""
    given = project.job.role
    if not given:
        return
    account, owner = aws.identity().account, (given.split(":") + [""] * 5)[4]
    if owner not in (account, ""):
        text = f"{given!r} belongs to account {owner}, the job would run in {account}"
        yield Finding("error", "role-account", _WHERE, text, f"name a role of account {account}", "remote")
        return
    iam = aws.client("iam")
    with explained(f"look at the role {given!r}"):
        try:
            found = iam.get_role(RoleName=given.rpartition("/")[2])["Role"]
        except ClientError as error:
            yield _missing(given, error)
            return
    if not any(trusts(one) for one in _list(found.get("AssumeRolePolicyDocument", {}).get("Statement"))):
        text = f"SageMaker may not take the role {given!r}: its trust policy does not name {SERVICE}"
        remedy = f'add to its trust policy: Principal {{"Service": "{SERVICE}"}}, Action "sts:AssumeRole"'
        yield Finding("error", "role-trust", _WHERE, text, remedy, "remote")


def _missing(given: str, error: ClientError) -> Finding:
    said = error.response.get("Error", {})
    if said.get("Code") == "NoSuchEntity":
        return Finding(
            "error", "no-role", _WHERE, f"there is no role {given!r}", "aws iam list-roles", "remote"
        )
    if said.get("Code") in DENIED:
        text = f"the role {given!r} could not be looked at: {said.get('Code')}"
        return Finding("note", "role", _WHERE, text, "your identity needs iam:GetRole to tell more", "remote")
    raise error


def trusts(statement: dict[str, Any]) -> bool:
    """Whether a statement of a trust policy lets SageMaker take the role."""
    principal = statement.get("Principal", {})
    services = _list(principal.get("Service")) if isinstance(principal, dict) else []
    actions = {str(one).lower() for one in _list(statement.get("Action"))}
    return (
        statement.get("Effect") == "Allow"
        and any(str(one).startswith(SERVICE) for one in services)
        and bool(actions & {"sts:assumerole", "sts:*", "*"})
    )


def _list(value: Any) -> list[Any]:
    """IAM leaves the brackets away where there is one."""
    return value if isinstance(value, list) else [] if value is None else [value]
