"""A job whose head node is lost goes back into the queue, once; scontrol and scancel are small scripts here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hadamard.slurm.requeue import requeue_if_lost

RUNNING = "JobId=7 JobName=x\n   JobState=RUNNING Restarts=0\n"
REQUEUED = "JobId=7 JobName=x\n   JobState=PENDING Restarts=1\n"


class Cluster:
    """Slurm's commands: they read a job and a node from files, and append what they are told to do to `calls`."""

    def __init__(self, root: Path, refuses: bool = False) -> None:
        self.root = root
        requeue = "" if refuses else f"cp {root}/requeued {root}/job; "
        (root / "job").write_text(RUNNING)
        (root / "requeued").write_text(REQUEUED)
        self.node("IDLE")
        self.program("scontrol", f'case $1 in show) cat "{root}/$2" ;; *) {requeue}echo "scontrol $*" >>{root}/calls ;; esac')
        self.program("scancel", f'echo "scancel $*" >>{root}/calls')

    def program(self, name: str, line: str) -> None:
        (self.root / name).write_text(f"#!/bin/bash\n{line}\n")
        (self.root / name).chmod(0o755)

    def node(self, state: str) -> None:
        (self.root / "node").write_text(f"NodeName=n1\n   State={state} SlurmdStartTime=2020-01-01T00:00:00\n")

    @property
    def calls(self) -> list[str]:
        file = self.root / "calls"
        return file.read_text().splitlines() if file.exists() else []


@pytest.fixture
def in_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    return tmp_path


def always() -> bool:
    return True


def test_the_job_of_a_lost_head_is_requeued_once(in_job: Path) -> None:
    cluster, naps = Cluster(in_job), []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        cluster.node("DOWN*" if len(naps) == 3 else "IDLE")

    requeue_if_lost("n1", always, nap)
    assert len(naps) == 3
    assert cluster.calls == ["scontrol requeue 7"]
    requeue_if_lost("n1", always, lambda _: None)  # another node, which is a moment later
    assert cluster.calls == ["scontrol requeue 7"]


def test_where_slurm_does_not_requeue_the_job_is_cancelled(in_job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "5")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "2")
    cluster = Cluster(in_job, refuses=True)
    cluster.node("DOWN")
    requeue_if_lost("n1", always, lambda _: None)
    assert cluster.calls == ["scontrol requeue 5_2", "scancel 5_2"]


def test_an_ordinary_end_requeues_nothing(in_job: Path) -> None:
    cluster = Cluster(in_job)
    looks = iter([True, True, False])
    requeue_if_lost("n1", lambda: next(looks), lambda _: None)
    assert cluster.calls == []
