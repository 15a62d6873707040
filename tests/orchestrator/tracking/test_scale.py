"""The sync of many trials takes few requests and little time for each, and looking again takes next to nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.sync import timed_sync
from hadamard.orchestrator.tracking import mlflow_sync
from tests.support.finished_study import finish, finished_study

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]
TRIALS = 100
CPU_S = 0.1
"""For each trial; 2,000 of them would take 200 s, where 600 s are allowed. About 0.03 s were measured."""


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the client's calls, one after the other."""
    from mlflow import MlflowClient

    made: list[str] = []

    def counted(name: str) -> object:
        method = getattr(MlflowClient, name)

        def call(*arguments: object, **named: object) -> object:
            made.append(name)
            return method(*arguments, **named)

        return call

    public = [name for name in vars(MlflowClient) if not name.startswith("_") and callable(getattr(MlflowClient, name))]
    for name in public:
        monkeypatch.setattr(MlflowClient, name, counted(name))
    return made


def test_many_trials_are_synced_in_little_time(tmp_path: Path, requests: list[str]) -> None:
    warm_ledger, warm_plan = finished_study(tmp_path / "warm", 5)
    timed_sync(warm_ledger, warm_plan)  # imports
    ledger, plan = finished_study(tmp_path / "study", TRIALS)
    requests.clear()
    cost = timed_sync(ledger, plan)
    assert len(requests) <= 3 * TRIALS + 10, "a run is created, filled and ended"
    assert cost.cpu_s < CPU_S * TRIALS
    requests.clear()
    timed_sync(ledger, plan)
    assert len(requests) < 10, "runs are requested in pages, and nothing is missing"


def test_a_round_while_trials_run_sends_only_what_is_new(tmp_path: Path, requests: list[str]) -> None:
    ledger, plan = finished_study(tmp_path / "study", 10)
    late = ledger.files(plan.trials[3])
    late.journal.unlink()
    late.result.unlink()
    assert mlflow_sync.sync(ledger, plan, run_has_ended=False) == mlflow_sync.SyncResult(9, None)
    requests.clear()
    assert mlflow_sync.sync(ledger, plan, run_has_ended=False) == mlflow_sync.SyncResult(9, None)
    assert requests == [], "MLflow is not even asked"
    finish(ledger, plan.trials[3], number=3)
    assert mlflow_sync.sync(ledger, plan, run_has_ended=False) == mlflow_sync.SyncResult(10, None)
    sent = [name for name in requests if name not in ("get_experiment_by_name", "search_runs")]
    assert sent == ["create_run", "log_batch", "set_terminated"]


def test_what_an_earlier_version_has_sent_is_not_sent_again(tmp_path: Path, requests: list[str]) -> None:
    ledger, plan = finished_study(tmp_path / "study", 10)
    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    ledger.sync_state.rename(ledger.directory / "shipped.json")
    requests.clear()
    assert mlflow_sync.sync(ledger, plan, run_has_ended=False) == mlflow_sync.SyncResult(10, None)
    assert requests == []
    assert mlflow_sync.sync(ledger, plan, run_has_ended=True, everything=True) == mlflow_sync.SyncResult(10, None)
    assert "create_run" not in requests
    assert ledger.sync_state.exists()
