"""A trial's files: what survives a crash, what a reader is told."""

from __future__ import annotations

import multiprocessing
import time
from pathlib import Path

import pytest
import torch

from model import checkpoint, journal
from model.errors import LedgerError
from model.journal import TrialFiles, read_json, write_atomically


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
    with pytest.raises(LedgerError, match=r"journal\.jsonl:2: damaged journal line"):
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


def test_a_second_process_waits_for_the_first_and_gives_up_in_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    holder = multiprocessing.get_context("spawn").Process(target=_hold, args=(str(tmp_path), 60))
    holder.start()
    while not (tmp_path / "held").exists():
        time.sleep(0.02)
    monkeypatch.setattr(journal, "LOCK_WAIT_S", 0.3)
    with pytest.raises(LedgerError, match="another process has been training this trial"), TrialFiles(tmp_path).locked():
        pass
    holder.kill()
    holder.join()
    with TrialFiles(tmp_path).locked():
        pass


def test_a_checkpoint_brings_back_parameters_moments_and_epoch(tmp_path: Path) -> None:
    def made() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        module = torch.nn.Linear(3, 2)
        return module, torch.optim.Adam(module.parameters(), lr=0.1)

    def step(module: torch.nn.Module, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad()
        module(torch.arange(6.0).reshape(2, 3)).square().sum().backward()
        optimizer.step()

    files = TrialFiles(tmp_path)
    through, through_optimizer = made()
    step(through, through_optimizer)
    checkpoint.save(files, through, through_optimizer, epoch=1)
    step(through, through_optimizer)
    resumed, resumed_optimizer = made()
    assert checkpoint.load(files, resumed, resumed_optimizer) == 1
    step(resumed, resumed_optimizer)
    assert torch.equal(resumed.weight, through.weight)  # type: ignore[arg-type]
    assert checkpoint.load(TrialFiles(tmp_path / "none"), resumed, resumed_optimizer) == 0
