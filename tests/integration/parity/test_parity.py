"""The same tree through sagemaker-training and through ours: what the script sees is equal, but for what is listed."""

from __future__ import annotations

import dataclasses
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.integration.parity import known, trees
from tests.integration.parity.seen import differences, seen
from tests.integration.parity.tree import REPOSITORY, Result, Tree, finish, incumbent, ours, start, variables

Both = tuple[Result, Result]  # the incumbent's and ours
TREES = {tree.name: tree for tree in [*trees.EQUAL, *trees.SUBMITTED, *trees.DIFFERENT.values()]}


def at(tree: Tree, base: Path) -> Tree:
    """The tree with its own place in the texts that name it."""
    hyperparameters = {
        key: value.replace("@", str(base)) if key == "sagemaker_submit_directory" else value
        for key, value in (tree.hyperparameters or {}).items()
    }
    environment = {name: value.replace("@", str(base)) for name, value in tree.environment.items()}
    return dataclasses.replace(tree, hyperparameters=hyperparameters, environment=environment)


def launch(tree: Tree, base: Path, command: list[str]) -> Result:
    tree = at(tree, base)
    tree.write(base)
    return finish(start(command, base, tree.environment), base)


def both(tree: Tree, folder: Path) -> Both:
    with ThreadPoolExecutor(2) as pool:
        theirs = pool.submit(launch, tree, folder / "theirs", incumbent())
        return theirs.result(), launch(tree, folder / "ours", ours())


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Both]:
    """Every tree through both."""
    folder = tmp_path_factory.mktemp("parity")
    with ThreadPoolExecutor(2) as pool:
        pairs = pool.map(lambda tree: both(tree, folder / tree.name.replace(" ", "-")), TREES.values())
        return dict(zip(TREES, pairs, strict=True))


def unexplained(pair: Both) -> tuple[dict[str, Any], set[str]]:
    """What no listed difference explains, and the names of those that were met."""
    found = differences(seen(pair[0]), seen(pair[1]))
    names = {place: known.explain(place, values) for place, values in found.items()}
    return {place: found[place] for place, name in names.items() if name is None}, {
        n for n in names.values() if n
    }


EVERYWHERE = {"python-path", "modelparallel-known"}


@pytest.mark.parametrize("name", [tree.name for tree in [*trees.EQUAL, *trees.SUBMITTED]])
def test_the_script_sees_the_same(runs: dict[str, Both], name: str) -> None:
    left, met = unexplained(runs[name])
    assert not left, runs[name][1].log
    assert met <= EVERYWHERE
    theirs = seen(runs[name][0])
    assert "environment" in theirs, runs[name][0].log  # the script ran


@pytest.mark.parametrize("name", sorted(set(trees.DIFFERENT) - known.WHOLE))
def test_a_listed_difference_is_there(runs: dict[str, Both], name: str) -> None:
    left, met = unexplained(runs[trees.DIFFERENT[name].name])
    assert not left
    assert met - EVERYWHERE == {name}


def test_submitted_code_wins_only_in_ours(runs: dict[str, Both]) -> None:
    theirs, mine = (seen(result) for result in runs["baked"])
    assert (theirs["folder"], mine["folder"]) == ("/opt/ml/code", "/opt/ml/code-submitted")
    theirs, mine = (seen(result) for result in runs["variable"])
    assert (theirs["folder"], mine["folder"]) == ("/opt/ml/code", "/opt/ml/elsewhere")


def test_a_job_that_only_ours_starts(runs: dict[str, Both]) -> None:
    for name in ("no files", "unsettable"):
        theirs, mine = runs[name]
        assert theirs.exit_code != 0
        assert mine.exit_code == 0, mine.log


def test_the_documentation_lists_every_difference() -> None:
    assert known.documented() == {item.name for item in known.KNOWN} | known.WHOLE
    assert set(trees.DIFFERENT) | EVERYWHERE == known.documented()


@settings(
    max_examples=8,
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(tree=trees.generated())
def test_any_tree_looks_the_same(tmp_path_factory: pytest.TempPathFactory, tree: Tree) -> None:
    left, met = unexplained(pair := both(tree, tmp_path_factory.mktemp("generated")))
    assert not left, pair[1].log
    assert met <= EVERYWHERE | {"last-quotes"}
    assert seen(pair[0])["succeeded"]


def test_at_the_real_place(tmp_path: Path) -> None:
    """/opt/ml itself, in a mount namespace of its own."""
    found = []
    for name, command in (("theirs", incumbent()), ("ours", ours())):
        base = trees.python("real", values={"lr": "0.1"}).write(tmp_path / name)
        environment = variables(base, {})
        del environment["SAGEMAKER_BASE_DIR"]
        environment["PYTHONPATH"] = str(REPOSITORY / "runtime") if name == "ours" else ""
        script = 'mount -t tmpfs none /opt && mkdir /opt/ml && mount --bind "$0" /opt/ml && exec "$@"'
        alone = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
        done = subprocess.run(
            [*alone, "sh", "-c", script, str(base), *command], env=environment, cwd="/", capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode()
        found.append(seen(Result(base, done.returncode, done.stdout, done.stderr)))
    assert found[1]["folder"] == "/opt/ml/code"
    places = differences(*found)
    assert {known.explain(place, pair) for place, pair in places.items()} <= EVERYWHERE, places


def test_there_are_forty_trees() -> None:
    assert len(TREES) >= 40


def test_the_incumbent_names_our_errors(tmp_path: Path) -> None:
    """It looks our exception modules up by their import path, and heads its failure text with the class."""
    script = """
import os, sys
os.environ["SM_HP_MP_PARAMETERS"] = "{}"
from sagemaker_training import errors, mpi, process
names = mpi.get_modelparallel_exception_classes()
assert "PeerFailed" in names and "ParameterError" in names, names
try:
    process.check_error([sys.executable, "train.py"], names, 1, cwd=os.getcwd())
except errors.ClientError as error:
    print(type(error).__name__)
"""
    (tmp_path / "train.py").write_text(
        "from smdistributed.modelparallel.backend.exceptions import PeerFailed\nraise PeerFailed('rank 3 is gone')\n"
    )
    environment = {**variables(tmp_path, {}), "PYTHONPATH": str(REPOSITORY / "runtime")}
    python = str(Path(incumbent()[0]).with_name("python"))
    done = subprocess.run(
        [python, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1:] == ["PeerFailed"], done.stdout + done.stderr
