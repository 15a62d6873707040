"""Ships the ledger to MLflow: the study as a parent run, each trial as a child run, exactly once however often it is tried.

Owns the mapping from journals to runs. Does not own the ledger, and nothing waits for it: a dead server delays and loses nothing.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cluster.energy import why_not_measured
from model.journal import locked, read_json, write_atomically
from model.settings import Trial
from orchestrator.ledger import Ledger, TrialRecord
from orchestrator.plan import Plan
from orchestrator.results import costs

if TYPE_CHECKING:
    from mlflow import MlflowClient

STUDY_TAG, ROLE_TAG, TRIAL_TAG, ARM_TAG, CAUSE_TAG = (f"hadamard.{name}" for name in ("study", "role", "trial", "arm", "cause"))
MLFLOW_ENVIRONMENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_LOGGING_LEVEL": "CRITICAL"}
"""The next round tries again anyway; a request that MLflow repeats by itself could create a run twice."""
BATCH = 500
SHARE = 0.05
"""Of the time, rounds of shipping take no more while trials run, which want the cores."""
CURVES = ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy")
NOT_PARAMS = ("data.path",)
"""Settings that decide no result and may change, which MLflow forbids to params."""


@dataclass(frozen=True)
class Shipment:
    """What one round of shipping did."""

    runs: int
    """Trials of the study that are in MLflow complete with their end."""
    error: str | None
    """Why not everything could be sent; None if it could."""


def tracking_uri(ledger: Ledger) -> str:
    """Return $MLFLOW_TRACKING_URI, else an sqlite file beside the study's directory, shared by all studies there."""
    return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{ledger.directory.absolute().parent / 'mlflow.db'}"


def ship(ledger: Ledger, plan: Plan, run_has_ended: bool) -> Shipment:
    """Bring MLflow up to date with the ledger; finds or creates runs by tag, so that it may be killed and repeated at will.

    Never raises for what MLflow does: the error is returned.

    Args:
        ledger: The study's directory.
        plan: Its trials.
        run_has_ended: Whether nothing more will be written of trials that have a result; the study's own run is ended too.
    """
    os.environ |= {name: value for name, value in MLFLOW_ENVIRONMENT.items() if name not in os.environ}
    try:
        with _lock_held(ledger.ship_lock, wait=run_has_ended) as alone:
            return _Round(ledger, plan, run_has_ended).ship() if alone else Shipment(0, "another process is shipping this study")
    except Exception as error:  # whatever the server or its database says, the sweep goes on
        return Shipment(0, _first_line(error))


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
        pause_s = every_s
        while not self._stop.wait(pause_s):
            begin = time.monotonic()
            ship(ledger, plan, run_has_ended=False)
            pause_s = max(every_s, (time.monotonic() - begin) / SHARE)


class _Round:
    """One round of shipping, by the only shipper of the study."""

    def __init__(self, ledger: Ledger, plan: Plan, run_has_ended: bool) -> None:
        self.ledger, self.plan, self.run_has_ended = ledger, plan, run_has_ended
        self.study_id = str(ledger.provenance()["study_id"])
        self.uri = tracking_uri(ledger)
        self.all_shipped = read_json(ledger.shipped, "Delete it") if ledger.shipped.exists() else {}
        self.shipped = set(self.all_shipped.get(self.uri, []))

    def ship(self) -> Shipment:
        """Send what is missing; one trial that MLflow refuses does not stop the others."""
        _create_database(self.uri)
        from mlflow import MlflowClient

        self.client = MlflowClient(self.uri)
        self.experiment = self._experiment()
        parent = self._find_or_create(self.plan.study.study, {ROLE_TAG: "study", "mlflow.note.content": _note(self.plan)})
        driven = functools.cache(self.ledger.driven)
        errors = []
        for trial in tracked(self.plan.trials):
            if trial.digest in self.shipped:
                continue
            try:
                self._ship_trial(self.ledger.record(trial, driven), parent)
            except Exception as error:
                errors.append(f"{trial.key}: {_first_line(error)}")
        if self.run_has_ended:
            journals = [file for trial in self.plan.trials if (file := self.ledger.files(trial).journal).exists()]
            self.client.set_terminated(parent, end_time=max((int(file.stat().st_mtime * 1000) for file in journals), default=None))
        complete = sum(trial.digest in self.shipped for trial in tracked(self.plan.trials))
        return Shipment(complete, errors[0] if errors else None)

    def _ship_trial(self, record: TrialRecord, parent: str) -> None:
        if not record.events:
            return
        trial = record.trial
        run = self._find_or_create(trial.key, {ROLE_TAG: "trial", TRIAL_TAG: trial.digest}, record.events[0]["time_ms"])
        self.client.update_run(run, name=trial.key)  # a row may have got another number
        for tag, value in ((ARM_TAG, trial.arm), ("mlflow.parentRunId", parent), (CAUSE_TAG, record.cause or "")):
            self.client.set_tag(run, tag, value)
        ended_ms = max((event["time_ms"] for event in record.events if event["event"] in ("done", "failed")), default=None)
        if record.status == "done" and ended_ms is None:  # killed between the result and the word of it
            ended_ms = int(self.ledger.files(trial).result.stat().st_mtime * 1000)
        _log(self.client, run, record, ended_ms)
        if record.status == "done" or (record.status == "failed" and not record.owed):
            self.client.set_terminated(run, "FINISHED" if record.status == "done" else "FAILED", ended_ms)
            if self.run_has_ended or why_not_measured():  # while its pack runs, a trial's joules may still come
                self.shipped.add(trial.digest)
                write_atomically(self.ledger.shipped, json.dumps({**self.all_shipped, self.uri: sorted(self.shipped)}))
        elif record.status == "failed":
            self.client.update_run(run, "FAILED")

    def _experiment(self) -> str:
        name = self.plan.study.study
        if (found := self.client.get_experiment_by_name(name)) is not None:
            return str(found.experiment_id)
        location = (self.ledger.directory.absolute() / "mlflow-artifacts").as_uri()
        tags = {"mlflow.experimentKind": "custom_model_development"}  # the interface opens with runs and curves, not with chats
        return str(self.client.create_experiment(name, artifact_location=location, tags=tags))

    def _find_or_create(self, name: str, tags: dict[str, str], start_ms: int | None = None) -> str:
        """Return the run with this study's id and these tags; MLflow gives no say over run ids, so the tags are the identity."""
        identity = {STUDY_TAG: self.study_id, **{tag: value for tag, value in tags.items() if tag in (ROLE_TAG, TRIAL_TAG)}}
        query = " and ".join(f"tags.`{tag}` = '{value}'" for tag, value in identity.items())
        found = self.client.search_runs([self.experiment], query, max_results=1)
        run = found[0] if found else self.client.create_run(self.experiment, start_time=start_ms, tags={**identity, **tags}, run_name=name)
        return str(run.info.run_id)


def tracked(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials that get a run each; those of a cross-validation, of which there are many, only serve to choose among these."""
    return [trial for trial in trials if trial.fold is None]


def _log(client: MlflowClient, run: str, record: TrialRecord, ended_ms: int | None) -> None:
    """Send params, curves and final numbers. Repeats are harmless: times come from the ledger, and MLflow drops an exact repeat."""
    from mlflow.entities import Metric, Param

    params = [Param(key, str(value)[:500]) for key, value in _params(record).items()]
    metrics = [
        Metric(name, event[name], event["time_ms"], event["epoch"])
        for event in record.events
        if event["event"] == "epoch"
        for name in CURVES
    ]
    if record.result is not None and ended_ms is not None:
        finals = {**record.responses, "parameters": record.result["parameters"], **costs(record)}
        curves = {metric.key for metric in metrics}
        metrics += [
            Metric(name, float(value), ended_ms, 0)
            for name, value in finals.items()
            if isinstance(value, int | float) and name not in curves
        ]
    client.log_batch(run, params=params)
    for start in range(0, len(metrics), BATCH):
        client.log_batch(run, metrics=metrics[start : start + BATCH])


def _params(record: TrialRecord) -> dict[str, Any]:
    """Return the run's params: split and factors first, then all settings by dotted path."""
    trial = record.trial
    first = {"split": trial.split, **trial.factors}
    return {**first, **{path: value for path, value in _dotted(trial.settings.model_dump()) if path not in (*first, *NOT_PARAMS)}}


def _dotted(content: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in content.items():
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _create_database(uri: str) -> None:
    """Create an sqlite tracking database as a whole: MLflow killed while creating one leaves it unusable for ever."""
    file = Path(uri.removeprefix("sqlite:///"))
    if not uri.startswith("sqlite:///") or file.exists():
        return
    with _lock_held(file.with_name(f".{file.name}.lock"), wait=True):
        if file.exists():
            return
        from mlflow import MlflowClient

        for left in file.parent.glob(f".{file.name}.*.tmp"):
            left.unlink()
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        MlflowClient(f"sqlite:///{temporary}").search_experiments()
        os.replace(temporary, file)


def _note(plan: Plan) -> str:
    factors = "\n".join(f"- {factor}" for factor in plan.design.factors)
    return f"{plan.design.kind}, {len(plan.design.rows)} rows x {plan.study.design.splits} splits\n\n{factors}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


@contextlib.contextmanager
def _lock_held(lock: Path, wait: bool) -> Iterator[bool]:
    with open(lock, "w") as file:
        yield locked(file, wait)
