"""What sagemaker-training does wrong and no other test here asks of ours: see tests/soak/launch_defects.py."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from job import Job

NewJob = Callable[..., Job]


@pytest.mark.parametrize("options", ["-host algo-1", "-hostfile hosts", "-h"])
def test_an_option_that_starts_nothing_is_no_success(new_job: NewJob, options: str) -> None:
    given = {"sagemaker_mpi_custom_mpi_options": json.dumps(options)}
    result = new_job("print('ran')", hosts=1, hyperparameters=given).run()
    assert result.exit_codes == [2]
    assert result.failures[0].startswith(f"custom_mpi_options has {options.split()[0]!r}")
    assert not (result.root / "algo-1" / "opt" / "ml" / "output" / "success").exists()


def test_ranks_from_10_on_do_not_say_it_again(new_job: NewJob) -> None:
    script = """
        from mpi4py import MPI
        print("here", flush=True)
        MPI.COMM_WORLD.Barrier()
        raise ValueError("all say the same")
    """
    job = new_job(script, hosts=1, per_host=12)
    result = job.run()
    assert result.exit_codes == [1], result.logs
    assert ": ValueError: all say the same\n" in result.failures[0][:60]
    assert result.failures[0].count("Traceback") == 1
    for rank in range(12):
        assert f"[1,mpirank:{rank},algo-1]<stdout>:here" in result.logs[0]
    assert job.survivors() == []


def test_torchrun_over_several_hosts_of_one_machine(new_job: NewJob) -> None:
    """The process engine's hosts have no names that resolve, and share their ports."""
    script = """
        import os, sys, torch, torch.distributed as dist
        dist.init_process_group("gloo")
        total = torch.ones(1)
        dist.all_reduce(total)
        print(f"rank {dist.get_rank()} of {int(total)} on {os.environ['SM_CURRENT_HOST']};", flush=True)
        sys.exit(6 if dist.get_rank() == 1 else dist.barrier())
    """
    values = {"sagemaker_mpi_enabled": "false", "sagemaker_torch_distributed_enabled": "true"}
    job = new_job(script, per_host=1, hyperparameters=values, environment={"OMP_NUM_THREADS": "1"})
    result = job.run()
    assert result.exit_codes == [6, 6], result.logs
    assert all(text.startswith("rank 1 on algo-2: SystemExit: exit code 6") for text in result.failures)
    for rank, log in enumerate(result.logs):
        assert f"rank {rank} of 2 on algo-{rank + 1};" in log
    assert job.survivors() == []
