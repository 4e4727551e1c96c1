"""Who the ranks of another host log in as."""

from __future__ import annotations

import os
import pwd

import pytest

from shardyard_runtime.launch import ssh
from shardyard_runtime.launch.errors import LaunchError


def test_the_variable_of_the_job_does_not_name_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "somebody")
    assert ssh.user_name() == pwd.getpwuid(os.geteuid()).pw_name


def test_a_user_without_an_entry_is_told_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 987654)
    with pytest.raises(LaunchError, match="id 987654, whom /etc/passwd of the image does not know") as caught:
        ssh.user_name()
    assert caught.value.exit_code == 3
