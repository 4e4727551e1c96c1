"""The base image that a framework, version, Python, device and region mean."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from shardyard.catalog import regions
from shardyard.catalog.data_files import NoBase, read
from shardyard.project.findings import nearest

__all__ = ["Base", "NoBase", "all_bases", "find", "numbers", "of_reference", "select", "versions"]

FILE = "base_images.json"
PLATFORM = "linux/amd64"  # the only one that the listed images are published for


@dataclass(frozen=True)
class Base:
    """One image of the catalog; ``smp`` is the newest version of the original library that it carried.

    ``tag`` is the short one where there is one, ``full_tag`` names CUDA and the system too.
    """

    framework: str
    version: str
    repository: str
    device: str
    python: str
    tag: str
    smp: str | None
    full_tag: str = ""
    cuda: str | None = None
    system: str | None = None
    smp_history: tuple[str, ...] = ()
    other_tags: tuple[str, ...] = ()
    end_of_patch: str | None = None

    def uri(self, region: str) -> str:
        return f"{regions.find(region).registry}/{self.repository}:{self.tag}"

    @property
    def bundled_works(self) -> bool:
        """Whether the runtime of this project runs in it."""
        oldest = read("runtimes.json")["bundled"]
        python = self.python.removeprefix("py")
        return numbers(self.version) >= numbers(oldest[self.framework]) and (
            numbers(f"{python[:1]}.{python[1:] or 0}") >= numbers(oldest["python"])
        )


def numbers(version: str) -> tuple[int, ...]:
    """A version's numbers, to compare: "2.10.1" is newer than "2.9"."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


@cache
def all_bases() -> tuple[Base, ...]:
    """Every image, oldest version first; of one version and device the one to choose comes last."""
    found = []
    for framework, block in read(FILE)["frameworks"].items():
        for version, row in block["versions"].items():
            images = [_base(framework, version, row, image) for image in row["images"]]
            found += sorted(images, key=lambda base: base.tag != base.full_tag)
    return tuple(found)


def _base(framework: str, version: str, row: dict[str, Any], image: dict[str, Any]) -> Base:
    return Base(
        framework=framework,
        version=version,
        repository=row["repository"],
        device=image["device"],
        python=image["python"],
        tag=image["short_tag"] or image["tag"],
        smp=image["smp"][-1] if image["smp"] else None,
        full_tag=image["tag"],
        cuda=image["cuda"],
        system=image["os"],
        smp_history=tuple(image["smp"]),
        other_tags=tuple(image.get("also_tagged", ())),
        end_of_patch=row.get("end_of_patch"),
    )


def versions(framework: str) -> list[str]:
    """Oldest first."""
    return list(read(FILE)["frameworks"][framework]["versions"])


def select(
    framework: str | None = None,
    version: str | None = None,
    device: str | None = None,
    python: str | None = None,
) -> Iterator[Base]:
    """The images that fit; ``version`` may be a part of one: "2" and "2.1" mean all that begin so."""
    for base in all_bases():
        if framework not in (None, base.framework) or device not in (None, base.device):
            continue
        if version is not None and not _begins(base.version, version):
            continue
        if python is None or base.python == _python_tag(python):
            yield base


def find(framework: str, version: str | None, python: str | None, device: str) -> Base:
    """The catalog's image; without a version the newest of ``<framework>-training``. Raises NoBase."""
    exact = exact_version(framework, version)
    of_version = [base for base in all_bases() if (base.framework, base.version) == (framework, exact)]
    fitting = [base for base in of_version if base.device == device]
    chosen = [base for base in fitting if python is None or base.python == _python_tag(python)]
    if not chosen:
        have = sorted({f"{base.device} with {base.python}" for base in of_version})
        key = "image.python_version" if fitting else "image.device"
        wanted = f" with {_python_tag(python)}" if python else ""
        message = f"{framework} {exact} has no {device} image{wanted}"
        raise NoBase(key, message, "there is: " + (", ".join(have) or "none at all"))
    return chosen[-1]


def of_reference(reference: str) -> Base | None:
    """The catalog's image that a reference names by repository and tag, in whichever registry it lies."""
    name, _, tag = reference.partition("@")[0].rpartition(":")
    repository = name.rpartition("/")[2]
    for base in all_bases():
        if repository == base.repository and tag in (base.tag, base.full_tag, *base.other_tags):
            return base
    return None


def exact_version(framework: str, version: str | None) -> str:
    """The version that an abbreviation means: "2.0" is 2.0.1; the newest for None. Raises NoBase."""
    known = versions(framework)
    block = read(FILE)["frameworks"][framework]
    if version is None:
        # The layout that the SDK knows: newer ones lie in another repository.
        return [one for one in known if block["versions"][one]["repository"] == f"{framework}-training"][-1]
    exact = block["aliases"].get(version, version)
    if exact not in known:
        begin_so = [one for one in known if version.count(".") == 1 and _begins(one, version)]
        if begin_so:
            return begin_so[-1]
        guess = nearest(version, known)
        remedy = f"did you mean {guess!r}?" if guess else f"the newest is {known[-1]!r}"
        raise NoBase("image.framework_version", f"there is no image of {framework} {version!r}", remedy)
    return str(exact)


def _begins(version: str, with_: str) -> bool:
    """Whether a version is of this series: 2.1.0 and 2.1.2 are of 2.1, and 2.11.0 is not."""
    return (version + ".").startswith(with_ + ".")


def _python_tag(python: str) -> str:
    return "py" + python.removeprefix("py").replace(".", "")
