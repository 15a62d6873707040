"""The sync to MLflow: the study as a parent run, each trial as a child run, exactly once however often it is tried.

No trial waits for it: a server that is down delays and loses nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hadamard.cluster.periodic import Periodic
from hadamard.model.errors import LedgerError
from hadamard.model.logs import warn_once
from hadamard.model.trial import Trial
from hadamard.orchestrator.energy.attribution import NOT_MEASURED, StudyEnergy, study_energy
from hadamard.orchestrator.ledger.ledger import Ledger, TrialRecord
from hadamard.orchestrator.ledger.notices import post, withdraw
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.tracking.address import tracking_uri, without_password
from hadamard.orchestrator.tracking.mlflow_client import StudyRuns, is_outage, lock_held
from hadamard.orchestrator.tracking.run_content import run_content
from hadamard.orchestrator.tracking.sync_state import SyncState

MLFLOW_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the next round tries again anyway; a creation repeated by MLflow itself could be a double
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_LOGGING_LEVEL": "CRITICAL",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # else two lines for each run
    "MLFLOW_DISABLE_TELEMETRY": "true",  # compute nodes have no way to the internet, and whether to tell is the user's choice
}
OUTAGE = 3
"""Failures in a row that are MLflow's own, after which a round ends."""
MOST_SHARE = 0.05
"""Of the time that rounds may take while trials run, which want the cores."""
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SyncResult:
    """The outcome of one round."""

    runs: int
    """Trials of the study that are in MLflow complete with their end."""
    error: str | None
    """Why not everything could be sent; None if it could."""


def sync(ledger: Ledger, plan: Plan, run_has_ended: bool, everything: bool = False) -> SyncResult:
    """Bring MLflow up to date with the ledger; finds or creates runs by tag, so that it may be killed and repeated at will.

    Never raises for what MLflow does: the error is returned.

    Args:
        ledger: The study's directory.
        plan: Its trials.
        run_has_ended: Whether nothing more will be written of trials that have a result; the study's own run is ended too.
        everything: Whether to look at every trial again, whatever was sent before.
    """
    os.environ |= {name: value for name, value in MLFLOW_ENVIRONMENT.items() if name not in os.environ}
    try:
        with lock_held(ledger.sync_lock, wait=run_has_ended) as alone:
            if not alone:
                return SyncResult(0, "another process is sending this study")
            outcome = _Round(ledger, plan, run_has_ended, everything).run()
    except Exception as error:  # whatever it is, the sweep goes on
        outcome = SyncResult(0, _first_line(error))
    if outcome.error is None:
        withdraw(ledger.directory, "MLflow")
    else:
        what = f"MLflow at {without_password(tracking_uri(ledger))} does not have everything yet"
        warn_once(logger, what, outcome.error)
        post(ledger.directory, "MLflow", f"{what}: {outcome.error}")
    return outcome


@contextmanager
def background_sync(ledger: Ledger, plan: Plan, every_s: float = 10.0) -> Iterator[None]:
    """Sync every few seconds from a thread while this is entered."""
    thread = Periodic("MLflow sync", every_s, lambda: sync(ledger, plan, run_has_ended=False), MOST_SHARE).start()
    try:
        yield
    finally:
        thread.stop(timeout_s=60)


class _Round:
    """One round, by the one process that sends this study."""

    def __init__(self, ledger: Ledger, plan: Plan, run_has_ended: bool, everything: bool) -> None:
        self.ledger, self.plan, self.run_has_ended = ledger, plan, run_has_ended
        self.uri = tracking_uri(ledger)
        self.state = SyncState(ledger, self.uri)
        if everything:
            self.state.forget()
        self.errors: list[str] = []

    def run(self) -> SyncResult:
        """Send what changed in the ledger since the last time; in the end, look at all."""
        trials = tracked(self.plan.trials)
        contents = [(trial, content) for trial in trials if (content := self.state.content(trial))]
        if self.run_has_ended or not all(self.state.has(*content) for content in contents):
            try:
                self._exchange(contents)
            except Exception as error:  # whatever the server or its database says, the sweep goes on
                self.errors.append(_first_line(error))
        return SyncResult(sum(map(self.state.complete, trials)), self.errors[0] if self.errors else None)

    def _exchange(self, contents: Sequence[tuple[Trial, str]]) -> None:
        artifacts = self.ledger.directory.absolute() / "mlflow-artifacts"
        runs = StudyRuns(self.uri, self.plan, str(self.ledger.provenance()["study_id"]), artifacts)
        if not runs.begun:  # then its trials are not there either, whatever was sent to this place before
            self.state.forget()
        try:
            self._send(runs, [content for content in contents if self.run_has_ended or not self.state.has(*content)])
        finally:
            self.state.save()
        if self.run_has_ended:
            journals = [self.ledger.files(trial).journal for trial in self.plan.trials]
            runs.end(max(map(_modified_ms, journals), default=0) or None)

    def _send(self, runs: StudyRuns, contents: Sequence[tuple[Trial, str]]) -> None:
        """One trial that MLflow refuses does not stop the others, but an MLflow that is down is not tried for each."""
        records = self._records([trial for trial, _content in contents])
        energy = self._energy(records.values())
        runs.begin(min((record.events[0]["time_ms"] for record in records.values()), default=None))
        failures_in_a_row = 0
        for trial, content in contents:
            if (record := records.get(trial.digest)) is None:
                continue
            try:
                run = run_content(record, energy, self.plan.study.grid_g_per_kwh, _modified_ms(self.ledger.files(trial).result))
                runs.update(trial.digest, run, curves_too=not self.state.has(trial, content))
                self.state.keep(trial, content, complete=run.end_ms is not None)
                failures_in_a_row = 0
            except Exception as error:
                self.errors.append(f"{trial.key}: {_first_line(error)}")
                failures_in_a_row = failures_in_a_row + 1 if is_outage(error) else 0
                if failures_in_a_row == OUTAGE:
                    raise

    def _records(self, trials: Iterable[Trial]) -> dict[str, TrialRecord]:
        """Return the records of the trials that were ever started, by digest."""
        records = {}
        for trial in trials:
            try:
                record = self.ledger.record(trial, driven=lambda: False)  # it makes no difference to what is sent
            except LedgerError as error:
                self.errors.append(f"{trial.key}: {_first_line(error)}")
                continue
            if record.events:
                records[trial.digest] = record
        return records

    def _energy(self, records: Iterable[TrialRecord]) -> StudyEnergy:
        """Return the joules; none before the end of a run, as what was measured may not be written until then."""
        if not self.run_has_ended:
            return NOT_MEASURED
        try:
            return study_energy(self.ledger.directory, records)
        except (LedgerError, ValueError) as error:
            self.errors.append(f"energy: {_first_line(error)}")
            return NOT_MEASURED


def tracked(trials: Iterable[Trial]) -> list[Trial]:
    """Return the trials that get a run each; those of a cross-validation, of which there are many, only serve to choose among these."""
    return [trial for trial in trials if trial.fold is None]


def _modified_ms(file: Path) -> int:
    return int(file.stat().st_mtime * 1000) if file.exists() else 0


def _first_line(error: Exception) -> str:
    return without_password(f"{type(error).__name__}: {error}".splitlines()[0])[:300]
