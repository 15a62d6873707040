"""The line that brings a job's dashboard to one's own machine."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from slurm.cluster_file import Cluster
from slurm.tunnel import ssh_line, tunnel_lines

CLUSTER = Cluster("42", 0, "10.0.0.1:23100", "n1", 23105, "/study/jobs/42-0/token")


def test_the_line_is_ready_to_paste() -> None:
    assert ssh_line(CLUSTER, "ada", None) == "ssh -N -L 8265:localhost:23105 ada@n1"
    assert ssh_line(CLUSTER, "ada", "login.site.org") == "ssh -N -J ada@login.site.org -L 8265:localhost:23105 ada@n1"


def test_where_there_is_no_dashboard_there_is_no_line() -> None:
    without = dataclasses.replace(CLUSTER, dashboard_port=None)
    assert ssh_line(without, "ada", None) is None
    assert tunnel_lines(without) == []


def test_as_a_program_it_prints_line_address_and_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    CLUSTER.write(tmp_path / "cluster.json")
    monkeypatch.setenv("HADAMARD_LOGIN_HOST", "login")
    done = subprocess.run(
        [sys.executable, "-m", "slurm.tunnel", str(tmp_path / "cluster.json")], capture_output=True, text=True, check=True
    )
    assert "@login -L 8265:localhost:23105 " in done.stdout
    assert "http://localhost:8265" in done.stdout
    assert "cat /study/jobs/42-0/token" in done.stdout
