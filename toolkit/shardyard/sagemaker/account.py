"""What a job needs to know of the AWS account: role, bucket, region, and the image's digest."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, ParamValidationError

from shardyard.errors import ProjectError, RemoteError
from shardyard.project.model import Project
from shardyard.registry.aws.boto import explained
from shardyard.registry.ecr import Ecr
from shardyard.sagemaker.request import needed_role
from shardyard.sagemaker.target import image_uri

_ECR = re.compile(
    r"(?P<account>\d{12})\.dkr\.ecr\.(?P<region>[a-z0-9-]+)\.[a-z0-9.-]+/(?P<repository>[^:@]+):(?P<tag>[^:@]+)"
)
RETRIES = Config(retries={"mode": "standard", "max_attempts": 10})


@contextmanager
def asking(doing: str) -> Iterator[None]:
    """Like ``explained``; a value that boto3 itself refuses to send is the project's fault."""
    with explained(doing):
        try:
            yield
        except ParamValidationError as error:
            raise ProjectError(f"cannot {doing}: {error}. Edit [job] in shardyard.toml") from error


class Account:
    """The account of the credentials that are there, in one region."""

    def __init__(self, region: str | None) -> None:
        with asking("reach AWS"):
            self._session = boto3.Session(region_name=region)
            self.sagemaker: Any = self.client("sagemaker")
        self.region: str = self.sagemaker.meta.region_name

    def client(self, service: str) -> Any:
        with asking(f"reach AWS {service!r}"):
            return self._session.client(service, config=RETRIES)

    def role_arn(self, project: Project) -> str:
        """A bare name is looked up, as the SDK does."""
        role = needed_role(project)
        if "/" in role:
            return role
        with asking(f"find the role {role!r}, [job] role in shardyard.toml,"):
            return str(self.client("iam").get_role(RoleName=role)["Role"]["Arn"])

    def output_path(self, project: Project) -> str:
        """What [job] says, else the bucket that the SDK uses too, which is made when it is missing."""
        if project.job.output_path:
            return project.job.output_path
        with asking("find the AWS account of these credentials"):
            owner = self.client("sts").get_caller_identity()["Account"]
        bucket = f"sagemaker-{self.region}-{owner}"
        self._ensure(bucket, owner)
        return f"s3://{bucket}/"

    def _ensure(self, bucket: str, owner: str) -> None:
        s3 = self.client("s3")
        with asking(f"use the bucket {bucket!r} for what the job writes (set [job] output_path for another)"):
            try:
                s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=owner)
                return
            except ClientError as error:
                if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                    raise
            where = {} if self.region == "us-east-1" else {"LocationConstraint": self.region}
            s3.create_bucket(Bucket=bucket, **({"CreateBucketConfiguration": where} if where else {}))


def pinned(project: Project) -> str:
    """The image of [registry] by its digest, so that the job trains with what the tag means now."""
    uri = image_uri(project)
    found = _ECR.fullmatch(uri)
    if found is None:
        return uri
    try:
        digest = Ecr(found["region"], found["account"]).catalogued_digest(found["repository"], found["tag"])
    except RemoteError as error:
        if (
            error.code == "AccessDeniedException"
        ):  # a role that may start jobs need not be one that may read ECR
            return uri
        if error.code != "RepositoryNotFoundException":
            raise
        digest = None
    if digest is None:
        raise RemoteError(
            f"ECR has no image {uri!r}, so no job can start with it. Type: shardyard build-and-push, "
            "or give --image URI"
        )
    return f"{uri.rpartition(':')[0]}@{digest}"
