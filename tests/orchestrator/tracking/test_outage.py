"""A real MLflow server that hangs, and is killed, in the middle of a sync: nothing is lost, nothing is there twice."""

from __future__ import annotations

import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.tracking import mlflow_sync
from hadamard.orchestrator.tracking.address import tracking_uri
from hadamard.orchestrator.tracking.mlflow_client import create_database
from tests.support.finished_study import EPOCHS, ROWS, finished_study
from tests.support.mlflow_server import MlflowServer

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TRIALS = 60


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MlflowServer]:
    create_database(f"sqlite:///{tmp_path / 'server.db'}")
    with MlflowServer(tmp_path / "server.db", tmp_path / "server.log") as server:
        yield server


def rows(database: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=20) as connection:
        return connection.execute(query).fetchall()


def sync_until(runs: int, database: Path, then: Callable[[], None], ledger: Ledger, plan: Plan) -> mlflow_sync.SyncResult:
    """Sync, and do something to the server as soon as it has this number of runs."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set() and rows(database, "select count(*) from runs")[0][0] < runs:  # type: ignore[operator]
            time.sleep(0.005)
        then()

    watcher = threading.Thread(target=watch)
    watcher.start()
    outcome = mlflow_sync.sync(ledger, plan, run_has_ended=True)
    ended.set()
    watcher.join()
    return outcome


def test_a_server_that_hangs_and_dies_loses_and_doubles_nothing(
    tmp_path: Path, server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mlflow import MlflowClient

    assert list(MlflowClient(server.address).search_runs(["0"])) == []  # the first request takes longest
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "4")
    ledger, plan = finished_study(tmp_path / "study", TRIALS)
    database = tmp_path / "server.db"

    hung = sync_until(15, database, lambda: server.signal(signal.SIGSTOP), ledger, plan)
    assert hung.error is not None
    assert 0 < hung.runs < TRIALS
    server.signal(signal.SIGCONT)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
    killed = sync_until(35, database, server.kill, ledger, plan)
    assert killed.error is not None
    assert hung.runs < killed.runs < TRIALS
    server.start()
    assert mlflow_sync.sync(ledger, plan, run_has_ended=True) == mlflow_sync.SyncResult(TRIALS, None)

    names = Counter(name for (name,) in rows(database, "select name from runs where lifecycle_stage = 'active'"))
    assert names == Counter(["tiny", *(trial.key for trial in plan.trials)])
    query = "select name, key, value, timestamp, step from metrics join runs using (run_uuid) where lifecycle_stage = 'active'"
    points = rows(database, query)
    assert len(points) == len(set(points)) == TRIALS * ROWS
    assert Counter(key for _name, key, *_rest in points)["train_loss"] == TRIALS * EPOCHS
    wanted = {
        (trial.key, name, event[name], event["time_ms"], event["epoch"])
        for trial in plan.trials
        for event in ledger.record(trial).events
        if event["event"] == "epoch"
        for name in ("train_loss", "validation_accuracy")
    }
    assert wanted <= set(points)


def test_a_run_that_a_hung_server_made_after_all_is_taken_out(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    ledger, plan = finished_study(tmp_path / "study", 5)
    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    client = MlflowClient(tracking_uri(ledger))
    (found,) = client.search_runs(["1"], f"attributes.run_name = '{plan.trials[2].key}'")
    late = {tag: value for tag, value in found.data.tags.items() if tag.startswith("hadamard.")}
    client.create_run("1", tags=late, run_name=found.info.run_name)
    assert mlflow_sync.sync(ledger, plan, run_has_ended=True) == mlflow_sync.SyncResult(5, None)
    left = client.search_runs(["1"], "tags.`hadamard.role` = 'trial'")
    assert sorted(run.info.run_name for run in left) == sorted(trial.key for trial in plan.trials)
    assert found.info.run_id in {run.info.run_id for run in left}, "the one with all of its numbers stays"
