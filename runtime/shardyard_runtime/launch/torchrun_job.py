"""This host's torchrun: its command, and what it leaves when it has ended."""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field

from . import records, supervise
from .control import Message
from .entry import EntryPoint
from .failure import from_last_words
from .host import Event, Host
from .plain import SCRIPT, script_environment, stopping
from .timeouts import stop_grace

PORT = 7777
END = signal.SIGKILL  # the answer to an event that ends the program here


@dataclass
class Report:
    """How torchrun ended on one host."""

    exit_code: int = 0
    found: list[records.FailureRecord] = field(default_factory=list)
    detail: str = ""

    def message(self) -> Message:
        found = [asdict(record) for record in self.found]
        return {"type": "ended", "exit_code": self.exit_code, "records": found, "detail": self.detail}

    @classmethod
    def of(cls, message: Message) -> Report:
        found = [records.FailureRecord(**item) for item in message["records"]]
        return cls(message["exit_code"], found, message["detail"])


@dataclass
class TorchrunJob:
    host: Host
    entry: EntryPoint
    code_dir: str
    variables: dict[str, str]

    def run(
        self, address: tuple[str, int], on_stop: Callable[[int], None], react: Callable[[Event], int]
    ) -> Report:
        hosts = list(self.host.cluster.hosts)
        command = torchrun_command(
            hosts, self.host.name, self.host.cluster.processes_per_host, os.environ, address
        )
        base = self.host.config.base

        def told(number: int) -> None:
            stopping(number, self.host).write(base)
            on_stop(number)

        end = supervise.run(
            self.host,
            [*command, self.entry.program],
            self.variables,
            self.code_dir,
            whole_group=False,
            on_stop=told,
            react=react,
        )
        if end.stop_signal:
            stopping(end.stop_signal, self.host).withdraw(base)
        found = records.load_all(self.host.run_dir)
        if end.exit_code and not found and not end.was_ended:
            found = [from_last_words(end.last_words, end.exit_code, self.host.name, "torchrun")]
        return Report(0 if end.was_ended else end.exit_code, found, end.detail)


def make_job(host: Host, entry: EntryPoint, *, local: bool) -> TorchrunJob:
    plan = host.write_plan(entry, local=local)
    variables = script_environment(host, plan.environment)
    variables.setdefault("NCCL_PROTO", "simple")
    # Its own limit is 30 s, which older releases of torch keep.
    variables.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", str(math.ceil(stop_grace())))
    return TorchrunJob(host, entry, plan.code_dir, variables)


def torchrun_command(
    hosts: list[str],
    current: str,
    processes: int,
    environ: Mapping[str, str],
    address: tuple[str, int] | None = None,
) -> list[str]:
    prefix = ["neuron_parallel_compile"] if environ.get("RUN_NEURON_PARALLEL_COMPILE") == "1" else []
    command = [*prefix, sys.executable, "-m", "torch.distributed.run"]
    command += ["--nnodes", str(len(hosts)), "--nproc_per_node", str(processes)]
    if len(hosts) > 1:
        name, port = address or (hosts[0], PORT)
        command += ["--master_addr", name, "--master_port", str(port)]
        command += ["--node_rank", str(hosts.index(current))]
    else:
        command.append("--standalone")  # a free port: two jobs on one machine do not meet
    return [*command, "-m", SCRIPT]
