"""Ranks meet before a study begins, or the study is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.cluster import mpi_smoke_test
from hadamard.model.errors import UserError
from hadamard.orchestrator.commands.run import run_study
from tests.support.studies import TINY, write_study

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def no_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)


def test_two_real_ranks_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", "1")  # each piece of what is printed is then a write of its own, which mpiexec mixes
    for _ in range(3):
        mpi_smoke_test.smoke_test()


def launcher(directory: Path, text: str) -> str:
    script = directory / "mpiexec"
    script.write_text(f"#!/bin/sh\n{text}\n")
    script.chmod(0o755)
    return str(script)


def test_a_launcher_of_another_mpi_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It starts as many programs as it is asked for, and none of them knows the others."""
    script = launcher(tmp_path, 'while [ "$1" != -n ]; do shift; done; shift 2; "$@" & "$@"; wait')
    monkeypatch.setattr("hadamard.cluster.launchers.mpiexec.find_mpiexec", lambda: script)
    with pytest.raises(UserError, match=r"two MPI ranks did not meet, each was a program of its own\. They were started by `.*mpiexec"):
        mpi_smoke_test.smoke_test()
    study = write_study(tmp_path, TINY.replace("[2, 3]", "[5, 6]"))
    with pytest.raises(UserError, match="two MPI ranks did not meet"):
        run_study(study, ["mpi.ranks=2"], tmp_path / "run", dashboard=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mpiexec", "study.yaml"], "nothing is written"


def test_a_launcher_that_hangs_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = launcher(tmp_path, "echo waiting; sleep 600")
    monkeypatch.setattr("hadamard.cluster.launchers.mpiexec.find_mpiexec", lambda: script)
    monkeypatch.setattr(mpi_smoke_test, "MEET_S", 1.0)
    with pytest.raises(UserError, match=r"they said: waiting\s+not ended within 1 s"):
        mpi_smoke_test.smoke_test()
