"""Ships the ledger to MLflow: the study as a parent run, each trial as a child run, exactly once however often it is tried.

Owns the mapping from journals to runs. Does not own the ledger, and nothing waits for it: a dead server delays and loses nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.journal import write_atomically
from orchestrator.ledger import Ledger, TrialRecord
from orchestrator.plan import Plan
from orchestrator.results import costs

if TYPE_CHECKING:
    from mlflow import MlflowClient

STUDY_TAG, TRIAL_TAG, ARM_TAG = "hadamard.study", "hadamard.trial", "hadamard.arm"
HTTP_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""A dead server is noticed within a minute; the next round tries again anyway."""
BATCH = 500
CURVES = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")


@dataclass(frozen=True)
class Shipment:
    """What one round of shipping did."""

    runs: int
    """Trials that are in MLflow now, complete with their end."""
    error: str | None
    """Why the round ended early; None if it did not."""


def tracking_uri(ledger: Ledger) -> str:
    """Return $MLFLOW_TRACKING_URI, else an sqlite file beside the study's directory, shared by all studies there."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{ledger.directory.absolute().parent / 'mlflow.db'}"


def ship(ledger: Ledger, plan: Plan) -> Shipment:
    """Bring MLflow up to date with the ledger; finds or creates runs by tag, so that it may be killed and repeated at will.

    Never raises for what MLflow does: the error is returned.
    """
    os.environ |= {name: value for name, value in HTTP_PATIENCE.items() if name not in os.environ}
    uri = tracking_uri(ledger)
    with _only_shipper(ledger) as alone:
        if not alone:
            return Shipment(0, "another process is shipping this study")
        shipped = _read_shipped(ledger, uri)
        try:
            _ship_all(ledger, plan, uri, shipped)
        except Exception as error:  # whatever the server or its database says, the sweep goes on
            return Shipment(len(shipped), f"{type(error).__name__}: {error}".splitlines()[0][:300])
        return Shipment(len(shipped), None)


class BackgroundShipper:
    """Ships every few seconds from a thread while a sweep runs."""

    def __init__(self, ledger: Ledger, plan: Plan, every_s: float = 10.0) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(ledger, plan, every_s), daemon=True)

    def __enter__(self) -> BackgroundShipper:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join(timeout=60)

    def _run(self, ledger: Ledger, plan: Plan, every_s: float) -> None:
        while not self._stop.wait(every_s):
            ship(ledger, plan)


def _ship_all(ledger: Ledger, plan: Plan, uri: str, shipped: set[str]) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = _experiment(client, plan.study.study, ledger)
    parent = _find_or_create(client, experiment, plan.study.study, {STUDY_TAG: _study_id(ledger), "mlflow.note.content": _note(plan)})
    for trial in plan.trials:
        if trial.key in shipped:
            continue
        record = ledger.record(trial)
        if not record.events:
            continue
        tags = {
            STUDY_TAG: _study_id(ledger), TRIAL_TAG: trial.key, ARM_TAG: trial.arm, "mlflow.parentRunId": parent,
            **({"hadamard.cause": record.cause} if record.cause else {}),
        }  # fmt: skip
        run = _find_or_create(client, experiment, trial.key, tags, record.events[0]["time_ms"])
        _log(client, run, record)
        if record.status == "done" or (record.status == "failed" and not record.owed):
            client.set_terminated(run, "FINISHED" if record.status == "done" else "FAILED", record.events[-1]["time_ms"])
            shipped.add(trial.key)
            _write_shipped(ledger, uri, shipped)
        elif record.status == "failed":
            client.update_run(run, "FAILED")
    if len(shipped) == len(plan.trials):
        client.set_terminated(parent)


def _log(client: MlflowClient, run: str, record: TrialRecord) -> None:
    """Send params, curves and final numbers. Repeats are harmless: times come from the journal, and MLflow drops an exact repeat."""
    from mlflow.entities import Metric, Param

    params = [Param(key, str(value)[:500]) for key, value in _params(record).items()]
    metrics = [
        Metric(name, event[name], event["time_ms"], event["epoch"])
        for event in record.events
        if event["event"] == "epoch"
        for name in CURVES
    ]
    if record.result is not None:
        end = record.events[-1]["time_ms"]
        finals = {**record.responses, "parameters": record.result["parameters"], **costs(record)}
        curves = {metric.key for metric in metrics}
        metrics += [
            Metric(name, float(value), end, 0) for name, value in finals.items() if isinstance(value, int | float) and name not in curves
        ]
    client.log_batch(run, params=params)
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run, metrics=metrics[start : start + BATCH])


def _params(record: TrialRecord) -> dict[str, Any]:
    """Return the run's params: arm, split and factors first, then all settings by dotted path."""
    trial = record.trial
    first = {"arm": trial.arm, "split": trial.split, **trial.factors}
    return {**first, **{path: value for path, value in _dotted(trial.settings.model_dump()) if path not in first}}


def _dotted(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _experiment(client: MlflowClient, name: str, ledger: Ledger) -> str:
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    return str(client.create_experiment(name, artifact_location=(ledger.directory.absolute() / "mlflow-artifacts").as_uri()))


def _find_or_create(client: MlflowClient, experiment: str, name: str, tags: dict[str, str], start_ms: int | None = None) -> str:
    """Return the run with these study and trial tags; MLflow gives no say over run ids, so the tags are the identity."""
    trial = tags.get(TRIAL_TAG)
    mine = f"tags.`{STUDY_TAG}` = '{tags[STUDY_TAG]}'" + (f" and tags.`{TRIAL_TAG}` = '{trial}'" if trial else "")
    found = [run for run in client.search_runs([experiment], mine) if trial or TRIAL_TAG not in run.data.tags]
    run = found[0] if found else client.create_run(experiment, start_time=start_ms, tags=tags, run_name=name)
    return str(run.info.run_id)


def _study_id(ledger: Ledger) -> str:
    return str(ledger.provenance()["study_id"])


def _note(plan: Plan) -> str:
    factors = "\n".join(f"- {factor}" for factor in plan.design.factors)
    return f"{plan.design.kind}, {len(plan.design.rows)} rows x {plan.study.design.splits} splits\n\n{factors}"


@contextlib.contextmanager
def _only_shipper(ledger: Ledger) -> Iterator[bool]:
    with open(ledger.directory / "ship.lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _read_shipped(ledger: Ledger, uri: str) -> set[str]:
    if not ledger.shipped.exists():
        return set()
    return set(json.loads(ledger.shipped.read_text()).get(uri, []))


def _write_shipped(ledger: Ledger, uri: str, shipped: Sequence[str] | set[str]) -> None:
    everything = json.loads(ledger.shipped.read_text()) if ledger.shipped.exists() else {}
    write_atomically(ledger.shipped, json.dumps({**everything, uri: sorted(shipped)}))


def database_file(uri: str) -> Path | None:
    """Return the file of an sqlite tracking URI."""
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None
