"""What the job reads from S3 and writes there."""

from __future__ import annotations

from collections.abc import Iterator

from botocore.exceptions import ClientError

from shardyard.errors import RemoteError
from shardyard.preflight.aws import DENIED, Aws
from shardyard.project.findings import Finding
from shardyard.project.model import Project
from shardyard.registry.aws.boto import explained

_S3 = "s3://"
_NOT_FOUND = frozenset({"404", "NoSuchBucket", "NotFound"})


def data(project: Project, aws: Aws) -> Iterator[Finding]:
    """Every input has something under its prefix; every bucket is there, in the job's region."""
    job = project.job
    inputs = {f"job.inputs.{name}": uri for name, uri in job.inputs.items()}
    outputs = {"job.output_path": job.output_path, "job.checkpoint_s3_uri": job.checkpoint_s3_uri}
    for where, uri in {**inputs, **outputs}.items():
        if uri is None or not uri.startswith(_S3):
            continue
        bucket, _, prefix = uri[len(_S3) :].partition("/")
        try:
            bad = _bucket(where, bucket, aws)
            if bad is None and where in inputs:
                bad = _prefix(where, bucket, prefix, uri, aws)
        except RemoteError as error:
            bad = Finding("error", "s3", where, error.message, "", "remote")
        if bad is not None:
            yield bad


def _bucket(where: str, bucket: str, aws: Aws) -> Finding | None:
    with explained(f"look at the bucket {bucket!r}"):
        try:
            answer = aws.client("s3").head_bucket(Bucket=bucket)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code"))
            home = _region(error.response)
            if code in _NOT_FOUND:
                remedy = f"correct it, or type: aws s3 mb {_S3}{bucket}"
                return Finding(
                    "error", "no-bucket", where, f"there is no bucket {bucket!r}", remedy, "remote"
                )
            if home not in (None, aws.region):
                return _elsewhere(where, bucket, str(home), aws)
            if code in DENIED:
                text = f"the bucket {bucket!r} does not let these credentials in; the job's role needs to be let in"
                return Finding("warning", "s3-denied", where, text, "its owner can tell", "remote")
            raise
    home = _region(answer)
    return None if home in (None, aws.region) else _elsewhere(where, bucket, str(home), aws)


def _elsewhere(where: str, bucket: str, home: str, aws: Aws) -> Finding:
    text = f"the bucket {bucket!r} is in {home!r}, the job in {aws.region!r}: SageMaker refuses that"
    return Finding("error", "bucket-region", where, text, f"name a bucket in {aws.region}", "remote")


def _region(answer: dict[str, object]) -> str | None:
    metadata = answer.get("ResponseMetadata")
    headers = metadata.get("HTTPHeaders", {}) if isinstance(metadata, dict) else {}
    return headers.get("x-amz-bucket-region")


def _prefix(where: str, bucket: str, prefix: str, uri: str, aws: Aws) -> Finding | None:
    with explained(f"look for the data under {uri!r}"):
        try:
            found = aws.client("s3").list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in DENIED:
                raise
            text = f"{uri!r} may not be listed with these credentials; the job's role must be allowed to"
            return Finding("warning", "s3-denied", where, text, "its owner can tell", "remote")
    if found.get("KeyCount"):
        return None
    return Finding("error", "no-data", where, f"there is nothing under {uri!r}", f"aws s3 ls {uri}", "remote")
