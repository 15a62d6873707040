"""Packs of several real ranks, started by the real mpiexec: that they meet, stop gracefully, and all end when one of them does."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hadamard.cluster import launch, watch
from hadamard.cluster.launch import Outcome
from hadamard.cluster.mpi import RankPlacement
from hadamard.model.files.causes import Cause
from hadamard.model.files.trial_files import PackFiles
from hadamard.model.mpi import heartbeat
from hadamard.model.mpi.heartbeat import RankStatus, read_status
from tests.cluster.test_launch import pack, until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]

RANK = """
import os, sys, time
from hadamard.model.training.rank_main import run_rank
from hadamard.model.errors import *

def lead(joined, should_stop):
    {lead}

{before}
sys.exit(run_rank(int(sys.argv[1]), 1, lead))
"""
TRAINS = """while not should_stop():
        time.sleep(0.1)
    return EXIT_STOPPED"""
PLACES = RankPlacement(("here",) * 3, None, 1)


def ranks(monkeypatch: pytest.MonkeyPatch, lead: str, before: str = "") -> None:
    """Have ranks of a pack do this instead of training."""
    code = RANK.format(lead=lead, before=before)
    monkeypatch.setattr(launch, "command", lambda path, threads, ranks=1, shards=1: [sys.executable, "-c", code, str(ranks)])


def run(directory: Path, stop_reason: Callable[[], str | None] = lambda: None, while_running: Callable[[], None] = lambda: None) -> Outcome:
    return launch.run_pack(directory, directory, 1, 0, while_running, stop_reason, PLACES)


def words(directory: Path) -> list[RankStatus]:
    """Return what the ranks of the launch that runs now say of themselves."""
    found = [read_status(file.read_text()) for file in sorted(directory.glob("ranks/*/[0-9]"))]
    return [word for word in found if word is not None]


def all_met(directory: Path) -> bool:
    return sum(word.met for word in words(directory)) == len(PLACES.hosts)


def is_alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False


class Once:
    """Does something to the ranks, by their words, as soon as all have met, and notes when."""

    def __init__(self, directory: Path, do: Callable[[list[RankStatus]], None]) -> None:
        self.directory, self.do = directory, do
        self.seen: list[RankStatus] = []
        self.at = 0.0

    def __call__(self) -> None:
        if not self.seen and all_met(self.directory):
            self.seen, self.at = words(self.directory), time.monotonic()
            self.do(self.seen)


@pytest.mark.parametrize(
    ("lead", "cause"), [("return 0", None), ("return EXIT_USER_ERROR", "bad input"), ("return EXIT_DISK_FULL", "disk full")]
)
def test_rank_0_says_how_it_ended_and_the_others_are_dismissed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lead: str, cause: str | None
) -> None:
    directory, _ = pack(tmp_path, 1)
    ranks(monkeypatch, lead)
    assert run(directory).cause == cause
    assert not list((directory / "ranks").iterdir())


def test_a_graceful_stop_reaches_rank_0_by_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = pack(tmp_path, 1)
    ranks(monkeypatch, TRAINS)
    begin = time.monotonic()
    assert run(directory, lambda: "preempted" if all_met(directory) else None) == Outcome(Cause.STOPPED, "preempted")
    assert time.monotonic() - begin < 40


def test_ranks_that_do_not_stop_in_time_are_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = pack(tmp_path, 1)
    ranks(monkeypatch, "time.sleep(120)")
    monkeypatch.setattr(launch, "STOP_GRACE_S", 3.0)
    once = Once(directory, lambda seen: None)
    assert run(directory, lambda: "timeout" if once.seen else None, once) == Outcome(Cause.STOPPED, "timeout")
    until(lambda: not any(is_alive(word.pid) for word in once.seen), 5)


@pytest.mark.alone  # which of the deaths mpiexec tells of is a matter of moments
@pytest.mark.parametrize(("number", "cause"), [(signal.SIGKILL, "killed"), (signal.SIGSEGV, "crashed")])
def test_a_rank_that_dies_takes_all_others_along(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals, cause: str
) -> None:
    directory, _ = pack(tmp_path, 1)
    ranks(monkeypatch, TRAINS)
    once = Once(directory, lambda seen: os.kill(seen[1].pid, number))
    assert run(directory, while_running=once).cause == cause
    assert time.monotonic() - once.at < 30
    until(lambda: not any(is_alive(word.pid) for word in once.seen), 5)


@pytest.mark.parametrize("stopped", [0, 2])
def test_a_rank_that_is_stopped_is_noticed_and_all_are_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stopped: int) -> None:
    directory, _ = pack(tmp_path, 1)
    ranks(monkeypatch, TRAINS)
    monkeypatch.setattr(watch, "SILENT_S", 4.0)
    once = Once(directory, lambda seen: os.kill(seen[stopped].pid, signal.SIGSTOP))
    outcome = run(directory, while_running=once)
    assert outcome.cause == "hanging"
    assert f"no sign of life for 4 s from rank {stopped} on {once.seen[stopped].host}" in outcome.message
    assert time.monotonic() - once.at < 30
    until(lambda: not any(is_alive(word.pid) for word in once.seen), 5)


@pytest.mark.parametrize(("why", "cause"), [("superseded", "stopped"), (None, "killed")])
def test_ranks_whose_pack_was_launched_by_another_are_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str | None, cause: str
) -> None:
    directory, _ = pack(tmp_path, 1)
    ranks(monkeypatch, TRAINS)
    once = Once(directory, lambda seen: shutil.rmtree(directory / "ranks"))
    monkeypatch.setattr(launch, "LATE_REASON_S", 1.0)
    begin: list[float] = []

    def stop_reason() -> str | None:
        """Say so only after the launcher has found its directory gone."""
        if once.seen:
            begin.append(time.monotonic())
        return why if len(begin) > 1 else None

    assert run(directory, stop_reason, once).cause == cause
    until(lambda: not any(is_alive(word.pid) for word in once.seen), 5)


def test_a_stop_that_was_asked_for_wins_over_trouble_that_follows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = pack(tmp_path, 1)
    ranks(monkeypatch, "time.sleep(120)")
    monkeypatch.setattr(watch, "SILENT_S", 4.0)
    once = Once(directory, lambda seen: os.kill(seen[1].pid, signal.SIGSTOP))
    assert run(directory, lambda: "timeout" if once.seen else None, once) == Outcome(Cause.STOPPED, "timeout")
    assert time.monotonic() - once.at < 30, "as soon as it was silent"


def test_the_first_death_tells_the_cause_however_much_is_said_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = pack(tmp_path, 1)
    said = "srun: error: n1: task 1: Segmentation fault (core dumped)\n" + "srun: error: n2: task 3: Terminated\n" * 500
    monkeypatch.setattr(
        launch, "_ranks_command", lambda *_: [sys.executable, "-c", f"import sys; sys.stderr.write({said!r}); sys.exit(143)"]
    )
    outcome = run(directory)
    assert outcome.cause == "crashed"
    assert len(outcome.message) < 5000


@pytest.mark.parametrize(("error", "cause"), [("MemoryError()", "out of memory"), ("ValueError('too odd')", "error")])
def test_an_error_of_a_rank_ends_all_with_its_cause(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: str, cause: str) -> None:
    directory, _ = pack(tmp_path, 1)
    ranks(monkeypatch, f"raise {error}")
    outcome = run(directory)
    assert outcome.cause == cause
    assert error.partition("(")[0] in outcome.message


def test_a_launcher_that_starts_single_programs_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = pack(tmp_path, 1)
    ranks(monkeypatch, "return 0", before="os.environ.pop('PMI_FD'), os.environ.pop('PMI_SIZE')")
    outcome = run(directory)
    assert outcome.cause == "bad input"
    assert "3 ranks were to be started, and this one of process" in outcome.message


def test_ranks_that_do_not_meet_are_given_up_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = pack(tmp_path, 1)
    ranks(monkeypatch, "return 0", before="if os.environ['PMI_RANK'] == '2': time.sleep(100)")
    monkeypatch.setattr(watch, "START_S", 6.0)
    outcome = run(directory)
    assert outcome.cause == "error"
    assert "3 ranks did not meet within 6 s: 2 have started, 0 have met the others" in outcome.message
    assert "mpiexec -launcher fork -n 3 env CUDA_VISIBLE_DEVICES=" in outcome.message


PARENT = """
import sys, time
from pathlib import Path
from hadamard.cluster import launch
from hadamard.cluster.mpi import RankPlacement
launch.command = lambda path, threads, ranks=1, shards=1: {command!r}
launch.run_pack(Path({directory!r}), Path("."), 1, 0, lambda: None, lambda: None, RankPlacement(("here",) * 3, None, 1))
"""


@pytest.mark.parametrize("whom", ["worker", "mpiexec"])
def test_no_rank_outlives_what_launched_it_even_if_that_is_killed(tmp_path: Path, whom: str) -> None:
    directory, _ = pack(tmp_path, 1)
    command = [sys.executable, "-c", RANK.format(lead=TRAINS, before=""), "3"]
    worker = subprocess.Popen([sys.executable, "-c", PARENT.format(command=command, directory=str(directory))])
    try:
        until(lambda: all_met(directory), 60)
        seen = words(directory)
        launcher = int(Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()[0])
        os.kill(worker.pid if whom == "worker" else launcher, signal.SIGKILL)
        until(lambda: not any(is_alive(word.pid) for word in seen), 10)
    finally:
        worker.kill()
        worker.wait()


def test_a_rank_that_lets_no_other_thread_run_still_shows_that_it_lives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = pack(tmp_path, 1)
    ranks(monkeypatch, "import ctypes; ctypes.PyDLL(None).sleep(8); return 0")
    monkeypatch.setattr(watch, "SILENT_S", 4.0)
    assert run(directory) == Outcome(None, "")


def test_a_rank_says_who_it_is_and_hears_that_it_is_to_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("launcher", "2"):
        (tmp_path / name).touch()
    for name, value in {"HADAMARD_LAUNCH": str(tmp_path), "SLURM_PROCID": "2", "SLURM_JOB_ID": "7", "SLURM_STEP_ID": "3"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(heartbeat, "ASK_S", 0.0)
    mine = heartbeat.Heartbeat.here()
    mine.meet()
    said = read_status((tmp_path / "2").read_text())
    assert said is not None
    assert (said.pid, said.step, said.met, said.ended) == (os.getpid(), "7.3", True, None)
    assert not mine.should_stop()
    (tmp_path / "launcher").write_text("stop")
    assert mine.should_stop()
    mine.end(76)
    assert '"met": true, "ended": 76' in (tmp_path / "2").read_text()


@pytest.mark.parametrize("end", ["silence", "another launch"])
def test_ranks_are_ended_when_nobody_listens_any_more(tmp_path: Path, end: str) -> None:
    """As after a launcher that was killed together with srun: the tasks of a step may live on."""
    for name in ("launcher", "0"):
        (tmp_path / name).touch()
    rank = subprocess.Popen(["sleep", "60"])
    quick = "from pathlib import Path; import hadamard.model.mpi.heartbeat as p; p.BEAT_S = p.LAUNCHER_GONE_S = 1.0; "
    code = f"{quick} p.beat(Path({str(tmp_path)!r}), 0, {rank.pid})"
    beating = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if end == "silence":
        for _ in range(15):
            os.utime(tmp_path / "launcher")
            time.sleep(0.2)
            assert rank.poll() is None
    else:
        (tmp_path / "0").unlink()
    assert rank.wait(30) == -signal.SIGKILL
    assert "rank 0 is ended: " in beating.communicate(timeout=30)[1]


def test_the_log_of_a_pack_keeps_what_all_ranks_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory, _ = pack(tmp_path, 1)
    ranks(
        monkeypatch,
        "return 0",
        before='os.write(1, f\'threads {os.environ["OMP_NUM_THREADS"]} {os.environ["CUDA_VISIBLE_DEVICES"]!r}\\n\'.encode())',
    )
    assert run(directory) == Outcome(None, "")
    assert PackFiles(directory).log.read_text().count("threads 1 ''") == 3
