"""Which code runs: what was submitted with the job, or what is baked into the image."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .config import JobConfig
from .errors import LaunchError

log = logging.getLogger(__name__)

PREFERENCE = "SHARDYARD_CODE"  # "image" runs the baked code although other code was submitted


@dataclass(frozen=True)
class Code:
    folder: Path
    module_dir: str  # what SM_MODULE_DIR tells: the place as it was submitted


def choose_code(config: JobConfig, environ: Mapping[str, str] = os.environ) -> Code:
    """Puts the job's code in place, and says in the log which it is and why."""
    baked = _baked(config, environ)
    submitted, source = _submission(config, environ)
    preference = (environ.get(PREFERENCE) or "submitted").strip().lower()
    if preference not in {"image", "submitted"}:
        raise LaunchError(
            f"{PREFERENCE} is {environ[PREFERENCE]!r}. It must be 'submitted' (the default: code submitted "
            "with the job wins) or 'image' (the code baked into the image wins)."
        )
    if not submitted:
        log.info("code: %s, the code of the image; the job brought none of its own", baked)
        return Code(baked, str(baked))
    has_baked = not _is_empty(baked)
    if preference == "image" and has_baked:
        log.info(
            "code: %s, the code of the image, because %s=image; %s is not used", baked, PREFERENCE, source
        )
        return Code(baked, str(baked))
    code = config.base / "code"
    folder = code if _is_empty(code) else _fresh_folder(config.base)
    folder.mkdir(parents=True, exist_ok=True)
    _fetch(submitted, folder, environ)
    reason = f"it wins over the code of the image in {baked}; {PREFERENCE}=image reverses that"
    log.info("code: %s, from %s%s", folder, source, f"; {reason}" if has_baked else "")
    return Code(folder, submitted)


def _baked(config: JobConfig, environ: Mapping[str, str]) -> Path:
    named = environ.get("SAGEMAKER_SUBMIT_DIRECTORY") or ""
    return Path(named) if Path(named).is_dir() and named else config.base / "code"


def _submission(config: JobConfig, environ: Mapping[str, str]) -> tuple[str, str]:
    """Where submitted code lies, and a word on who said so. A folder named by the environment is the image's."""
    found = environ.get("SAGEMAKER_SUBMIT_DIRECTORY") or ""
    if found and not Path(found).is_dir() and not _same(found, config.base / "code"):
        return found, f"SAGEMAKER_SUBMIT_DIRECTORY={found}"
    found = str(config.hyperparameters.get("sagemaker_submit_directory") or "").removeprefix("file://")
    if _same(found, config.base / "code") or _same(found, _baked(config, environ)):
        return "", ""
    return found, f"the hyperparameter sagemaker_submit_directory={found}"


def _fetch(submitted: str, folder: Path, environ: Mapping[str, str]) -> None:
    import tarfile  # code that lies in the image starts sooner without these
    import tempfile

    from . import s3
    from .archive import unpack

    if submitted.startswith("s3://"):
        with tempfile.TemporaryDirectory(prefix="shardyard-code-") as temporary:
            archive = Path(temporary) / "sourcedir"
            s3.download(submitted, archive, environ)
            unpack(archive, folder, submitted)
        return
    local = Path(submitted.removeprefix("file://"))
    if local.is_dir():
        if folder.resolve().is_relative_to(local.resolve()):
            raise LaunchError(
                f"The submitted code {submitted!r} contains the code folder {str(folder)!r} itself."
            )
        shutil.copytree(local, folder, symlinks=True, dirs_exist_ok=True)
    elif not local.is_file():
        raise LaunchError(
            f"The submitted code {submitted!r} is not there. It must be s3://BUCKET/KEY of a tar file, or a "
            "folder or a tar file in the container."
        )
    elif tarfile.is_tarfile(local):
        unpack(local, folder, submitted)
    else:
        shutil.copy2(local, folder)


def _fresh_folder(base: Path) -> Path:
    """Beside the baked code, and new: nothing of an earlier start or of the image is mixed in."""
    number = 1
    while True:
        folder = base / ("code-submitted" if number == 1 else f"code-submitted-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def _is_empty(folder: Path) -> bool:
    return not folder.is_dir() or not any(folder.iterdir())


def _same(submitted: str, folder: Path) -> bool:
    return "://" not in submitted and os.path.realpath(submitted) == os.path.realpath(folder)
