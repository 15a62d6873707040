"""The contract of launchers, which of them starts ranks, and what they print of ranks that died, in their own words."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from hadamard.cluster.launchers.base import Launcher
from hadamard.cluster.launchers.mpiexec import find_mpiexec
from hadamard.cluster.launchers.registry import LAUNCHERS, check_launchers, first_death, launcher_for
from hadamard.model.errors import UserError

MPICH, OPEN_MPI, CRAY = (
    "MPICH Version:      5.0.2\nMPICH Release date: ...",
    "Open MPI v5.0.11, package: ...",
    "MPI VERSION    : CRAY MPICH",
)
INTEL = "Intel(R) MPI Library 2021.14 for Linux* OS"


@pytest.fixture(autouse=True)
def no_site(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HADAMARD_SRUN_MPI", raising=False)


@pytest.mark.parametrize("launcher", LAUNCHERS, ids=lambda launcher: launcher.name)
class TestContract:
    def test_a_command_runs_the_words_on_each_of_the_hosts(self, launcher: Launcher) -> None:
        command = launcher.command(["n1", "n1", "n2"], "7" if launcher.starts_steps else None, ["python", "-m", "x"], 2)
        assert command[-3:] == ["python", "-m", "x"]
        assert {"3", "--ntasks=3"} & set(command)

    def test_messages_have_a_name_and_a_fix(self, launcher: Launcher) -> None:
        assert launcher.name
        assert launcher.fix

    def test_output_without_a_death_names_none(self, launcher: Launcher) -> None:
        assert launcher.first_signal("rank 0 says 9\n") is None


@pytest.mark.parametrize(
    ("library", "in_job", "here"),
    [(MPICH, "--mpi=pmi2", "-launcher"), (CRAY, "--mpi=pmi2", "-launcher"), (INTEL, "--mpi=pmi2", "-launcher"),
     (OPEN_MPI, "--mpi=pmix", "--oversubscribe")],
)  # fmt: skip
def test_the_launcher_follows_from_the_library_and_the_place(library: str, in_job: str, here: str) -> None:
    assert in_job in launcher_for("7", library).command(["n1"], "7", ["x"], 1)
    assert launcher_for(None, library).command(["n1"], None, ["x"], 1)[1] == here


def test_a_site_may_name_what_srun_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_SRUN_MPI", "cray_shasta")
    for library in (MPICH, OPEN_MPI):
        launcher = launcher_for("7", library)
        assert launcher.name == "srun --mpi=cray_shasta"
        assert "--mpi=cray_shasta" in launcher.command(["n1"], "7", ["x"], 1)
    assert launcher_for(None, MPICH).name == "mpiexec", "it is not asked outside a job"


def test_mpiexec_is_the_one_installed_with_python_or_else_on_path(tmp_path: Path) -> None:
    assert find_mpiexec() == str(Path(sys.executable).parent / "mpiexec")
    on_path = tmp_path / "mpiexec"
    on_path.write_text("#!/bin/sh\n")
    on_path.chmod(0o755)
    elsewhere = tmp_path / "other" / "python"
    assert find_mpiexec(elsewhere, str(tmp_path)) == str(on_path)
    with pytest.raises(UserError, match="no mpiexec"):
        find_mpiexec(elsewhere, str(tmp_path / "empty"))


def test_any_launcher_that_is_installed_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    check_launchers()
    monkeypatch.setattr("hadamard.cluster.launchers.mpiexec.find_mpiexec", lambda: find_mpiexec(tmp_path / "python", str(tmp_path)))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="there is no mpiexec beside .* Install it with"):
        check_launchers()
    (tmp_path / "srun").touch(mode=0o755)
    check_launchers()


SRUN_KILLED = """\
srun: error: n1: task 1: {word}
srun: launch/slurm: _step_signal: Terminating StepId=1.2
slurmstepd-n1: error: *** STEP 1.2 ON n1 CANCELLED AT 2026-11-25T00:34:50 ***
srun: error: n2: task 3: Terminated
srun: error: n1: tasks 0,2: Terminated
srun: Force Terminated StepId=1.2
"""
HYDRA_KILLED = """\
=   BAD TERMINATION OF ONE OF YOUR APPLICATION PROCESSES
=   PID 7271 RUNNING AT vm
=   EXIT CODE: {number}
YOUR APPLICATION TERMINATED WITH THE EXIT STRING: Terminated (signal 15)
"""


@pytest.mark.parametrize(
    ("said", "number"),
    [
        (SRUN_KILLED.format(word="Killed"), signal.SIGKILL),
        (SRUN_KILLED.format(word="Segmentation fault (core dumped)"), signal.SIGSEGV),
        (SRUN_KILLED.format(word="Aborted"), signal.SIGABRT),
        (SRUN_KILLED.format(word="Out Of Memory"), signal.SIGKILL),
        (HYDRA_KILLED.format(number=6), signal.SIGABRT),
        (HYDRA_KILLED.format(number=1), None),
        ("prterun noticed that process rank 1 with PID 9 on node n1 exited on signal 11 (Segmentation fault).", signal.SIGSEGV),
        ("srun: error: n1: task 0: Exited with exit code 76", None),
        ("", None),
    ],
)
def test_the_first_rank_that_a_launcher_names_as_dead_tells_the_signal(said: str, number: int | None) -> None:
    assert first_death(said) == number
