"""The line that brings a job's dashboard to one's own machine."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from hadamard.slurm.cluster_file import Cluster
from hadamard.slurm.tunnel import Tunnel, in_words, tunnel

CLUSTER = Cluster("42", 0, "10.0.0.1:23100", "n1", 23105, "/study/jobs/42-0/token")


@pytest.mark.parametrize(
    ("login_host", "ssh"),
    [
        (None, "ssh -N -L 8265:localhost:23105 ada@n1"),
        ("login.site.org", "ssh -N -J ada@login.site.org -L 8265:localhost:23105 ada@n1"),
    ],
)
def test_the_line_is_ready_to_paste(login_host: str | None, ssh: str) -> None:
    way = tunnel(CLUSTER, "ada", login_host)
    assert way == Tunnel(ssh, "http://localhost:8265", "/study/jobs/42-0/token")
    assert in_words(way)[0].endswith(ssh)


def test_where_there_is_no_dashboard_there_is_no_line() -> None:
    assert tunnel(dataclasses.replace(CLUSTER, dashboard_port=None), "ada", None) is None


def test_as_a_program_it_prints_line_address_and_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cluster.json"
    monkeypatch.setenv("HADAMARD_LOGIN_HOST", "login")
    printed = []
    for port in (23105, None):
        dataclasses.replace(CLUSTER, dashboard_port=port).write(file)
        command = [sys.executable, "-m", "hadamard.slurm.tunnel", str(file)]
        printed.append(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert "@login -L 8265:localhost:23105 " in printed[0]
    assert "http://localhost:8265" in printed[0]
    assert "cat /study/jobs/42-0/token" in printed[0]
    assert printed[1] == ""
