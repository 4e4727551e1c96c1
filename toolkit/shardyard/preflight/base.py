"""The base image can be pulled from here, and is made for the platform."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial

from shardyard.engines.direct.engine import SignIn
from shardyard.engines.direct.sign_in import sign_in
from shardyard.errors import ProjectError, RemoteError
from shardyard.image.base import base_of
from shardyard.preflight import machine
from shardyard.preflight.aws import BRIEF, Aws
from shardyard.project.findings import Finding
from shardyard.project.model import Project
from shardyard.registry.oci.auth import Authorized
from shardyard.registry.oci.client import Repository
from shardyard.registry.oci.errors import RegistryError
from shardyard.registry.oci.manifests import ImageManifest
from shardyard.registry.oci.reference import Reference, parse
from shardyard.registry.oci.retry import Patience
from shardyard.registry.oci.transport import Http

BRIEFLY = Patience(attempts=2, longest_wait_s=2.0)
ANSWER_WITHIN_S = 10.0
_WHERE = "image.base"
_NOT_PULLED = ("no-base-image", "base-refused")


def base(project: Project, aws: Aws) -> Iterator[Finding]:
    """Its registry lets us in and has it, for the platform that the project asks for; or the Docker engine has a copy,
    which a build then takes."""
    name = base_of(project)
    found = list(_asked(project, name))
    if any(one.code in _NOT_PULLED for one in found) and machine.held(project):
        text = f"{found[0].message}. The Docker engine has a copy, which a build takes"
        found = [Finding("note", found[0].code, _WHERE, text, "", "remote")]
    yield from found


def _asked(project: Project, name: str) -> Iterator[Finding]:
    reference = parse(name)
    try:
        repository = opened(reference, partial(sign_in, config=BRIEF))
        manifest = repository.manifest(reference.version, project.image.platform)
        if manifest is None:
            remedy = "correct [image] base" if project.image.base else "shardyard images lists what there is"
            text = f"the registry {reference.host!r} has no image {name!r}"
            yield Finding("error", "no-base-image", _WHERE, text, remedy, "remote")
            return
        yield from _platform(project, repository, manifest, name)
    except RegistryError as error:
        remedy = "is there a way to it from here? A proxy goes into HTTPS_PROXY"
        if error.status in (401, 403):
            remedy = "its repository's policy, or yours, must allow ecr:BatchGetImage and ecr:GetDownloadUrlForLayer"
        yield Finding("error", "base-refused", _WHERE, error.message, remedy, "remote")
    except RemoteError as error:
        remedy = "your identity needs ecr:GetAuthorizationToken"
        yield Finding("error", "base-refused", _WHERE, error.message, remedy, "remote")
    except ProjectError as error:  # an index without the platform
        yield Finding("error", "base-platform", _WHERE, error.message, "", "remote")


def _platform(
    project: Project, repository: Repository, manifest: ImageManifest, name: str
) -> Iterator[Finding]:
    config = json.loads(repository.small_blob(manifest.config.digest))
    found = f"{config.get('os')}/{config.get('architecture')}"
    wanted = "/".join(project.image.platform.split("/")[:2])
    if found != wanted:
        text = f"{name!r} is made for {found!r}, the project wants {project.image.platform!r}"
        yield Finding(
            "error", "base-platform", _WHERE, text, f'platform = "{found}", or another base', "remote"
        )


def opened(reference: Reference, sign_in: SignIn) -> Repository:
    """A repository, asked with the patience of a preflight."""
    host = reference.host
    transport = Authorized(Http(ANSWER_WITHIN_S), host, partial(sign_in, host))
    return Repository(transport, host, reference.repository, BRIEFLY)
