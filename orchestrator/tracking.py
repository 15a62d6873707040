"""Ships the ledger to MLflow: the study as a parent run, each trial as a child run, exactly once however often it is tried.

Owns the rounds of sending. Does not own what a run says (tracked_run.py), and nothing waits for it: a dead server delays and loses nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from model.errors import LedgerError
from model.journal import locked
from model.settings import Trial
from orchestrator.energy import NOT_MEASURED, StudyEnergy, study_energy
from orchestrator.ledger import Ledger, TrialRecord
from orchestrator.plan import Plan
from orchestrator.shipped import Shipped
from orchestrator.tracked_run import TrackedRun, tracked_run

if TYPE_CHECKING:
    from mlflow.entities import Run

STUDY_TAG, ROLE_TAG, TRIAL_TAG = "hadamard.study", "hadamard.role", "hadamard.trial"
"""What a run is found by."""
MLFLOW_ENVIRONMENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_LOGGING_LEVEL": "CRITICAL"}
"""The next round tries again anyway; a request that MLflow repeats by itself could create a run twice."""
PAGE = 200
"""Runs that are asked for at once: a busy server must answer in time."""
OUTAGE = 3
"""Failures in a row that are MLflow's own, after which a round ends."""
STUDY = ""
"""The study's own run among those of its trials, which go by their digests."""
SHARE = 0.05
"""Of the time, rounds of shipping take no more while trials run, which want the cores."""


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
        self.shipped = Shipped(ledger, self.uri)
        self.errors: list[str] = []

    def ship(self) -> Shipment:
        """Send what changed in the ledger since the last time; in the end, look at all."""
        trials = tracked(self.plan.trials)
        contents = [(trial, content) for trial in trials if (content := self.shipped.content(trial))]
        if self.run_has_ended or not all(self.shipped.has(*one) for one in contents):
            self._open()
            try:
                self._send_trials([one for one in contents if self.run_has_ended or not self.shipped.has(*one)])
            finally:
                self.shipped.save()
            if self.run_has_ended:
                self._end_study()
        return Shipment(sum(map(self.shipped.complete, trials)), self.errors[0] if self.errors else None)

    def _open(self) -> None:
        """Find or create the experiment and the study's own run."""
        _create_database(self.uri)
        from mlflow import MlflowClient

        self.client = MlflowClient(self.uri)
        self.experiment = self._experiment()
        self.runs = self._runs()
        if STUDY not in self.runs:  # then its trials are not there either, whatever was sent to this place before
            self.shipped.forget()
            self.runs[STUDY] = self._create(STUDY, self.plan.study.study, {"mlflow.note.content": _note(self.plan)})

    def _send_trials(self, contents: Sequence[tuple[Trial, str]]) -> None:
        """One trial that MLflow refuses does not stop the others, but an MLflow that is down is not tried for each."""
        records = self._records([trial for trial, _content in contents])
        energy = self._energy(records.values())
        failures_in_a_row = 0
        for trial, content in contents:
            if (record := records.get(trial.digest)) is None:
                continue
            try:
                run = tracked_run(record, energy, self.plan.study.grid_g_per_kwh, _modified_ms(self.ledger.files(trial).result))
                self._send(trial, run, curves_too=not self.shipped.has(trial, content))
                self.shipped.keep(trial, content, complete=run.end_ms is not None)
                failures_in_a_row = 0
            except Exception as error:
                self.errors.append(f"{trial.key}: {_first_line(error)}")
                failures_in_a_row = failures_in_a_row + 1 if _is_outage(error) else 0
            if failures_in_a_row == OUTAGE:
                break

    def _records(self, trials: Iterable[Trial]) -> dict[str, TrialRecord]:
        """Return the records of the trials that were ever started, by digest."""
        found = {}
        for trial in trials:
            try:
                record = self.ledger.record(trial, driven=lambda: False)  # it makes no difference to what is sent
            except LedgerError as error:
                self.errors.append(f"{trial.key}: {_first_line(error)}")
                continue
            if record.events:
                found[trial.digest] = record
        return found

    def _energy(self, records: Iterable[TrialRecord]) -> StudyEnergy:
        """Return the joules; none before the end of a run, as what was measured may not be written until then."""
        if not self.run_has_ended:
            return NOT_MEASURED
        try:
            return study_energy(self.ledger.directory, records)
        except (LedgerError, ValueError) as error:
            self.errors.append(f"energy: {_first_line(error)}")
            return NOT_MEASURED

    def _send(self, trial: Trial, wanted: TrackedRun, curves_too: bool) -> None:
        """Send what a trial's run lacks, in as few requests as MLflow's limits allow.

        Repeats are harmless: times come from the ledger, and MLflow drops an exact repeat.
        """
        from mlflow.entities import Metric, Param, RunTag

        tags = {**wanted.tags, "mlflow.parentRunId": self.runs[STUDY].info.run_id}
        run = self.runs.get(trial.digest)
        if run is None:
            run, curves_too = self._create(trial.digest, wanted.name, tags, wanted.start_ms), True
        run_id, had = run.info.run_id, run.data
        metrics = [Metric(*point) for point in wanted.finals if had.metrics.get(point[0]) != point[1]]
        metrics += [Metric(*point) for point in wanted.curves if curves_too]
        params = [Param(*param) for param in wanted.params.items() if had.params.get(param[0]) != param[1]]
        new_tags = [RunTag(*tag) for tag in tags.items() if had.tags.get(tag[0]) != tag[1]]
        for some in itertools.zip_longest(_parts(metrics, 500), _parts(params, 100), _parts(new_tags, 100), fillvalue=()):
            self.client.log_batch(run_id, *some)
        if run.info.run_name != wanted.name:  # a row may have got another number
            self.client.update_run(run_id, name=wanted.name)
        if wanted.end_ms is not None and (run.info.status, run.info.end_time) != (wanted.status, wanted.end_ms):
            self.client.set_terminated(run_id, wanted.status, wanted.end_ms)
        elif run.info.status != wanted.status:
            self.client.update_run(run_id, wanted.status)

    def _end_study(self) -> None:
        journals = [file for trial in self.plan.trials if (file := self.ledger.files(trial).journal).exists()]
        self.client.set_terminated(self.runs[STUDY].info.run_id, end_time=max(map(_modified_ms, journals), default=None))

    def _experiment(self) -> str:
        name = self.plan.study.study
        if (found := self.client.get_experiment_by_name(name)) is not None:
            return str(found.experiment_id)
        location = (self.ledger.directory.absolute() / "mlflow-artifacts").as_uri()
        tags = {"mlflow.experimentKind": "custom_model_development"}  # the interface opens with runs and curves, not with chats
        return str(self.client.create_experiment(name, artifact_location=location, tags=tags))

    def _runs(self) -> dict[str, Run]:
        """Return the study's runs by their trials' digests, its own as `STUDY`.

        MLflow gives no say over run ids, so tags are the identity. What a hung server did not answer in time it may have done all the
        same, later than it was asked again; of such doubles only the fullest stays.
        """
        found: dict[str, list[Run]] = {}
        query, token = f"tags.`{STUDY_TAG}` = '{self.study_id}'", None
        while token != "":
            page = self.client.search_runs([self.experiment], query, max_results=PAGE, page_token=token)
            for run in page:
                found.setdefault(run.data.tags.get(TRIAL_TAG, STUDY), []).append(run)
            token = page.token or ""
        for doubles in found.values():
            doubles.sort(key=lambda run: -len(run.data.metrics))
            for run in doubles[1:]:
                self.client.delete_run(run.info.run_id)
        return {identity: doubles[0] for identity, doubles in found.items()}

    def _create(self, identity: str, name: str, tags: dict[str, str], start_ms: int | None = None) -> Run:
        """Create a run with the tags it is found by."""
        own = {ROLE_TAG: "study"} if identity == STUDY else {ROLE_TAG: "trial", TRIAL_TAG: identity}
        return self.client.create_run(self.experiment, start_ms, {STUDY_TAG: self.study_id, **own, **tags}, name)


def tracked(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials that get a run each; those of a cross-validation, of which there are many, only serve to choose among these."""
    return [trial for trial in trials if trial.fold is None]


def _parts(entities: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Cut entities into what MLflow takes at once: 1,000, of which 100 may be params and 100 tags."""
    return [entities[start : start + size] for start in range(0, len(entities), size)]


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


def _is_outage(error: Exception) -> bool:
    """Whether MLflow could not answer, or answered that the fault is its own."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and int(error.get_http_status_code()) >= 500  # type: ignore[no-untyped-call]


def _modified_ms(file: Path) -> int:
    return int(file.stat().st_mtime * 1000) if file.exists() else 0


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]


@contextlib.contextmanager
def _lock_held(lock: Path, wait: bool) -> Iterator[bool]:
    with open(lock, "w") as file:
        yield locked(file, wait)
