"""Starts `shardyard run` in this folder, sends it a signal once every host waits, and tells how it ended.

python -m tests.integration.toolkit.ending SIGNAL HOSTS COMMAND...
"""

from __future__ import annotations

import signal
import subprocess
import sys

number, hosts, command = signal.Signals[sys.argv[1]], int(sys.argv[2]), sys.argv[3:]
with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
    assert process.stdout is not None
    waiting = 0
    for line in process.stdout:
        print(line, end="")
        waiting += line.rstrip().endswith("| waiting")
        if waiting == hosts:
            process.send_signal(number)
            waiting = 0
print(f"ended={process.returncode}")
