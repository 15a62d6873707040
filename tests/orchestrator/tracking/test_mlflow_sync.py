"""The sync to a real MLflow database: every run exactly once, however often it is tried and whatever interrupts it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.tracking import mlflow_sync, saved_view
from hadamard.orchestrator.tracking.address import sqlite_file, tracking_uri
from tests.support.finished_study import finished_study, joules, meter
from tests.support.studies import entered

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@pytest.fixture
def ledger(tmp_path: Path, plan: Plan) -> Ledger:
    """A ledger in which three trials are done, one diverged, one is in training, and the others are owed."""
    ledger = entered(tmp_path / "run", plan)
    for trial in plan.trials[:5]:
        ledger.files(trial).append("started", pack="p", host="here")
        for epoch in (1, 2):
            losses = {"train_loss": 1 / epoch, "validation_loss": 2 / epoch, "train_accuracy": 0.5, "validation_accuracy": 0.25 * epoch}
            ledger.files(trial).append("epoch", epoch=epoch, seconds=0.5, **losses)
    for trial in plan.trials[:3]:
        responses = {"test_accuracy": 0.75, "test_loss": 0.4, "validation_accuracy": 0.5}
        ledger.files(trial).result.write_text(json.dumps({"key": trial.key, "responses": responses, "parameters": 17}))
        ledger.files(trial).append("done", seconds=2.0)
    ledger.files(plan.trials[3]).append("failed", cause="diverged", message="nan")
    return ledger


def runs(ledger: Ledger) -> list[object]:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri(ledger))
    experiment = client.get_experiment_by_name("tiny")
    return list(client.search_runs([experiment.experiment_id], max_results=1000))


def test_runs_carry_params_curves_finals_and_status(ledger: Ledger, plan: Plan) -> None:
    from mlflow import MlflowClient

    assert mlflow_sync.sync(ledger, plan, run_has_ended=True) == mlflow_sync.SyncResult(4, None)
    by_name = {run.info.run_name: run for run in runs(ledger)}
    assert set(by_name) == {"tiny", *(trial.key for trial in plan.trials[:5])}
    done = by_name[plan.trials[0].key]
    assert done.info.status == "FINISHED"
    assert done.data.metrics["test_accuracy"] == 0.75
    assert done.data.metrics["train_s"] == 1.0
    assert done.data.metrics["parameters"] == 17
    assert done.data.params["head.qubits"] == str(plan.trials[0].factors["head.qubits"])
    assert done.data.tags["mlflow.parentRunId"] == by_name["tiny"].info.run_id
    curve = MlflowClient(tracking_uri(ledger)).get_metric_history(done.info.run_id, "train_loss")
    assert [(point.step, point.value) for point in curve] == [(1, 1.0), (2, 0.5)]
    assert by_name[plan.trials[3].key].info.status == "FAILED"
    assert by_name[plan.trials[3].key].data.tags["hadamard.cause"] == "diverged"
    assert by_name[plan.trials[4].key].info.status == "RUNNING"
    assert "energy_j" not in done.data.metrics, "not measured is absent, never 0"


def test_a_second_sync_changes_nothing_even_if_its_memory_is_lost(ledger: Ledger, plan: Plan) -> None:
    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    before = [run.to_dictionary() for run in runs(ledger)]
    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    ledger.sync_state.unlink()
    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    assert sorted(json.dumps(run.to_dictionary(), sort_keys=True) for run in runs(ledger)) == sorted(
        json.dumps(run, sort_keys=True) for run in before
    )


def test_killed_during_a_sync_every_run_is_there_once(ledger: Ledger, plan: Plan) -> None:
    code = (
        "import sys; from pathlib import Path; from hadamard.orchestrator.tracking import mlflow_sync as tracking\n"
        "from hadamard.orchestrator.ledger.reopen import reopen\n"
        "tracking.sync(*reopen(Path(sys.argv[1])), run_has_ended=True)"
    )
    hits = 0
    for delay in (0.0, 0.4, 0.8, 0.1, 0.3, 0.6):
        process = subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, str(ledger.directory)], stderr=subprocess.DEVNULL)
        while process.poll() is None and not list(ledger.directory.parent.glob("*mlflow.db*")):
            time.sleep(0.01)  # the first kills hit the creation of the database, the later ones the runs
        time.sleep(delay)
        process.kill()
        hits += process.wait() != 0
    assert hits >= 3
    assert mlflow_sync.sync(ledger, plan, run_has_ended=True).error is None
    names = [run.info.run_name for run in runs(ledger)]
    assert sorted(names) == sorted({"tiny", *(trial.key for trial in plan.trials[:5])})


def test_a_dead_server_costs_nothing_but_time(ledger: Ledger, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    began = time.monotonic()
    outcome = mlflow_sync.sync(ledger, plan, run_has_ended=True)
    assert outcome.error is not None
    assert time.monotonic() - began < 60
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert mlflow_sync.sync(ledger, plan, run_has_ended=True) == mlflow_sync.SyncResult(4, None)


def test_two_studies_of_one_name_keep_their_runs_apart(ledger: Ledger, plan: Plan, tmp_path: Path) -> None:
    other = entered(tmp_path / "other", plan, "study-2")
    other.files(plan.trials[0]).append("started", pack="p", host="here")
    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    mlflow_sync.sync(other, plan, run_has_ended=True)
    names = [run.info.run_name for run in runs(ledger)]
    assert names.count(plan.trials[0].key) == 2
    assert names.count("tiny") == 2


def test_a_row_that_got_another_number_keeps_its_run(ledger: Ledger, plan: Plan) -> None:
    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    ledger.sync_state.unlink()
    trial = plan.trials[0]
    renumbered = trial.model_copy(update={"key": f"r77-s{trial.split:02d}-{trial.digest}", "arm": "r77"})
    moved = replace(plan, trials=(renumbered, *plan.trials[1:]))
    assert mlflow_sync.sync(Ledger(ledger.directory), moved, run_has_ended=True) == mlflow_sync.SyncResult(4, None)
    names = [run.info.run_name for run in runs(ledger)]
    assert len(names) == 6
    assert renumbered.key in names
    assert trial.key not in names


def test_data_that_moved_stops_no_sync(ledger: Ledger, plan: Plan) -> None:
    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    ledger.sync_state.unlink()
    settings = plan.trials[0].settings
    elsewhere = settings.model_copy(update={"data": settings.data.model_copy(update={"path": "/elsewhere"})})
    moved = replace(plan, trials=(plan.trials[0].model_copy(update={"settings": elsewhere}), *plan.trials[1:]))
    assert mlflow_sync.sync(ledger, moved, run_has_ended=True) == mlflow_sync.SyncResult(4, None)


def test_a_failed_trial_that_succeeds_later_keeps_no_cause(ledger: Ledger, plan: Plan) -> None:
    files = ledger.files(plan.trials[4])
    files.append("failed", cause="killed", message="by hand")
    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    files.append("started", pack="p", host="here")
    files.result.write_text(json.dumps({"responses": {"test_accuracy": 0.5}, "parameters": 1}))
    files.append("done", seconds=1.0)
    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    run = next(run for run in runs(ledger) if run.info.run_name == plan.trials[4].key)
    assert run.info.status == "FINISHED"
    assert run.data.tags["hadamard.cause"] == ""


def test_joules_come_when_the_run_has_ended_with_what_was_counted_and_how(tmp_path: Path) -> None:
    from mlflow import MlflowClient

    ledger, plan = finished_study(tmp_path / "study", 5)
    meter(ledger, plan)
    key, client = plan.trials[3].key, MlflowClient(tracking_uri(ledger))
    assert mlflow_sync.sync(ledger, plan, run_has_ended=False) == mlflow_sync.SyncResult(5, None)
    assert "energy_j" not in {run.info.run_name: run for run in runs(ledger)}[key].data.metrics
    for _ in range(2):
        assert mlflow_sync.sync(ledger, plan, run_has_ended=True) == mlflow_sync.SyncResult(5, None)
    run = {run.info.run_name: run for run in runs(ledger)}[key]
    assert run.data.metrics["energy_j"] == run.data.metrics["training_j"] == joules(3)
    assert len(client.get_metric_history(run.info.run_id, "energy_j")) == 1
    assert run.data.tags["hadamard.energy_method"] == "counter"
    assert run.data.tags["hadamard.energy_scope"] == "cpu package"
    assert run.info.start_time == ledger.record(plan.trials[3]).events[0]["time_ms"]


def test_a_damaged_record_of_a_meter_stops_no_sync(tmp_path: Path) -> None:
    ledger, plan = finished_study(tmp_path / "study", 5)
    meter(ledger, plan)
    next((ledger.directory / "energy").glob("*.json")).write_text("{")
    outcome = mlflow_sync.sync(ledger, plan, run_has_ended=True)
    assert outcome.runs == 5
    assert outcome.error is not None
    assert outcome.error.startswith("energy: ")


def test_the_view_is_offered_once_and_then_belongs_to_its_users(ledger: Ledger, plan: Plan) -> None:
    from mlflow import MlflowClient

    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    client = MlflowClient(tracking_uri(ledger))
    experiment = client.get_experiment_by_name("tiny")
    columns = json.loads(json.loads(experiment.tags[saved_view.TAG])["state"])["selectedColumns"]
    assert {"metrics.`test_accuracy`", "metrics.`energy_j`", "metrics.`train_s`", "metrics.`parameters`"} < set(columns)
    assert {f"params.`{path}`" for path in plan.trials[0].factors} < set(columns)
    client.set_experiment_tag(experiment.experiment_id, saved_view.TAG, "changed")
    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    assert client.get_experiment(experiment.experiment_id).tags[saved_view.TAG] == "changed"


def test_a_database_that_was_deleted_is_filled_again(ledger: Ledger, plan: Plan) -> None:
    mlflow_sync.sync(ledger, plan, run_has_ended=True)
    file = sqlite_file(tracking_uri(ledger))
    assert file is not None
    file.unlink()
    code = (
        "import sys; from pathlib import Path; from hadamard.orchestrator.tracking import mlflow_sync as tracking\n"
        "from hadamard.orchestrator.ledger.reopen import reopen\n"
        "print(tracking.sync(*reopen(Path(sys.argv[1])), run_has_ended=True))"
    )
    again = subprocess.run([sys.executable, "-W", "ignore", "-c", code, str(ledger.directory)], capture_output=True, text=True, check=True)
    assert again.stdout.strip() == str(mlflow_sync.SyncResult(4, None)), "in a process of its own: this one has the deleted file open"
    assert len(runs(ledger)) == 6
