"""A study's experiment and runs in one MLflow: every request to it. Runs are found by their tags, or created, and completed."""

from __future__ import annotations

import contextlib
import itertools
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hadamard.model.files.atomic import locked, open_lock
from hadamard.orchestrator.study.expansion import Plan
from hadamard.orchestrator.tracking import saved_view
from hadamard.orchestrator.tracking.address import sqlite_file, sqlite_uri
from hadamard.orchestrator.tracking.run_content import RunContent

if TYPE_CHECKING:
    from mlflow.entities import Experiment, Metric, Run

STUDY_TAG, ROLE_TAG, TRIAL_TAG = "hadamard.study", "hadamard.role", "hadamard.trial"
"""What a run is found by; MLflow gives no say over its own ids."""
STUDY = ""
"""The study's own run among those of its trials, which go by their digests."""
PAGE = 200
"""Runs of one request: a busy server must answer in time."""


class StudyRuns:
    """The runs of one study."""

    def __init__(self, uri: str, plan: Plan, study_id: str, artifacts: Path) -> None:
        """Find or create the experiment, and find the runs.

        Raises:
            MlflowException: MLflow cannot be reached, or its database or server reports an error.
        """
        create_database(uri)
        from mlflow import MlflowClient

        self._client = MlflowClient(uri)
        self._plan, self._study_id = plan, study_id
        self._experiment = self._find_experiment(artifacts)
        self._runs = self._find_runs()

    @property
    def begun(self) -> bool:
        """Whether the study's own run is there."""
        return STUDY in self._runs

    def begin(self, begin_ms: int | None) -> None:
        """Create the study's own run unless it is there."""
        if not self.begun:
            self._create(STUDY, self._plan.study.study, {"mlflow.note.content": _note(self._plan)}, begin_ms)

    def update(self, digest: str, wanted: RunContent, curves_too: bool) -> None:
        """Send what a trial's run lacks, in as few requests as MLflow's limits allow.

        Repeats are harmless: times come from the ledger, and MLflow drops an exact repeat.

        Args:
            digest: The trial's.
            wanted: The content of its run.
            curves_too: Whether points of curves may be missing; of these MLflow tells only the last ones in a request for many runs.
        """
        from mlflow.entities import Metric, Param, RunTag

        tags = {**wanted.tags, "mlflow.parentRunId": self._runs[STUDY].info.run_id}
        if (run := self._runs.get(digest)) is None:
            run, curves_too = self._create(digest, wanted.name, tags, wanted.start_ms), True
        run_id, had = run.info.run_id, run.data
        metrics = [_final(*point, had.metrics.get(point[0])) for point in wanted.finals if had.metrics.get(point[0]) != point[1]]
        metrics += [Metric(*point) for point in wanted.curves if curves_too]
        params = [Param(*param) for param in wanted.params.items() if param[0] not in had.params]  # MLflow forbids to change them
        new_tags = [RunTag(*tag) for tag in tags.items() if had.tags.get(tag[0]) != tag[1]]
        for some in itertools.zip_longest(_parts(metrics, 500), _parts(params, 100), _parts(new_tags, 100), fillvalue=()):
            self._client.log_batch(run_id, *some)
        if run.info.run_name != wanted.name:  # a row may have got another number
            self._client.update_run(run_id, name=wanted.name)
        if wanted.end_ms is not None and (run.info.status, run.info.end_time) != (wanted.status, wanted.end_ms):
            self._client.set_terminated(run_id, wanted.status, wanted.end_ms)
        elif run.info.status != wanted.status:
            self._client.update_run(run_id, wanted.status)

    def end(self, end_ms: int | None) -> None:
        """End the study's own run."""
        self._client.set_terminated(self._runs[STUDY].info.run_id, end_time=end_ms)

    def _find_experiment(self, artifacts: Path) -> str:
        name = self._plan.study.study
        experiment: Experiment | None = self._client.get_experiment_by_name(name)
        if experiment is None:
            tags = {"mlflow.experimentKind": "custom_model_development"}  # the interface opens with runs and curves, not with chats
            experiment = self._client.get_experiment(self._client.create_experiment(name, artifact_location=artifacts.as_uri(), tags=tags))
        if saved_view.TAG not in experiment.tags:  # else a user may have changed it
            factors = [factor.path for factor in self._plan.design.factors]
            view = saved_view.saved_view(factors, experiment.creation_time or 0)
            self._client.set_experiment_tag(experiment.experiment_id, saved_view.TAG, view)
        return str(experiment.experiment_id)

    def _find_runs(self) -> dict[str, Run]:
        """Return the study's runs by their trials' digests, its own as `STUDY`.

        What a hung server did not answer in time it may have done all the same, later than it was asked again; of such doubles only the
        fullest stays.
        """
        runs: dict[str, list[Run]] = {}
        query, token = f"tags.`{STUDY_TAG}` = '{self._study_id}'", None
        while token != "":
            page = self._client.search_runs([self._experiment], query, max_results=PAGE, page_token=token)
            for run in page:
                runs.setdefault(run.data.tags.get(TRIAL_TAG, STUDY), []).append(run)
            token = page.token or ""
        for doubles in runs.values():
            doubles.sort(key=lambda run: -len(run.data.metrics))
            for run in doubles[1:]:
                self._client.delete_run(run.info.run_id)
        return {identity: doubles[0] for identity, doubles in runs.items()}

    def _create(self, identity: str, name: str, tags: dict[str, str], start_ms: int | None) -> Run:
        """Create a run with the tags it is found by."""
        own = {ROLE_TAG: "study"} if identity == STUDY else {ROLE_TAG: "trial", TRIAL_TAG: identity}
        run = self._client.create_run(self._experiment, start_ms, {STUDY_TAG: self._study_id, **own, **tags}, name)
        self._runs[identity] = run
        return run


def _final(name: str, value: float, time_ms: int, step: int, before: float | None) -> Metric:
    """Return a final number; one that replaces another is stamped with now, since of one time MLflow shows the largest."""
    from mlflow.entities import Metric

    return Metric(name, value, time_ms if before is None else int(time.time() * 1000), step)


def create_database(uri: str) -> None:
    """Create an sqlite tracking database as a whole: MLflow killed while creating one leaves it unusable for ever."""
    file = sqlite_file(uri)
    if file is None or file.exists():
        return
    with lock_held(file.with_name(f".{file.name}.lock"), wait=True):
        if file.exists():
            return
        from mlflow import MlflowClient

        for left in file.parent.glob(f".{file.name}.*.tmp"):
            left.unlink()
        temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
        MlflowClient(sqlite_uri(temporary)).search_experiments()
        os.replace(temporary, file)


def is_outage(error: Exception) -> bool:
    """Whether MLflow could not answer, or answered that the fault is its own."""
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and int(error.get_http_status_code()) >= 500  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def lock_held(lock: Path, wait: bool) -> Iterator[bool]:
    """Hold a lock while this is entered; False: another process has it."""
    with open_lock(lock) as file:
        yield locked(file, wait)


def _note(plan: Plan) -> str:
    factors = "\n".join(f"- {factor}" for factor in plan.design.factors)
    return f"{plan.design.kind}, {len(plan.design.rows)} rows x {plan.study.design.splits} splits\n\n{factors}"


def _parts(entities: Sequence[Any], size: int) -> list[Sequence[Any]]:
    """Cut entities into what MLflow takes at once: 1,000, of which 100 may be params and 100 tags."""
    return [entities[start : start + size] for start in range(0, len(entities), size)]
