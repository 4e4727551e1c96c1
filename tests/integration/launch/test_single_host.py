"""One host, no MPI: what the user's program meets, and how its end is told."""

from __future__ import annotations

import json
import os
import signal
import textwrap
import time
from pathlib import Path

import pytest

from tests.integration.parity.tree import Result, Tree, finish, ours, run, start


def launch(
    base: Path,
    script: str,
    program: str = "train.py",
    environment: dict[str, str] | None = None,
    **values: str,
) -> Result:
    return run(tree(script, program, environment, **values), base)


def tree(
    script: str, program: str = "train.py", environment: dict[str, str] | None = None, **values: str
) -> Tree:
    hyperparameters = {"sagemaker_program": json.dumps(program), **values}
    files: dict[str, str | bytes] = {f"code/{program}": textwrap.dedent(script)}
    return Tree("job", files, hyperparameters, environment=environment or {})


def test_arguments_meet_no_shell(tmp_path: Path) -> None:
    words = ["hello world", "$HOME `id` $(id)", "it's", '"quoted"', "a;b|c&d", "*", "", 'ends with "']
    script = "import json, sys; print(json.dumps(sys.argv[1:]))"
    names = [f"a{number}" for number in range(len(words))]
    values = {name: json.dumps(word) for name, word in zip(names, words, strict=True)}
    result = launch(tmp_path, script, **values)
    expected = [item for pair in zip(names, words, strict=True) for item in (f"--{pair[0]}", pair[1])]
    assert json.loads(result.out) == expected
    shell = '#!/bin/sh\nprintf "%s\\n" "$0" "$@"'
    result = launch(tmp_path / "sh", shell, "train.sh", **values)
    assert result.out.decode().splitlines() == ["./train.sh", *expected]


def test_the_exit_code_is_the_programs(tmp_path: Path) -> None:
    for code in (1, 17, 200):
        result = launch(tmp_path / str(code), f"import sys; sys.exit({code})")
        assert result.exit_code == code
        assert result.failure is not None
        assert result.failure.startswith(f"rank 0 on algo-1: SystemExit: exit code {code}")
    assert launch(tmp_path / "text", "raise SystemExit('no data')").exit_code == 1
    result = launch(tmp_path / "none", "raise SystemExit")
    assert (result.exit_code, result.succeeded, result.failure) == (0, True, None)
    assert launch(tmp_path / "sh", "exit 9", "train.sh").exit_code == 9


def test_an_error_without_errno_is_no_success(tmp_path: Path) -> None:
    result = launch(tmp_path, "raise OSError('the disk said no')")
    assert result.exit_code == 1
    assert result.failure is not None
    assert result.failure.startswith("rank 0 on algo-1: OSError: the disk said no\n")
    assert not result.succeeded


def test_a_failure_of_gloo_is_a_failure(tmp_path: Path) -> None:
    words = "terminate called after throwing an instance of 'gloo::EnforceNotMet'"
    result = launch(tmp_path, f"import os, sys; print({words!r}, file=sys.stderr, flush=True); os.abort()")
    assert result.exit_code == 134
    assert result.failure is not None
    assert words in result.failure
    assert not result.succeeded


def test_the_failure_starts_with_the_cause_and_the_users_frames(tmp_path: Path) -> None:
    script = """
        import json
        print("step 1: no Exception, no Error here")

        def load(path):
            return json.loads("{" + path)

        def main():
            load("weights")

        main()
    """
    result = launch(tmp_path, script)
    assert result.failure is not None
    start = result.failure[:1024]
    assert start.startswith("rank 0 on algo-1: JSONDecodeError: Expecting property name")
    assert f'File "{tmp_path}/code/train.py", line 6, in load' in start
    assert 'load("weights")' in start
    assert "step 1" not in result.failure
    assert "Traceback (most recent call last)" in result.failure
    assert result.failure.count("Traceback (most recent call last)") == 1
    assert "launch/script.py" not in result.log


def test_a_reason_that_the_program_wrote_stands(tmp_path: Path) -> None:
    script = """
        import os, sys
        os.makedirs(os.environ["SM_OUTPUT_DIR"], exist_ok=True)
        open(os.environ["SM_OUTPUT_DIR"] + "/failure", "w").write("my own reason")
        sys.exit(3)
    """
    result = launch(tmp_path, script)
    assert (result.exit_code, result.failure) == (3, "my own reason")


def test_a_commands_traceback_is_found_among_its_last_words(tmp_path: Path) -> None:
    script = """\
        #!/bin/sh
        echo "an Exception is only mentioned here" >&2
        python3 -c 'raise ValueError("bad shard")'
        exit 4
    """
    result = launch(tmp_path, script, "train.sh")
    assert result.exit_code == 4
    assert result.failure is not None
    assert result.failure.startswith("rank 0 on algo-1: ValueError: bad shard")
    assert "only mentioned" not in result.failure


def test_a_command_without_traceback_shows_its_last_lines(tmp_path: Path) -> None:
    result = launch(tmp_path, "echo all well; echo 'cannot open /data' >&2; exit 6", "train.sh")
    assert result.failure is not None
    assert result.failure.startswith("rank 0 on algo-1: train.sh ended with exit code 6\n")
    assert "cannot open /data" in result.failure


@pytest.mark.parametrize("program", ["train.py", "train.sh"])
def test_a_kill_is_named_with_memory_as_the_likely_cause(tmp_path: Path, program: str) -> None:
    script = "import os; os.kill(os.getpid(), 9)" if program == "train.py" else "sh -c 'kill -9 $$'; exit $?"
    result = launch(tmp_path, script, program)
    assert result.exit_code == 137
    assert result.failure is not None
    assert "exit code 137" in result.failure[:200]
    assert "memory" in result.failure[:300]


def test_a_crash_below_python_shows_where(tmp_path: Path) -> None:
    result = launch(tmp_path, "import ctypes\nctypes.string_at(0)\n")
    assert result.exit_code == 139
    assert result.failure is not None
    assert "Segmentation fault" in result.failure
    assert "train.py" in result.failure


def test_output_is_lossless(tmp_path: Path) -> None:
    """Bytes that are no text, a line of 5 MB, many short lines, and no newline at the end."""
    script = """
        import sys
        binary = bytes(range(256)) * 4
        sys.stdout.buffer.write(binary + b"\\n" + b"x" * 5_000_000 + b"\\n")
        for number in range(5000):
            sys.stdout.write(f"line {number} ")
            sys.stdout.write("end\\n")
        sys.stderr.write("no newline")
        sys.stdout.write("last")
    """
    result = launch(tmp_path, script, environment={"PYTHONUNBUFFERED": "1"})
    expected = bytes(range(256)) * 4 + b"\n" + b"x" * 5_000_000 + b"\n"
    expected += b"".join(b"line %d end\n" % number for number in range(5000)) + b"last"
    assert result.out == expected
    assert b"no newline" in result.err


def test_a_daemon_that_holds_the_output_does_not_hold_the_job(tmp_path: Path) -> None:
    script = """
        import subprocess, sys, time
        subprocess.Popen(["sleep", "30"], start_new_session=True)
        print("last", time.monotonic(), end=" ")
    """
    result = launch(tmp_path, script)
    assert result.exit_code == 0
    assert time.monotonic() - float(result.out.split()[1]) < 5


def test_lines_come_as_they_are_printed(tmp_path: Path) -> None:
    script = """
        import sys, time
        print("ready", "to go")
        sys.stdin.read()
        time.sleep(60)
    """
    job = tree(script, environment={"PYTHONUNBUFFERED": ""})
    job.write(tmp_path)
    process = start(ours(), tmp_path, job.environment)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready to go\n"
    finally:
        process.send_signal(signal.SIGTERM)
        finish(process, tmp_path)


CHECKPOINT = """
    import signal, sys, time, os, threading
    def save(*_):
        open(os.environ["SM_MODEL_DIR"] + "/checkpoint", "w").write("saved")
        sys.exit(%s)
    os.makedirs(os.environ["SM_MODEL_DIR"], exist_ok=True)
    signal.signal(signal.SIGTERM, save)
    print("ready", flush=True)
    threading.Event().wait(60)
"""


def stop(job: Tree, base: Path) -> Result:
    job.write(base)
    process = start(ours(), base, job.environment)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGTERM)
    return finish(process, base)


@pytest.mark.parametrize("code", [0, 5])
def test_sigterm_leaves_time_for_a_checkpoint(tmp_path: Path, code: int) -> None:
    result = stop(tree(CHECKPOINT % code), tmp_path)
    assert result.exit_code == 143
    assert (tmp_path / "model" / "checkpoint").read_text() == "saved"
    assert result.failure is not None
    assert result.failure.startswith("SIGTERM reached the launcher on algo-1, so the job was stopped.\n")
    assert f"later with exit code {code}" in result.failure


def test_a_shells_children_get_their_time_too(tmp_path: Path) -> None:
    body = textwrap.dedent(CHECKPOINT % 0)
    job = tree("#!/bin/sh\npython3 helper.py\n", "train.sh")
    job.files["code/helper.py"] = body
    result = stop(job, tmp_path)
    assert result.exit_code == 143
    assert (tmp_path / "model" / "checkpoint").read_text() == "saved"


def test_who_does_not_end_is_killed_after_the_grace(tmp_path: Path) -> None:
    script = """
        import signal, threading
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print("ready", flush=True)
        threading.Event().wait(60)
    """
    began = time.monotonic()
    result = stop(tree(script, environment={"SHARDYARD_STOP_GRACE": "0.5"}), tmp_path)
    assert result.exit_code == 143
    assert result.failure is not None
    assert "did not end within 0.5 s and was killed" in result.failure
    assert time.monotonic() - began < 20


def test_the_failure_text_is_there_before_the_platform_kills(tmp_path: Path) -> None:
    script = """
        import signal, threading, os
        def wait(*_):
            failure = os.environ["SM_OUTPUT_DIR"] + "/failure"
            print(open(failure).read(), flush=True)
            os._exit(0)
        signal.signal(signal.SIGTERM, wait)
        print("ready", flush=True)
        threading.Event().wait(60)
    """
    result = stop(tree(script), tmp_path)
    assert "SIGTERM reached the launcher on algo-1" in result.out.decode()


def test_secrets_are_in_no_log_no_failure_and_no_command_line(tmp_path: Path) -> None:
    script = """
        import os, sys, glob
        assert sys.argv[sys.argv.index("--db_password") + 1] == "hunter2hunter2"
        lines = []
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                lines.append(open(path, "rb").read())
            except OSError:
                pass
        print("visible" if any(b"hunter2hunter2" in line for line in lines) else "hidden")
        raise RuntimeError("login with " + os.environ["MY_API_KEY"] + " failed")
    """
    before = Path("/etc/environment").read_bytes() if Path("/etc/environment").exists() else None
    environment = {"MY_API_KEY": "abc123abc123"}
    result = launch(tmp_path, script, environment=environment, db_password='"hunter2hunter2"', lr="0.1")
    assert result.out == b"hidden\n"
    launcher_log = result.err.decode().split("Traceback")[0]
    assert "hunter2" not in result.err.decode()
    assert "abc123" not in launcher_log
    assert "--db_password '******'" in launcher_log
    assert "--lr 0.1" in launcher_log
    assert result.failure is not None
    assert result.failure.startswith("rank 0 on algo-1: RuntimeError: login with ****** failed")
    after = Path("/etc/environment").read_bytes() if Path("/etc/environment").exists() else None
    assert before == after


def test_a_job_without_resourceconfig_runs(tmp_path: Path) -> None:
    job = tree("import os, socket; print(os.environ['SM_HOSTS'], bool(socket.gethostname()))")
    job.resource = None
    result = run(job, tmp_path)
    assert result.exit_code == 0, result.log
    assert result.out == b'["algo-1"] True\n'


def test_a_command_that_cannot_start_is_named(tmp_path: Path) -> None:
    result = launch(tmp_path, "#!/no/such/interpreter\n", "train.sh")
    assert result.exit_code == 126
    assert result.failure is not None
    assert result.failure.startswith("'./train.sh' cannot be started: No such file or directory")


def test_a_hyperparameter_larger_than_an_argument_may_be(tmp_path: Path) -> None:
    script = "import os, sys; print(len(sys.argv[2]), len(os.environ['SM_HP_BIG']))"
    result = launch(tmp_path, script, big="x" * 300_000)
    assert (result.exit_code, result.out) == (0, b"300000 300000\n"), result.log[-2000:]


def test_the_log_level_of_the_environment_counts(tmp_path: Path) -> None:
    quiet = launch(tmp_path / "a", "pass", environment={"SAGEMAKER_CONTAINER_LOG_LEVEL": "40"})
    assert quiet.err == b""
    assert b"starting through one process" in launch(tmp_path / "b", "pass").err


def test_a_function_of_the_image_is_called(tmp_path: Path) -> None:
    job = tree("")
    job.files["code/mine.py"] = "import os\ndef main():\n    print('called', os.environ['SM_CURRENT_HOST'])\n"
    job.environment["SAGEMAKER_TRAINING_MODULE"] = "mine:main"
    result = run(job, tmp_path)
    assert (result.exit_code, result.out) == (0, b"called algo-1\n"), result.log
    job.files["code/mine.py"] = "def main():\n    raise SystemExit(3)\n"
    assert run(job, tmp_path / "again").exit_code == 3


def test_threads_and_exit_handlers_of_the_program_find_its_names(tmp_path: Path) -> None:
    script = """
        import atexit, multiprocessing, pickle, threading, time
        word = "kept"
        class Here: pass
        def late():
            threading.main_thread().join()
            print("thread", word, flush=True)
        def child(): print("child", __name__, flush=True)
        if __name__ == "__main__":
            atexit.register(lambda: print("exit", word, flush=True))
            pickle.loads(pickle.dumps(Here()))
            spawned = multiprocessing.get_context("spawn").Process(target=child)
            spawned.start()
            spawned.join()
            assert spawned.exitcode == 0
            threading.Thread(target=late).start()
    """
    result = launch(tmp_path, script)
    assert result.exit_code == 0, result.log
    assert result.out.split() == [b"child", b"__mp_main__", b"thread", b"kept", b"exit", b"kept"]


def test_a_signal_while_packages_are_installed_stops_the_job(tmp_path: Path) -> None:
    job = tree("pass")
    os.mkfifo(tmp_path / "never")  # pip waits for what nobody writes
    job.files["code/requirements.txt"] = f"-r {tmp_path / 'never'}\n"
    base = tmp_path / "ml"
    job.write(base)
    process = start(ours(), base, job.environment)
    assert process.stderr is not None
    while b"installing" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    result = finish(process, base)
    assert result.exit_code == 143
    assert result.failure is not None
    assert "while it was preparing the code" in result.failure
