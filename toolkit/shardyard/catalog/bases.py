"""The base image that a framework, version, Python, device and region mean."""

from __future__ import annotations

from dataclasses import dataclass

from shardyard.catalog.data_files import read
from shardyard.project.findings import nearest


class NoBase(LookupError):
    """No such base; the message says what there is instead, ``key`` the setting to change."""

    def __init__(self, key: str, message: str, remedy: str) -> None:
        super().__init__(message)
        self.key, self.message, self.remedy = key, message, remedy


@dataclass(frozen=True)
class Base:
    """One image of the catalog; ``smp`` is the version of the original library it carries, if any."""

    framework: str
    version: str
    repository: str
    device: str
    python: str
    tag: str
    smp: str | None

    def uri(self, region: str) -> str:
        row = read("registries.json")["regions"].get(region)
        if row is None:
            known = list(read("registries.json")["regions"])
            guess = nearest(region, known)
            remedy = f"did you mean {guess!r}?" if guess else "known regions: " + ", ".join(known)
            raise NoBase("registry.region", f"no base images are known in region {region!r}", remedy)
        return f"{row['account']}.dkr.ecr.{region}.{row['dns_suffix']}/{self.repository}:{self.tag}"


def versions(framework: str) -> list[str]:
    """Oldest first."""
    return list(read("base_images.json")[framework])


def find(framework: str, version: str | None, python: str | None, device: str) -> Base:
    """The catalog's image; without a version the newest of ``<framework>-training``. Raises NoBase."""
    catalog = read("base_images.json")
    exact = _exact(framework, version)
    row = catalog[framework][exact]
    fitting = [image for image in row["images"] if image["device"] == device]
    wanted = None if python is None else "py" + python.removeprefix("py").replace(".", "")
    chosen = [image for image in fitting if wanted in (None, image["python"])]
    if not chosen:
        have = sorted({f"{image['device']} with {image['python']}" for image in row["images"]})
        key = "image.python_version" if fitting else "image.device"
        message = f"{framework} {exact} has no {device} image" + (f" with {wanted}" if wanted else "")
        raise NoBase(key, message, "there is: " + (", ".join(have) or "none at all"))
    image = chosen[-1]
    return Base(framework, exact, row["repository"], device, image["python"], image["tag"], image["smp"])


def _exact(framework: str, version: str | None) -> str:
    known = versions(framework)
    if version is None:
        rows = read("base_images.json")[framework]
        return [one for one in known if rows[one]["repository"] == f"{framework}-training"][-1]
    exact = read("base_images.json")[f"{framework}_aliases"].get(version, version)
    if exact not in known:
        guess = nearest(version, known)
        remedy = f"did you mean {guess!r}?" if guess else f"the newest is {known[-1]!r}"
        raise NoBase("image.framework_version", f"there is no image of {framework} {version!r}", remedy)
    return str(exact)
