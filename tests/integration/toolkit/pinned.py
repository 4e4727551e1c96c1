"""Runs a command with one more word: the URI, by digest, of this repository's newest image.

python -m tests.integration.toolkit.pinned REPOSITORY COMMAND...
"""

from __future__ import annotations

import subprocess
import sys

import boto3

ecr = boto3.client("ecr")
(repository,) = ecr.describe_repositories(repositoryNames=[sys.argv[1]])["repositories"]
(image,) = ecr.describe_images(repositoryName=sys.argv[1], imageIds=[{"imageTag": "latest"}])["imageDetails"]
raise SystemExit(subprocess.call([*sys.argv[2:], f"{repository['repositoryUri']}@{image['imageDigest']}"]))
