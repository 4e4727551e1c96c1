"""Appendix A of the launch contract: what is wrong in sagemaker-training, as jobs that show it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.integration.parity.containers import MpiTree
from tests.integration.parity.tree import Result, Tree
from tests.integration.parity.trees import python, resource, sourcedir

Holds = Callable[[Result], bool]
WORDS = 'two words, $HOME `id` and it\'s "quoted"'
SHOW = "import os, sys, json\n"
# The 20 minutes that a worker waits for its daemon pass at once.
NO_DAEMON = """
from sagemaker_training import mpi
mpi.time.sleep = lambda seconds: None
mpi._wait_orted_process_to_finish()
"""
SHIM = """
import gethostname, os, subprocess, sys
command = [sys.executable, "-c", "import socket; socket.gethostname()"]
done = subprocess.run(command, env={**os.environ, "LD_PRELOAD": gethostname.__file__})
sys.exit(128 - done.returncode if done.returncode < 0 else 0)
"""


@dataclass(frozen=True)
class Defect:
    name: str
    job: Tree | MpiTree
    shows: Holds  # true of the incumbent, false of ours
    right: Holds
    pytorch: bool = False  # the incumbent as PyTorch's images start it
    script: str = (
        ""  # the incumbent's part is this program in its environment, where a job would take too long
    )
    early: bool = False  # all is known once every rank has said SEEN
    patience: float = 60.0


@dataclass
class Ended(Result):
    seconds: float = field(default=0.0)  # from the last line of the log that names its time to the end


def program(script: str, name: str = "train.py", **options: object) -> Tree:
    options.setdefault("values", {})
    tree = python("defect", **options)
    tree.files[f"code/{name}"] = SHOW + script if name.endswith(".py") else script
    assert tree.hyperparameters is not None
    tree.hyperparameters["sagemaker_program"] = json.dumps(name)
    return tree


def framework(body: str, **values: str) -> Tree:
    environment = {
        "SAGEMAKER_TRAINING_MODULE": "framework:main",
        "PYTHONPATH": "@/code",
        "AWS_REGION": "us-east-1",
    }
    files = {"code/framework.py": f"def main():\n    {body}\n"}
    return program("", files=files, values=values, environment=environment)


def options(text: str) -> MpiTree:
    return MpiTree("options", script="", values={"sagemaker_mpi_custom_mpi_options": json.dumps(text)})


def failed(result: Result) -> bool:
    return result.exit_code != 0 and result.failure is not None and not result.succeeded


def is_silent(result: Result) -> bool:
    return result.exit_code == 0 and result.failure is None and not result.succeeded


def refused(word: str) -> Holds:
    return lambda result: (
        result.exit_code == 2 and f"custom_mpi_options has '{word}'" in (result.failure or "")
    )


def said(text: str) -> Holds:
    return lambda result: text in result.log


def starts(text: str, code: int) -> Holds:
    return lambda result: result.exit_code == code and (result.failure or "").startswith(text)


ARGV = "print('GOT', json.dumps(sys.argv[1:]))"
EXACT = said("GOT " + json.dumps(["-x", WORDS, "-y", "z"]))
ARCHIVE = sourcedir({"train.py": "print('submitted')"})
HOSTS = """
import os
os.write(1, f"{os.environ['OMPI_COMM_WORLD_RANK']} on {os.environ['SM_CURRENT_HOST']};\\n".encode())
os.write(1, b"SEEN\\n")
"""
SAME = """
import sys
from mpi4py import MPI
print("ValueError: all say the same", file=sys.stderr, flush=True)
MPI.COMM_WORLD.Barrier()
raise ValueError("all say the same")
"""
LONG = "import os\nos.write(1, b'x' * 400_000 + b'\\n')\n"
LAST = "import os, time\nos.write(1, f'LAST {time.time()}\\n'.encode())\n"


def has_whole_lines(result: Result) -> bool:
    whole = {f"[1,mpirank:{rank},algo-1]<stdout>:{'x' * 400_000}" for rank in range(2)}
    return whole <= set(result.log.splitlines())


DEFECTS = [
    Defect(
        "an exception without errno ends with 0",
        framework("raise OSError('the disk said no')"),
        shows=lambda result: result.exit_code == 0 and result.failure is not None,
        right=starts("rank 0 on algo-1: OSError: the disk said no", 1),
    ),
    Defect("SystemExit ends with 0 and no file", framework("raise SystemExit(3)"), is_silent, failed),
    Defect(
        "SystemExit hangs where output is copied to S3",
        framework("raise SystemExit(3)", sagemaker_s3_output='"s3://bucket/out"'),
        shows=lambda result: result.exit_code < 0,  # it had to be killed
        right=lambda result: failed(result) and result.exit_code == 3,
        patience=20,
    ),
    *(
        Defect(f"{option} ends with 0 and no file", options(option), is_silent, refused(option.split()[0]))
        for option in ("-host algo-1", "-hostfile hosts", "-h")
    ),
    Defect(
        "a repeated -mca ends mpirun",
        options("-mca btl_vader_single_copy_mechanism none"),
        shows=lambda result: result.exit_code != 0 and "listed multiple times" in result.log,
        right=lambda result: result.succeeded and "says again what holds anyway" in result.log,
    ),
    Defect(
        "a shell reads the arguments",
        program(ARGV, values={"x": json.dumps(WORDS), "y": '"z"'}),
        shows=lambda result: not EXACT(result),
        right=EXACT,
        pytorch=True,
    ),
    Defect(
        "an apostrophe stops a shell script",
        program("#!/bin/sh\necho ran\n", "train.sh", values={"x": '"it\'s"'}),
        shows=lambda result: not said("ran")(result) and result.exit_code != 0,
        right=lambda result: result.out == b"ran\n" and result.succeeded,
        pytorch=True,
    ),
    Defect(
        "one line becomes two",
        program("import time\nos.write(1, b'half a')\ntime.sleep(0.5)\nos.write(1, b' line\\n')\n"),
        shows=lambda result: "half a line\n" not in result.log,
        right=lambda result: result.out == b"half a line\n",
        pytorch=True,
    ),
    Defect(
        "long lines lose their tags",
        MpiTree("long", script=LONG),
        shows=lambda result: not has_whole_lines(result),
        right=has_whole_lines,
        pytorch=True,
    ),
    Defect(
        "a word starts the error",
        program("print('no Exception so far', flush=True)\nprint('step 1')\nsys.exit(4)\n"),
        shows=lambda result: "step 1" in (result.failure or ""),
        right=starts("rank 0 on algo-1: SystemExit: exit code 4", 4),
        pytorch=True,
    ),
    Defect(
        "ranks from 10 on say it again",
        MpiTree("same", per_host=12, script=SAME),
        shows=lambda result: len(re.findall(r"\]<stderr>:ValueError: all", result.failure or "")) > 1,
        right=lambda result: failed(result) and (result.failure or "").count("Traceback") == 1,
        pytorch=True,
    ),
    Defect(
        "the failure has no message",
        program("raise ValueError('the cause')"),
        shows=lambda result: "the cause" not in (result.failure or "the cause"),
        right=starts("rank 0 on algo-1: ValueError: the cause", 1),
    ),
    Defect(
        "a kill says nothing of memory",
        program("os.kill(os.getpid(), 9)"),
        shows=lambda result: "emory" not in (result.failure or "emory"),
        right=lambda result: result.exit_code == 137 and "memory" in (result.failure or ""),
    ),
    Defect(
        "the host name's library needs a file",
        program("import socket; socket.gethostname()", resource=None),
        shows=lambda result: result.exit_code == 139,
        right=lambda result: result.succeeded,
        script=SHIM,
    ),
    Defect(
        "a worker without daemon is a TypeError",
        program(
            "",
            values={"sagemaker_mpi_enabled": "true"},
            resource=resource(current_host="algo-2", hosts=["no-such-host", "algo-2"]),
            environment={"SHARDYARD_HOST_TIMEOUT": "1"},
        ),
        shows=said("TypeError: 'NoneType' object is not iterable"),
        right=starts("Host 'no-such-host' did not admit 'algo-2' within 1 s", 1),
        script=NO_DAEMON,
    ),
    Defect(
        "all ranks are on the first host",
        MpiTree("hosts", hosts=2, per_host=1, script=HOSTS),
        shows=said("1 on algo-1;"),
        right=said("1 on algo-2;"),
        early=True,
    ),
    Defect(
        "SAGEMAKER_SUBMIT_DIRECTORY counts for nothing",
        program(
            "print('baked')",
            files={"elsewhere/train.py": "print('elsewhere')"},
            environment={"SAGEMAKER_SUBMIT_DIRECTORY": "@/elsewhere"},
        ),
        shows=said("baked"),
        right=lambda result: result.out == b"elsewhere\n",
    ),
    Defect(
        "SAGEMAKER_CONTAINER_LOG_LEVEL counts for nothing",
        program(
            "print('LEVEL', os.environ['SM_LOG_LEVEL'])", environment={"SAGEMAKER_CONTAINER_LOG_LEVEL": "40"}
        ),
        shows=said("LEVEL 20"),
        right=said("LEVEL 40"),
    ),
    Defect(
        "code of the image hides what was submitted",
        program(
            "print('baked')",
            files={"input/data/code/sourcedir.tar.gz": ARCHIVE},
            values={"sagemaker_submit_directory": '"@/input/data/code/sourcedir.tar.gz"'},
        ),
        shows=said("baked"),
        right=lambda result: result.out == b"submitted\n",
    ),
    Defect(
        "half a minute of sleep at the end",
        MpiTree("end", script=LAST),
        shows=lambda result: isinstance(result, Ended) and result.seconds > 29,
        right=lambda result: result.succeeded and isinstance(result, Ended) and result.seconds < 10,
    ),
    Defect(
        "a failure of gloo is a success",
        program(
            "print('RuntimeError: connection closed', file=sys.stderr)\n"
            "print(\"terminate called after throwing an instance of 'gloo::EnforceNotMet'\", file=sys.stderr)\n"
            "sys.stderr.flush()\n"
            "os.abort()\n"
        ),
        shows=lambda result: result.exit_code == 0 and result.succeeded,
        right=lambda result: result.exit_code == 134 and failed(result),
        pytorch=True,
    ),
    Defect(
        "False means yes",
        MpiTree(
            "false",
            script="import os\nos.write(1, b'SIZE %s;\\n' % os.environb.get(b'OMPI_COMM_WORLD_SIZE', b'none'))\n",
            values={"sagemaker_mpi_enabled": "False"},
        ),
        shows=said("SIZE 2;"),
        right=said("SIZE none;"),
    ),
]
