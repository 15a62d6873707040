"""Drivers that are killed or told to stop at any moment, and the same table in the end."""

from __future__ import annotations

import json
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from safetensors import safe_open

from hadamard.model.files.trial_files import TrialFiles
from hadamard.orchestrator.ledger.owner_record import current
from tests.support.studies import write_study
from tests.support.whole_runs import (
    LONGER,
    TRIALS,
    in_training,
    journals,
    last_attempts,
    metric_points,
    mlflow_names,
    processes,
    results,
    run,
    stamps,
    start,
    table,
    trainers,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
KILLS = 3


@pytest.fixture
def scratch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where Ray keeps its files, by a path that leaves room for sockets."""
    with tempfile.TemporaryDirectory(prefix="hs", dir="/tmp") as directory:
        monkeypatch.setenv("HADAMARD_SCRATCH", directory)
        yield Path(directory)


def test_kill_9_of_the_driver_at_random_instants_loses_and_doubles_nothing(undisturbed: Path, tmp_path: Path, scratch: Path) -> None:
    study, directory = write_study(tmp_path, LONGER), tmp_path / "run"
    chance = random.Random(20261122)
    finished: dict[str, int] = {}
    for number in range(KILLS):
        left = set(trainers(directory))
        process = start(study, directory)
        at = time.monotonic() + (chance.uniform(0.5, 11.0) if number % 3 < 2 else 180)
        # However long a busy machine takes to begin, some are met in training; however quick another one is, it does not come to the end.
        until(lambda at=at, left=left: time.monotonic() > at or bool(set(in_training(directory)) - left))  # type: ignore[misc]
        if number % 3 == 2:
            time.sleep(chance.uniform(0.0, 2.0))
        assert process.poll() is None, "the run ended before it could be killed: make the study longer"
        process.kill()
        process.communicate()
        until(lambda: not list(scratch.iterdir()) and not list(processes(f"{scratch}/")), 30)  # nothing of Ray's is left
        now = stamps(directory)
        assert all(now[path] == stamp for path, stamp in finished.items()), "a finished trial was lost or done again"
        finished = now
    code, output = run(study, directory)
    assert code == 0, output
    assert table(directory) == table(undisturbed)
    ends = {(event["event"], event["cause"]) for events in journals(directory) for event in events if "cause" in event}
    assert ends == {("stopped", "driver lost")}, "nobody failed"
    names = mlflow_names(directory)
    assert sorted(names) == sorted(set(names))
    assert len(names) == TRIALS + 1
    assert all(stamps(directory)[path] == stamp for path, stamp in finished.items())
    assert metric_points(directory) == metric_points(undisturbed), "every curve is in MLflow once"


def test_signals_stop_gracefully_and_no_epoch_is_trained_twice(undisturbed: Path, tmp_path: Path) -> None:
    study, directory = write_study(tmp_path, LONGER), tmp_path / "run"
    for number, enough in ((signal.SIGTERM, 2), (signal.SIGINT, 5)):
        process = start(study, directory)
        until(lambda enough=enough: results(directory) >= enough and bool(in_training(directory)))  # type: ignore[misc]
        process.send_signal(number)
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 130, output
        assert "the same command goes on where this one was" in output
        assert (directory / "report" / "report.html").exists()
        assert not trainers(directory)
        stopped = [one for one in last_attempts(directory) if one[-1]["event"] == "stopped"]
        assert stopped, "somebody was in training"
        assert {one[-1]["cause"] for one in stopped} == {"interrupted"}
        for files in map(TrialFiles, directory.glob("trials/*")):
            epochs = [event["epoch"] for event in files.events() if event["event"] == "epoch"]
            if epochs and not files.result.exists():
                with safe_open(files.checkpoint, framework="pt") as file:
                    assert json.loads(file.metadata()["epoch"]) == max(epochs), "what is trained next is the epoch after the last one"
    code, output = run(study, directory)
    assert code == 0, output
    assert "going on:" not in output, "every stop was recorded"
    assert table(directory) == table(undisturbed)
    assert not [event for events in journals(directory) for event in events if event["event"] == "failed"]


def test_what_does_not_stop_gracefully_is_ended_by_a_second_signal(tmp_path: Path) -> None:
    study, directory = write_study(tmp_path, LONGER), tmp_path / "run"
    process = start(study, directory)
    until(lambda: bool(in_training(directory)))
    deaf = in_training(directory)[0]
    os.kill(deaf, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    until(lambda: stopping(directory))
    time.sleep(1.1)  # a second signal any sooner is an echo of the first
    assert process.poll() is None, "it waits for the one that does not listen"
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=40)
    assert process.returncode == 130, output
    assert not trainers(directory)
    assert not [one for one in last_attempts(directory) if one[-1]["event"] in ("started", "epoch", "evaluated")]


def stopping(directory: Path) -> bool:
    owner = current(directory)
    return owner is not None and owner.state == "stopping"
