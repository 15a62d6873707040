"""Who runs a study: of many drivers one, dead owners are replaced at once or in time, living ones are not."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hadamard.model.errors import LedgerError
from hadamard.orchestrator.ledger import claim, owner_record
from hadamard.orchestrator.ledger.claim import OwnedError, living, owned, stop_requested
from hadamard.orchestrator.ledger.owner_record import OwnerRecord

FAST_HEARTBEAT_S = 0.05


@pytest.fixture
def study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SLURM_JOB_ID", "SLURM_RESTART_COUNT", "SLURMD_NODENAME", "HADAMARD_CLUSTER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(claim, "HEARTBEAT_S", FAST_HEARTBEAT_S)
    return tmp_path


def put(study: Path, owner: OwnerRecord, age_s: float = 0.0) -> None:
    """Have an owner on record whose last heartbeat is so long ago."""
    owner_record.folder(study).mkdir(exist_ok=True)
    file = owner_record.file_of(study, owner.term)
    os.replace(owner_record.written(study, owner), file)
    os.utime(file, (time.time() - age_s,) * 2)


def elsewhere(term: int = 1, job: str | None = None, restart: int = 0) -> OwnerRecord:
    """Return a driver on another machine; its process number is that of a process here, which must not matter."""
    here = owner_record.this_process(term, {})
    return dataclasses.replace(here, host="n2", machine="another boot", job=job, restart=restart)


def until(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until something holds, at most so long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def slurm_is_not_asked(job: str) -> str | None:
    raise AssertionError(f"Slurm was asked for {job}")


DRIVER = """
import sys, time
from pathlib import Path
from hadamard.orchestrator.ledger.claim import OwnedError, owned
study = Path(sys.argv[1])
print("ready", flush=True)
while not (study / "go").exists():
    time.sleep(0.001)
try:
    with owned(study) as claimed:
        print("owner", claimed.owner.term, flush=True)
        while not (study / "end").exists():
            time.sleep(0.01)
except OwnedError as error:
    print("refused by", error.owner.pid, flush=True)
"""


def drivers(study: Path, count: int) -> list[subprocess.Popen[str]]:
    """Have processes claim the study at once, each as soon as all are ready."""
    started = [subprocess.Popen([sys.executable, "-c", DRIVER, str(study)], stdout=subprocess.PIPE, text=True) for _ in range(count)]
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    (study / "go").touch()
    return started


@contextlib.contextmanager
def driver(study: Path) -> Iterator[subprocess.Popen[str]]:
    """Have one process that owns the study."""
    [process] = drivers(study, 1)
    assert process.stdout is not None
    assert process.stdout.readline().startswith("owner")
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("stale", [False, True])
def test_of_many_that_claim_at_once_exactly_one_wins(study: Path, stale: bool) -> None:
    if stale:
        put(study, elsewhere(), age_s=100)
    started = drivers(study, 6)
    until(lambda: sum(one.poll() is not None for one in started) == 5, 60)
    (study / "end").touch()
    outputs = [one.communicate(timeout=60)[0] for one in started]
    winners = [one for one, output in zip(started, outputs, strict=True) if output.startswith("owner")]
    assert [output for output in outputs if output.startswith("owner")] == [f"owner {2 if stale else 1}\n"]
    assert sum(output == f"refused by {winners[0].pid}\n" for output in outputs) == 5
    assert not list(owner_record.folder(study).glob(".*"))


def test_an_owner_that_was_killed_is_replaced_at_once(study: Path) -> None:
    with driver(study) as process:
        with pytest.raises(OwnedError, match=rf"is being run by process {process.pid} on .*\. Wait for it, or stop it"), owned(study):
            pass
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays a zombie, as the child of a parent that does not look
        assert living(study) is None
        with owned(study) as claimed:
            assert (claimed.owner.term, claimed.previous and claimed.previous.pid) == (2, process.pid)


def test_another_process_with_the_owners_number_is_not_taken_for_it(study: Path) -> None:
    put(study, dataclasses.replace(owner_record.this_process(1, {}), process_started=1))
    assert living(study) is None


def test_a_study_is_given_back(study: Path) -> None:
    assert owner_record.current(study) is None
    with owned(study) as claimed:
        assert living(study) == owner_record.current(study)
        with pytest.raises(OwnedError), owned(study):
            pass
    last = owner_record.current(study)
    assert last is not None
    assert (last.state, last.cause, last.pid, claimed.lost) == ("ended", None, os.getpid(), False)
    assert living(study) is None


def test_an_owner_elsewhere_is_replaced_once_its_heartbeat_is_old(study: Path) -> None:
    put(study, elsewhere(), age_s=30)
    with pytest.raises(OwnedError, match=r"on n2, last sign of life 3\d s ago. Wait .* at most 60 s after its last"), owned(study):
        pass
    put(study, elsewhere(), age_s=61)
    with owned(study) as claimed:
        assert claimed.owner.term == 2


def test_clocks_that_differ_do_not_count(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = time.time
    put(study, elsewhere())
    monkeypatch.setattr(time, "time", lambda: real() + 10_000)
    assert living(study) is not None
    monkeypatch.setattr(time, "time", real)
    put(study, elsewhere(), age_s=100)
    monkeypatch.setattr(time, "time", lambda: real() - 10_000)
    assert living(study) is None


@pytest.mark.parametrize(
    ("state", "alive"),
    [
        ("RUNNING", True),
        ("COMPLETING", True),
        (None, True),
        ("PENDING", False),
        ("NODE_FAIL", False),
        ("GONE", False),
        ("CANCELLED", False),
    ],
)
def test_of_an_owner_in_a_job_slurm_is_asked(study: Path, state: str | None, alive: bool) -> None:
    put(study, elsewhere(job="42"))
    asked: list[str] = []

    def job_state(job: str) -> str | None:
        asked.append(job)
        return state

    assert (living(study, {}, job_state) is not None) is alive
    assert asked == ["42"]


def test_slurm_is_not_asked_where_the_answer_is_known(study: Path) -> None:
    put(study, elsewhere(job="42"), age_s=100)
    assert living(study, {}, slurm_is_not_asked) is None
    put(study, elsewhere(job="42"))
    assert living(study, {"SLURM_JOB_ID": "42", "SLURM_RESTART_COUNT": "1"}, slurm_is_not_asked) is None
    assert living(study, {"SLURM_JOB_ID": "42"}, lambda _job: "RUNNING") is not None
    put(study, owner_record.this_process(1, {"SLURM_JOB_ID": "42"}))
    assert living(study, {}, slurm_is_not_asked) is not None
    put(study, elsewhere())
    assert living(study, {}, slurm_is_not_asked) is not None


def test_what_is_known_of_a_job_is_on_record(study: Path) -> None:
    environment = {"SLURM_JOB_ID": "42", "SLURM_RESTART_COUNT": "3", "SLURMD_NODENAME": "n7", "HADAMARD_CLUSTER": "/s/cluster.json"}
    with owned(study, environment):
        last = owner_record.current(study)
        assert last is not None
        assert (last.job, last.restart, last.host, last.cluster) == ("42", 3, "n7", "/s/cluster.json")
        refused = r"on n7 of Slurm job 42\. Wait for it, or lend more nodes to it: `hadamard submit STUDY --join`"
        with pytest.raises(OwnedError, match=refused), owned(study):
            pass


def test_an_owner_renews_its_heartbeat(study: Path) -> None:
    with owned(study) as claimed:
        file = owner_record.file_of(study, claimed.owner.term)
        os.utime(file, (0, 0))
        until(lambda: file.stat().st_mtime > time.time() - 60)
        file.unlink()
        until(file.exists)
        assert living(study) is not None


def test_a_superseded_owner_sees_it_at_its_next_heartbeat(study: Path) -> None:
    told = threading.Event()
    with owned(study, on_lost=told.set) as claimed:
        assert stop_requested(study, 1) is None
        claimed.check()
        put(study, elsewhere(2))
        assert stop_requested(study, 1) == "superseded"
        assert told.wait(10)
        assert claimed.lost
        with pytest.raises(OwnedError, match="on n2"):
            claimed.check()
    last = owner_record.current(study)
    assert last is not None
    assert (last.term, last.state) == (2, "running")


def test_the_main_thread_of_a_superseded_owner_is_interrupted_in_its_wait(study: Path) -> None:
    def end(_number: int, _frame: object) -> None:
        raise InterruptedError

    def lose() -> None:
        put(study, elsewhere(2))
        time.sleep(30)

    before = signal.signal(signal.SIGTERM, end)
    try:
        with owned(study), pytest.raises(InterruptedError):
            lose()
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_stop_is_seen_from_everywhere_and_its_first_cause_stays(study: Path) -> None:
    with owned(study) as claimed:
        signal_number = signal.SIGUSR2
        before = signal.signal(signal_number, lambda *_: claimed.stop("timeout"))
        try:
            signal.raise_signal(signal_number)
        finally:
            signal.signal(signal_number, before)
        claimed.stop("interrupted")
        assert stop_requested(study, claimed.owner.term) == "timeout"
        with pytest.raises(OwnedError, match=r"It is stopping \(timeout\): give the command again in a minute"), owned(study):
            pass
    assert stop_requested(study, claimed.owner.term) == "timeout"
    with owned(study) as following:
        assert following.previous is not None
        assert (following.previous.state, following.previous.cause) == ("ended", "timeout")


def test_a_stop_that_could_not_be_written_is_by_the_next_heartbeat(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_directory: Path, _owner: OwnerRecord) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    with owned(study) as claimed:
        with monkeypatch.context() as patched:
            patched.setattr(owner_record, "written", full)
            claimed.stop("preempted")
            assert stop_requested(study, 1) is None
        until(lambda: stop_requested(study, 1) == "preempted")


def test_files_that_are_missing_or_torn_stop_nothing(study: Path) -> None:
    assert stop_requested(study, 1) is None
    put(study, elsewhere())
    file = owner_record.file_of(study, 1)
    for content in (b"", b'{"generation": 1, "host"', b"[]", b"\xff\xfe", b'{"another": "version"}'):
        file.write_bytes(content)
        assert stop_requested(study, 1) is None
    file.unlink()
    assert stop_requested(study, 1) is None


def test_a_record_of_an_earlier_version_is_read(study: Path) -> None:
    put(study, elsewhere(7))
    file = owner_record.file_of(study, 7)
    file.write_text(json.dumps({**json.loads(file.read_text()), "generation": 7, "cause": "driver lost"}))
    record = owner_record.current(study)
    assert record is not None
    assert (record.term, record.host, record.cause) == (7, "n2", "driver lost")


def test_a_torn_file_is_an_owner_as_long_as_it_is_fresh(study: Path) -> None:
    put(study, elsewhere(3))
    file = owner_record.file_of(study, 3)
    file.write_text("{")
    with pytest.raises(OwnedError, match="a driver whose file cannot be read, last sign of life 0 s ago"), owned(study):
        pass
    os.utime(file, (time.time() - 61,) * 2)
    with owned(study) as claimed:
        assert claimed.owner.term == 4


def test_a_claim_slower_than_ten_owners_is_no_claim(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(study, dataclasses.replace(elsewhere(20), state="ended"))
    seen = iter([None])
    real = owner_record.current
    monkeypatch.setattr(claim, "current", lambda directory: next(seen, real(directory)))
    with owned(study) as claimed:
        assert claimed.owner.term == 21
    assert not owner_record.file_of(study, 1).exists()


def test_old_terms_are_tidied_away(study: Path) -> None:
    for _ in range(15):
        with owned(study) as claimed:
            pass
    kept = sorted(path.name for path in owner_record.folder(study).iterdir())
    assert kept == [f"{number:07d}.json" for number in range(6, 16)]
    assert claimed.owner.term == 15


def test_a_link_whose_success_was_not_reported_counts(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def lost_answer(source: Path, target: Path) -> None:
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", lost_answer)
    with owned(study) as claimed:
        assert claimed.owner.term == 1


def test_a_file_system_without_hard_links_is_refused_in_words(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_source: Path, _target: Path) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(LedgerError, match=r"cannot make hard links .* with --dir"), owned(study):
        pass
    assert not list(owner_record.folder(study).iterdir())


def test_a_claim_needs_no_locks(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    for name in ("flock", "lockf", "fcntl"):
        monkeypatch.setattr(fcntl, name, refuse)
    with owned(study) as claimed:
        claimed.stop("timeout")
        assert stop_requested(study, 1) == "timeout"
