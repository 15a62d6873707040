"""A trial's files: what survives a crash, what a reader is told."""

from __future__ import annotations

import errno
import fcntl
import multiprocessing
import time
from pathlib import Path

import pytest
import torch

from hadamard.model.errors import LedgerError
from hadamard.model.files import checkpoint, trial_files
from hadamard.model.files.atomic import read_json, write_atomically
from hadamard.model.files.trial_files import TrialFiles, in_training


def test_events_come_back_in_order_with_times(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    before = int(time.time() * 1000)
    files.append("started", pack="p")
    files.append("epoch", epoch=1, train_loss=0.1)
    first, second = files.events()
    assert (first["event"], second["epoch"]) == ("started", 1)
    assert before <= first["time_ms"] <= second["time_ms"]


def test_a_torn_last_line_is_not_read_and_is_cut_off_by_the_next_writer(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    files.append("started")
    whole = files.journal.read_bytes()
    for length in range(1, 40):
        files.journal.write_bytes(whole + b'{"event": "epoch", "epoch": 1, "time_ms": 17}'[:length])
        assert [event["event"] for event in files.events()] == ["started"]
    files.append("done")
    assert [event["event"] for event in files.events()] == ["started", "done"]


@pytest.mark.parametrize("line", ["{broken", "[1, 2]", '"text"', '{"no": "event"}', ""])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    files = TrialFiles(tmp_path)
    files.append("started")
    with open(files.journal, "a") as file:
        file.write(line + "\n")
    files.append("done")
    with pytest.raises(LedgerError, match=r"journal\.jsonl:2: damaged line"):
        files.events()


def test_damaged_json_is_named_by_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text('{\n"key": \n')
    with pytest.raises(LedgerError, match=r"result\.json:\d+: damaged.*Mend it"):
        read_json(path, "Mend it")


def test_atomic_writes_leave_no_temporary_file(tmp_path: Path) -> None:
    write_atomically(tmp_path / "a.json", "old")
    write_atomically(tmp_path / "a.json", "new")
    assert (tmp_path / "a.json").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def _hold(directory: str, seconds: float) -> None:
    with TrialFiles(Path(directory)).locked():
        (Path(directory) / "held").touch()
        time.sleep(seconds)


@pytest.mark.slow
def test_a_second_process_waits_for_the_first_but_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(str(tmp_path), 60))
    holder.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.02)
    monkeypatch.setattr(trial_files, "LOCK_WAIT_S", 0.3)
    begin = time.monotonic()
    with TrialFiles(tmp_path).locked():
        assert time.monotonic() - begin > 0.3
    holder.kill()
    holder.join()
    with TrialFiles(tmp_path).locked():
        pass


@pytest.mark.parametrize("why", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: int) -> None:
    def refuse(_file: object, _operation: int) -> None:
        raise OSError(why, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    monkeypatch.setattr(trial_files, "LOCK_WAIT_S", 0.0)
    files = TrialFiles(tmp_path)
    with files.locked(), files.locked():
        files.append("started")
    assert [event["event"] for event in files.events()] == ["started"]
    with open(tmp_path / "lock", "w") as file:
        assert trial_files.locked(file, wait=True)


def test_other_faults_of_a_lock_are_not_hidden(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_file: object, _operation: int) -> None:
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(fcntl, "flock", fail)
    with pytest.raises(OSError, match="the disk is broken"), TrialFiles(tmp_path).locked():
        pass


def test_an_attempt_is_open_until_something_ends_it(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    for event, is_open in (("started", True), ("epoch", True), ("failed", False), ("started", True), ("stopped", False)):
        files.append(event)
        assert in_training(files.events()) is is_open
    assert not in_training([])


def test_a_checkpoint_brings_back_state_and_epoch_to_the_bit(tmp_path: Path) -> None:
    files, state = TrialFiles(tmp_path), torch.randn(3, 5)
    checkpoint.save(files, state, epoch=7)
    restored = torch.zeros(3, 5)
    assert checkpoint.load(files, restored) == 7
    assert torch.equal(restored, state)
    assert checkpoint.load(TrialFiles(tmp_path / "none"), restored) == 0


def test_a_checkpoint_of_something_else_is_refused(tmp_path: Path) -> None:
    files = TrialFiles(tmp_path)
    checkpoint.save(files, torch.zeros(3, 5), epoch=1)
    with pytest.raises(LedgerError, match=r"holds 5 parameters in torch.float32, where 6 .* Delete it"):
        checkpoint.load(files, torch.zeros(3, 6))
    with pytest.raises(LedgerError, match="in torch.float64 are trained"):
        checkpoint.load(files, torch.zeros(3, 5, dtype=torch.float64))
    files.checkpoint.write_bytes(b"\0" * 20)
    with pytest.raises(LedgerError, match=r"checkpoint.safetensors: is not a checkpoint .* Delete it"):
        checkpoint.load(files, torch.zeros(3, 5))
