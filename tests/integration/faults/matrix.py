"""The faults: what happens, how soon all hosts must have ended, with which exit code and which words."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.integration.faults.job import ContainerJob

SILENCE = 3.0  # SHARDYARD_HOST_TIMEOUT of these jobs
GRACE = 2.0  # SHARDYARD_STOP_GRACE
WAIT = "time.sleep(120)"
UNTIL_GO = "wait_for_go()"
CHECKPOINT = """
    def save(*_):
        print("CHECKPOINT", flush=True)
        sys.exit(0)
    signal.signal(signal.SIGTERM, save)
    time.sleep(120)
"""


@dataclass(frozen=True)
class Fault:
    """`act` comes once every rank is ready; without it the script has the fault in itself."""

    name: str
    script: str
    code: int
    text: str  # how the failure file begins, a regular expression
    act: Callable[[ContainerJob], float | None] | None = None  # may say when the fault was there
    bound: float = 5.0
    hosts: int = 2
    spared: tuple[str, ...] = ()  # hosts that die of the fault itself: code and text do not apply
    in_log: tuple[tuple[str, int], ...] = ()  # what the first host's log must hold, and how often
    options: dict[str, Any] = field(default_factory=dict)


def kill_rank(job: ContainerJob) -> None:
    job.run_in("algo-2", f"kill -9 {job.pid_of(3)}")


def kill(pattern: str, host: str = "algo-1") -> Callable[[ContainerJob], None]:
    return lambda job: assert_silent(job.run_in(host, f"kill -9 $(pgrep -f '^{pattern}')"))


def assert_silent(said: str) -> None:
    assert not said, said


def kill_container(host: str) -> Callable[[ContainerJob], None]:
    return lambda job: job.containers[host].kill()


def stop_signal(host: str) -> Callable[[ContainerJob], None]:
    return lambda job: job.containers[host].kill(signal="SIGTERM")


def go(job: ContainerJob) -> None:
    for host in job.containers:
        job.run_in(host, "touch /tmp/go")


def pause(job: ContainerJob) -> None:
    """For good: it is let go only after the others have ended."""
    job.containers["algo-2"].pause()
    for host in ("algo-1", "algo-3"):
        job.containers[host].wait(timeout=60)
    job.containers["algo-2"].unpause()


def pause_shortly(job: ContainerJob) -> None:
    job.containers["algo-2"].pause()
    time.sleep(SILENCE / 2)  # the length of the fault
    job.containers["algo-2"].unpause()
    go(job)


def cut_off(job: ContainerJob) -> float:
    job.network.disconnect(job.containers["algo-2"], force=True)
    return time.time()  # the engine takes its time before it does so


def kill_sshd_and_go(job: ContainerJob) -> None:
    kill("sshd", "algo-2")(job)
    go(job)


LEFT = "host {} left the job: "
SILENT = LEFT + r"nothing was heard from it for 3 s, while {} waited for the end of "
NOT_THERE = r"Host 'algo-3' did not report to 'algo-1' within 3 s"

FAULTS = [
    Fault(
        "import error",
        "fault()\nimport nowhere_to_be_found",
        1,
        r"rank \d on algo-[12]: ModuleNotFoundError: No module named 'nowhere_to_be_found'\n",
    ),
    Fault(
        "exception on one rank",
        "fault() if rank == 3 else None\nassert rank != 3, 'no shard'\nworld.Barrier()",
        1,
        r"rank 3 on algo-2: AssertionError: no shard\n",
        in_log=(("Traceback", 1),),
    ),
    Fault(
        "sys.exit(7) on one rank",
        "if rank == 1:\n    fault()\n    sys.exit(7)\nworld.Barrier()",
        7,
        r"rank 1 on algo-1: SystemExit: exit code 7",
    ),
    Fault(
        "kill -9 of a rank",
        WAIT,
        137,
        r"rank 3 on algo-2: ended by signal 9 \(SIGKILL\): somebody killed it",
        kill_rank,
    ),
    Fault(
        "kill -9 of mpirun",
        WAIT,
        137,
        r"mpirun on algo-1: ended by signal 9 \(SIGKILL\)\n",
        kill("/usr/bin/mpirun"),
    ),
    Fault(
        "kill -9 of mpirun's daemon",
        WAIT,
        1,
        LEFT.format("algo-2") + "mpirun lost its daemon there",
        kill("/usr/bin/orted", "algo-2"),
    ),
    Fault("kill -9 of sshd, of no harm to a running job", UNTIL_GO, 0, "$", kill_sshd_and_go, bound=8),
    Fault(
        "kill -9 of a launcher",
        WAIT,
        1,
        LEFT.format("algo-2") + "its control connection closed while algo-1 waited for",
        kill("python3 .*/train", "algo-2"),
        spared=("algo-2",),
    ),
    Fault(
        "kill of a container",
        WAIT,
        1,
        LEFT.format("algo-2") + "its control connection closed while algo-1 waited for",
        kill_container("algo-2"),
        hosts=3,
        spared=("algo-2",),
    ),
    Fault(
        "kill of the first container",
        WAIT,
        1,
        LEFT.format("algo-1") + "its control connection closed while algo-[23] waited for the end of the job",
        kill_container("algo-1"),
        hosts=3,
        spared=("algo-1",),
    ),
    Fault(
        "pause of a container",
        WAIT,
        1,
        SILENT.format("algo-2", "algo-1"),
        pause,
        bound=SILENCE + 5,
        hosts=3,
    ),
    Fault("a short pause, of no harm", UNTIL_GO, 0, "$", pause_shortly, bound=SILENCE / 2 + 8),
    Fault(
        "loss of the network",
        WAIT,
        1,
        "(" + SILENT.format("algo-2", "algo-1") + ")|(" + SILENT.format("algo-1", "algo-2") + ")",
        cut_off,
        bound=SILENCE + 5,
        hosts=3,
    ),
    Fault(
        "SIGTERM to the job",
        CHECKPOINT,
        143,
        "SIGTERM reached the launcher on algo-2, so the job was stopped",
        stop_signal("algo-2"),
        in_log=(("CHECKPOINT", 4),),
    ),
    Fault(
        "SIGTERM, and a script that ignores it",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('DEAF', flush=True)\n" + WAIT,
        143,
        "SIGTERM reached the launcher on algo-1, so the job was stopped",
        stop_signal("algo-1"),
        bound=GRACE + 5,
    ),
    Fault(
        "a full disk on /opt/ml/output",
        "pathlib.Path('/opt/ml/output/data').mkdir(exist_ok=True)\nfault()\n"
        "pathlib.Path('/opt/ml/output/data', str(rank)).write_bytes(bytes(1 << 20))",
        1,
        r"rank \d on algo-[12]: OSError: \[Errno 28\] No space left on device",
        options={"output_bytes": 1 << 19},
    ),
    Fault(
        "a rank out of memory",
        "held = [b'x' * (1 << 28)] if rank == 2 else []\nfault() if held else None\n"
        "while held:\n    held.append(b'x' * (1 << 26))\nworld.Barrier()",
        137,
        r"rank 2 on algo-2: ended by signal 9 \(SIGKILL\): out of memory: the kernel ended 1 process\(es\) on "
        r"algo-2 at the container's limit of 512 MiB",
        bound=8,  # the kernel looks for other memory first
        options={"options": {"mem_limit": "512m", "memswap_limit": "512m"}},
    ),
    Fault("a missing host", WAIT, 1, NOT_THERE, bound=SILENCE + 5, hosts=3, options={"absent": ("algo-3",)}),
    Fault(
        "a missing first host",
        WAIT,
        1,
        "Host 'algo-1' did not admit 'algo-2' within 3 s",
        bound=SILENCE + 5,
        options={"absent": ("algo-1",)},
    ),
    Fault(
        "wrong slots: more processes than places",
        WAIT,
        2,
        "(algo-1: )?'?5'? processes are asked for, but there are 2 host",
        options={"hyperparameters": {"sagemaker_mpi_custom_mpi_options": '"-np 5"'}},
    ),
    Fault(
        "wrong slots: hosts that were told different numbers",
        WAIT,
        2,
        r"algo-2: was told \[hosts, processes per host\] \[\['algo-1', 'algo-2'\], 4\], but algo-1 ",
        options={
            "files": {
                "algo-2": {
                    "input/config/hyperparameters.json": '{"sagemaker_mpi_enabled": "true", '
                    '"sagemaker_mpi_num_of_processes_per_host": "4"}'
                }
            }
        },
    ),
    Fault(
        "an unreadable config file on a worker",
        WAIT,
        2,
        r"(algo-2: )?/opt/ml/input/config/hyperparameters.json cannot be read as JSON",
        options={"files": {"algo-2": {"input/config/hyperparameters.json": "{"}}},
    ),
    Fault(
        "an unreadable config file on the first host",
        WAIT,
        2,
        r"(algo-1: )?/opt/ml/input/config/inputdataconfig.json cannot be read as JSON",
        options={"files": {"algo-1": {"input/config/inputdataconfig.json": "[]]"}}},
    ),
    Fault(
        "an mpirun that starts nothing",
        WAIT,
        3,
        r"mpirun ended with exit code 3:\n(?s:.*)\bout of order",  # two streams, in any order
        options={
            "files": {
                "algo-1": {"code/mpirun": '#!/bin/sh\necho "(Open MPI) 4.1"; echo out of order >&2; exit 3\n'}
            },
            "environment": {"PATH": "/opt/ml/code:/opt/shardyard/bin:/opt/venv/bin:/usr/bin:/bin"},
        },
    ),
    Fault(
        "a shell script that fails",
        "",
        9,
        r"rank 2 on algo-2: ended with exit code 9\n",
        options={
            "environment": {"SAGEMAKER_PROGRAM": "go.sh"},
            "files": {
                host: {
                    "code/go.sh": '#!/bin/sh\n[ "$OMPI_COMM_WORLD_RANK" = 2 ] && echo FAULT $(date +%s.%N) && exit 9\nsleep 120\n'
                }
                for host in ("algo-1", "algo-2")
            },
        },
    ),
    Fault("no fault at all", "fault()", 0, "$"),
    Fault(
        "an ssh server that does not start",
        WAIT,
        2,
        "algo-2: sshd does not start on this host: out of order",
        options={
            "files": {"algo-2": {"code/sshd": "#!/bin/sh\necho out of order >&2; exit 1\n"}},
            "environment": {"PATH": "/opt/ml/code:/opt/shardyard/bin:/opt/venv/bin:/usr/bin:/bin"},
        },
    ),
]
