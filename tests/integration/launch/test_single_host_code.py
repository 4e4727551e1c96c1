"""Where the code comes from and what is installed before it runs."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from tests.integration.parity.tree import REPOSITORY, Result, Tree, finish, run, start


def archive(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture(scope="module")
def storage() -> Iterator[dict[str, str]]:
    """A stand-in for S3; gives what a container's environment says of it."""
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
        "S3_ENDPOINT_URL": f"http://{host}:{port}",
        "NO_PROXY": host,
    }
    client = boto3.client(
        "s3",
        endpoint_url=environment["S3_ENDPOINT_URL"],
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    )
    client.create_bucket(Bucket="bucket")
    body = archive({"train.py": "import os; print('submitted', os.getcwd(), os.environ['SM_MODULE_DIR'])"})
    client.put_object(Bucket="bucket", Key="job/source/sourcedir.tar.gz", Body=body)
    yield environment
    server.stop()


URI = "s3://bucket/job/source/sourcedir.tar.gz"


def job(environment: dict[str, str], **values: str) -> Tree:
    return Tree("job", {}, {"sagemaker_program": '"train.py"', **values}, environment=environment)


def test_code_comes_from_s3_and_wins_over_the_images(storage: dict[str, str], tmp_path: Path) -> None:
    tree = job(storage, sagemaker_submit_directory=json.dumps(URI))
    result = run(tree, tmp_path / "bare")
    assert result.out.decode() == f"submitted {tmp_path}/bare/code {URI}\n", result.log
    tree.files["code/train.py"] = "print('baked')"
    result = run(tree, tmp_path / "full")
    assert result.out.decode() == f"submitted {tmp_path}/full/code-submitted {URI}\n", result.log
    assert "it wins over the code of the image" in result.log
    tree.environment = {**storage, "SHARDYARD_CODE": "image"}
    result = run(tree, tmp_path / "reversed")
    assert result.out == b"baked\n"
    assert f"because SHARDYARD_CODE=image; the hyperparameter sagemaker_submit_directory={URI}" in result.log


def test_the_variable_names_the_code_too(storage: dict[str, str], tmp_path: Path) -> None:
    result = run(job({**storage, "SAGEMAKER_SUBMIT_DIRECTORY": URI}), tmp_path)
    assert result.out.startswith(b"submitted"), result.log


def test_an_object_that_is_not_there(storage: dict[str, str], tmp_path: Path) -> None:
    result = run(job(storage, sagemaker_submit_directory='"s3://bucket/none.tar.gz"'), tmp_path)
    assert result.exit_code == 4
    assert result.failure is not None
    assert result.failure.startswith(
        "The code could not be fetched from 's3://bucket/none.tar.gz': ClientError"
    )
    assert "s3:GetObject" in result.failure


def bare_python(folder: Path) -> Path:
    """A Python of its own, with pip and nothing else."""
    venv.create(folder, with_pip=True, symlinks=True)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bare_python(tmp_path_factory.mktemp("python") / "env")


def wheel(folder: Path, name: str, text: str) -> None:
    folder.mkdir(exist_ok=True)
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", text)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


def run_with(python: Path, tree: Tree, base: Path) -> Result:
    tree.write(base)
    command = [str(python), "-m", "shardyard_runtime.launch"]
    environment = {**tree.environment, "PYTHONPATH": str(REPOSITORY / "runtime")}
    return finish(start(command, base, environment), base)


NO_NETWORK = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "0", "PIP_FIND_LINKS": ""}


@pytest.mark.parametrize("program", ["train.py", "train.sh"])
def test_requirements_are_installed_offline_from_a_wheelhouse(
    python: Path, tmp_path: Path, program: str
) -> None:
    module = f"needed_{program[-2:]}"
    wheel(tmp_path / "wheels", module, "word = 'installed'")
    body = f"import {module}; print({module}.word)"
    tree = Tree("job", {}, {"sagemaker_program": json.dumps(program)}, environment=dict(NO_NETWORK))
    tree.environment["SHARDYARD_WHEELHOUSE"] = str(tmp_path / "wheels")
    tree.files["code/requirements.txt"] = f"{module}\n"
    tree.files[f"code/{program}"] = body if program == "train.py" else f'{python} -c "{body}"\n'
    result = run_with(python, tree, tmp_path / "ml")
    assert (result.exit_code, result.out) == (0, b"installed\n"), result.log


def test_a_package_is_installed_and_run_as_a_module(python: Path, tmp_path: Path) -> None:
    """Its build tool comes from the wheelhouse's place too: a backend in the tree itself needs none."""
    tree = Tree("job", {}, {"sagemaker_program": '"mine.py"', "lr": "0.1"}, environment=dict(NO_NETWORK))
    wheel(tmp_path / "wheels", "helper", "word = 'help'")
    tree.environment["SHARDYARD_WHEELHOUSE"] = str(tmp_path / "wheels")
    backend = """
        import zipfile
        def get_requires_for_build_wheel(config_settings=None): return []
        def build_wheel(folder, config_settings=None, metadata_directory=None):
            with zipfile.ZipFile(f"{folder}/mine-1.0-py3-none-any.whl", "w") as file:
                file.write("mine.py")
                file.writestr("mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\\nName: mine\\nVersion: 1.0\\n")
                file.writestr("mine-1.0.dist-info/WHEEL",
                    "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
                file.writestr("mine-1.0.dist-info/RECORD", "")
            return "mine-1.0-py3-none-any.whl"
    """
    import textwrap

    tree.files |= {
        "code/setup.py": "",
        "code/pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "code/backend.py": textwrap.dedent(backend),
        "code/requirements.txt": "helper\n",
        "code/mine.py": "import sys, helper; print(__name__, helper.word, sys.argv[1:])",
    }
    result = run_with(python, tree, tmp_path / "ml")
    assert (result.exit_code, result.out) == (0, b"__main__ help ['--lr', '0.1']\n"), result.log
    shown = subprocess.run([str(python), "-m", "pip", "show", "mine"], capture_output=True, text=True)
    assert "Version: 1.0" in shown.stdout


def test_what_pip_refuses_is_the_failure_text(python: Path, tmp_path: Path) -> None:
    tree = job(dict(NO_NETWORK))
    tree.files |= {"code/train.py": "print('ran')", "code/requirements.txt": "no-such-thing==9\n"}
    result = run_with(python, tree, tmp_path)
    assert result.exit_code == 1
    assert result.failure is not None
    assert result.failure.startswith("pip could not install -r requirements.txt")
    assert "no-such-thing==9" in result.failure
    assert b"ran" not in result.out


def test_without_boto3_the_error_says_what_to_add(python: Path, tmp_path: Path) -> None:
    result = run_with(python, job({}, sagemaker_submit_directory=json.dumps(URI)), tmp_path)
    assert result.exit_code == 3
    assert result.failure is not None
    assert "needs boto3, and this image has none" in result.failure


def test_a_developers_python_is_left_alone(tmp_path: Path) -> None:
    tree = job({"SHARDYARD_LOCAL_HOSTS": json.dumps({"algo-1": str(tmp_path)})})
    tree.files |= {"code/train.py": "print('ran')", "code/requirements.txt": "no-such-thing==9\n"}
    result = run(tree, tmp_path / "ml")
    assert (result.exit_code, result.out) == (0, b"ran\n"), result.log
    assert "not installed on this machine: -r requirements.txt" in result.log


TORCHRUN = """
import os, sys, torch.distributed as dist
dist.init_process_group("gloo")
total = __import__("torch").ones(1)
dist.all_reduce(total)
print("rank", dist.get_rank(), "of", int(total), os.environ["SM_CURRENT_HOST"], sys.argv, __name__, flush=True)
if "--fail" in sys.argv and dist.get_rank() == 1:
    raise ValueError("bad shard")
dist.barrier()
dist.destroy_process_group()
"""


def torchrun(base: Path, **values: str) -> Result:
    tree = job(
        {"OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        sagemaker_torch_distributed_enabled="true",
        sagemaker_mpi_num_of_processes_per_host="2",
        **values,
    )
    tree.files["code/train.py"] = TORCHRUN
    return run(tree, base, timeout=120)


def test_torchrun_starts_one_process_a_device(tmp_path: Path) -> None:
    result = torchrun(tmp_path, lr='"a b"')
    assert result.exit_code == 0, result.log
    assert sorted(result.out.decode().splitlines()) == [
        f"rank {rank} of 2 algo-1 ['train.py', '--lr', 'a b'] __main__" for rank in (0, 1)
    ]


def test_the_first_failing_process_of_torchrun_is_the_cause(tmp_path: Path) -> None:
    result = torchrun(tmp_path, fail="1")
    assert result.exit_code == 1
    assert result.failure is not None
    assert result.failure.startswith("rank 1 on algo-1: ValueError: bad shard\n"), result.failure
    assert 'raise ValueError("bad shard")' in result.failure[:1024]


def test_torchrun_takes_python_programs_only(tmp_path: Path) -> None:
    tree = Tree("job", {"code/run.sh": "true"}, {"sagemaker_program": '"run.sh"'})
    assert tree.hyperparameters is not None
    tree.hyperparameters["sagemaker_torch_distributed_enabled"] = "true"
    result = run(tree, tmp_path)
    assert result.exit_code == 2
    assert result.failure is not None
    assert "torchrun starts Python programs only" in result.failure


def test_it_runs_as_a_console_command_whatever_its_arguments(tmp_path: Path) -> None:
    tree = job({})
    tree.files["code/train.py"] = "import sys; print(sys.argv)"
    tree.write(tmp_path)
    command = [os.path.join(os.path.dirname(sys.executable), "train"), "train"]
    result = finish(start(command, tmp_path, tree.environment), tmp_path)
    assert (result.exit_code, result.out) == (0, b"['train.py']\n"), result.log
