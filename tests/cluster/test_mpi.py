"""The commands that start ranks, and what launchers say of ranks that died, in their own words."""

from __future__ import annotations

import functools
import shlex
from pathlib import Path

import pytest

from hadamard.cluster import watch
from hadamard.cluster.mpi import RankPlacement, launch_command, launch_environment, library
from hadamard.cluster.steps import own_job
from hadamard.cluster.watch import Watch
from hadamard.model.mpi.heartbeat import HeartbeatMonitor, RankStatus, read_status
from tests.cluster.launchers.test_launchers import HYDRA_KILLED, MPICH, OPEN_MPI, SRUN_KILLED
from tests.cluster.test_launch import until

IN_JOB = RankPlacement(("n1", "n1", "n1", "n2"), "7", 4)
HERE = RankPlacement(("vm", "vm"), None, 2)


def test_in_a_job_ranks_are_a_step_on_the_nodes_that_were_reserved(tmp_path: Path) -> None:
    command = launch_command(IN_JOB, ["python", "x"], MPICH, 2)
    assert shlex.join(command) == (
        "srun --jobid=7 --overlap --mem=0 --mpi=pmi2 --kill-on-bad-exit=1 --distribution=arbitrary --nodes=2 --ntasks=4 "
        "--cpus-per-task=2 --cpu-bind=none python x"
    )
    inherited = {
        "SLURM_NTASKS_PER_NODE": "1",
        "SLURM_JOB_ID": "7",
        "SRUN_CPUS_PER_TASK": "9",
        "PMIX_RANK": "0",
        "PMI_FD": "8",
        "PATH": "/bin",
    }
    found = launch_environment(IN_JOB, inherited, tmp_path / "hosts")
    assert found == {"SLURM_JOB_ID": "7", "PATH": "/bin", "SLURM_HOSTFILE": str(tmp_path / "hosts")}


def test_elsewhere_mpiexec_starts_them_on_this_machine_as_if_there_were_no_slurm(tmp_path: Path) -> None:
    assert launch_command(HERE, ["python", "x"], MPICH, 1)[1:] == ["-launcher", "fork", "-n", "2", "python", "x"]
    assert launch_command(HERE, ["python", "x"], OPEN_MPI, 1)[1:-4] == ["--oversubscribe", "--bind-to", "none"]
    inherited = {"SLURM_JOB_ID": "7", "SLURM_CONF": "/etc/slurm.conf", "OMPI_COMM_WORLD_RANK": "0", "PRTE_X": "", "HOME": "/root"}
    assert launch_environment(HERE, inherited, tmp_path / "hosts") == {"HOME": "/root"}


def test_the_library_that_is_installed_says_its_name() -> None:
    assert library().startswith("MPICH Version:")


def test_steps_can_be_started_from_a_node_of_the_job_where_slurm_is_installed(tmp_path: Path) -> None:
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\n")
    srun.chmod(0o755)
    there = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "n1", "PATH": str(tmp_path)}
    assert own_job(there) == "7"
    for lacks in ({"PATH": "/nowhere"}, {"SLURM_JOB_ID": ""}):
        assert not own_job({**there, **lacks})
    assert own_job({name: value for name, value in there.items() if name != "SLURMD_NODENAME"}) is None, "a login node"


@pytest.mark.parametrize(
    ("words", "returncode", "said", "expected"),
    [
        ([0, 0], 0, "", 0),
        ([76, 0], 76, "", 76),
        ([76, None], 11, HYDRA_KILLED.format(number=11), -11),  # rank 0 had time to save when the launcher ended it for the other's sake
        ([0, None], 137, "srun: error: n1: task 1: Killed", 0),  # all was recorded when its end went wrong
        ([None, 12], 137, "srun: error: n2: task 3: Killed", 12),  # MPI_Abort has srun kill all
        ([None, None], 143, SRUN_KILLED.format(word="Killed"), -9),
        ([None, None], 9, HYDRA_KILLED.format(number=9), -9),
        ([None, None], 139, "", -11),
        ([None, None], 1, "srun: error: Unable to create step", 1),
        ([None, None], 0, "", 1),  # a launcher that started nothing
    ],
)
def test_the_end_of_many_is_told_as_that_of_one(tmp_path: Path, words: list[int | None], returncode: int, said: str, expected: int) -> None:
    with Watch.over(tmp_path, HERE) as watch:
        for rank, code in enumerate(words):
            (watch.directory / str(rank)).write_text(f'{{"host": "vm", "pid": 1, "step": null, "met": true, "ended": {code or 0}}}')
            if code is None:
                (watch.directory / str(rank)).write_text("")
        assert watch.returncode(returncode, said) == expected


def test_a_new_launch_removes_the_directories_of_earlier_ones(tmp_path: Path) -> None:
    left_behind = tmp_path / "ranks" / "123-456"
    left_behind.mkdir(parents=True)
    with Watch.over(tmp_path, IN_JOB) as watch:
        assert not left_behind.exists()
        assert (watch.directory / "hosts").read_text() == "n1\nn1\nn1\nn2\n"
    assert not watch.directory.exists()


def _is_younger(file: Path, than_ns: int) -> bool:
    return file.stat().st_mtime_ns > than_ns


def test_ranks_are_shown_that_their_launcher_lives_while_it_waits_for_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "HEARTBEAT_S", 0.05)
    with Watch.over(tmp_path, HERE) as watched:
        for _ in range(3):
            before = watched.launcher.stat().st_mtime_ns
            until(functools.partial(_is_younger, watched.launcher, before), 10)
        watched.tell_to_stop()
        assert watched.launcher.read_text() == "stop"


def test_a_launch_whose_directory_is_gone_is_over_and_that_is_no_error(tmp_path: Path) -> None:
    with Watch.over(tmp_path, HERE) as old, Watch.over(tmp_path, HERE) as new:
        found = old.look()
        assert found is not None
        assert found.cause == "killed"
        old.tell_to_stop()
        assert new.look() is None
        assert new.launcher.read_text() == ""


def test_ranks_are_given_time_to_meet_in_which_the_launcher_itself_was_awake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr("hadamard.model.mpi.heartbeat.time.monotonic", lambda: now[0])
    with Watch.over(tmp_path, HERE) as watched:
        now[0] += 60  # before the launch, asking MPI
        assert watched.look() is None
        now[0] += 1000  # suspended
        assert watched.look() is None
        troubles = []
        for _ in range(120):
            now[0] += 1
            troubles.append(watched.look())
    assert troubles[100] is None
    assert troubles[-1] is not None
    assert "2 ranks did not meet within 120 s: 0 have started" in troubles[-1].message


def test_silence_is_counted_by_looks_so_that_who_was_suspended_blames_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([0.0, 1.0, 2.0, 5.0, 1000.0, 1001.0, 1002.0])
    monkeypatch.setattr("hadamard.model.mpi.heartbeat.time.monotonic", lambda: next(clock))
    file = tmp_path / "0"
    file.write_text("first")
    silence = HeartbeatMonitor(file)
    assert [silence.look() for _ in range(4)] == [0.0, 1.0, 4.0, 9.0]
    file.write_text("second")
    assert silence.look() == 0.0
    assert silence.text == "second"
    file.unlink()
    with pytest.raises(FileNotFoundError):
        silence.look()


def test_a_word_that_is_being_written_counts_as_none() -> None:
    assert read_status('{"host": "n1", "pid": 4, "step": "7.3", "met": false, "ended": null}') == RankStatus("n1", 4, "7.3")
    for text in ("", '{"host": "n1", "p', '{"host": "n1"}', '{"host": "n1", "pid": 4, "step": null}null}'):
        assert read_status(text) is None
