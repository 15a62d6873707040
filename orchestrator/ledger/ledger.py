"""The ledger: a study's directory, the only truth about what is done and what is owed. Which driver owns it is in `claim`."""

from __future__ import annotations

import contextlib
import errno
import functools
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import ValidationError

from hadamard.model.errors import LedgerError
from hadamard.model.files.atomic import existing_parent, read_json, why_not_writable, write_atomically
from hadamard.model.files.causes import Cause
from hadamard.model.files.trial_files import Event, TrialFiles, in_training
from hadamard.model.trial import Trial
from hadamard.orchestrator.ledger import claim
from hadamard.orchestrator.study.schema import Study
from hadamard.orchestrator.study.trials import named_by

Status = Literal["done", "running", "owed", "failed"]
STATUSES: tuple[Status, ...] = get_args(Status)
FINAL_CAUSES = (Cause.DIVERGED,)
"""Causes of failure that are results of the settings: trying again would give the same."""
CONTENTS = (
    "trials",
    "packs",
    "report",
    "owner",
    "jobs",
    "logs",
    "notices",
    "usage",
    "energy",
    "plans",
    "sync.lock",
    "sync_state.json",
    ".tune",
    "run.lock",
    "ship.lock",
    "shipped.json",
)
"""What a study's directory may hold beside its `study.json`; the last three are of earlier versions."""
RUN_AGAIN = "Delete it and give the same `hadamard run` again; finished trials are kept"
BYTES_PER_TRIAL = 64 * 1024
"""Room to keep free on the disk per owed trial: journal, result, and the files' blocks."""


@dataclass(frozen=True)
class TrialRecord:
    """What the ledger knows of one trial."""

    trial: Trial
    status: Status
    cause: str | None
    message: str | None
    result: dict[str, Any] | None
    events: tuple[Event, ...]

    @property
    def attempts(self) -> int:
        """How often training of it was started."""
        return sum(event["event"] == "started" for event in self.events)

    @property
    def responses(self) -> dict[str, Any]:
        """What was measured; empty if the trial is not done."""
        return self.result["responses"] if self.result else {}

    @property
    def owed(self) -> bool:
        """Whether running the study again should train it: no result, and no failure that would repeat itself."""
        return self.status in ("owed", "running") or (self.status == "failed" and self.cause not in FINAL_CAUSES)


def count_by_status(records: Iterable[TrialRecord]) -> dict[str, int]:
    """Return how many trials there are, in `total`, and how many of each status."""
    counts = Counter(record.status for record in records)
    return {"total": counts.total(), **{status: counts[status] for status in STATUSES}}


class Ledger:
    """One study's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.study_file = directory / "study.json"
        self.trials = directory / "trials"
        self.packs = directory / "packs"
        self.report = directory / "report"
        self.tune = directory / ".tune"
        self.sync_lock = directory / "sync.lock"
        self.sync_state = directory / "sync_state.json"
        self._known: dict[str, Path] | None = None

    @classmethod
    def of(cls, study: Study, directory: Path | None) -> Ledger:
        """Return the ledger of a study: in the directory, or where none is named in `runs/NAME`."""
        return cls(directory or Path("runs") / study.study)

    @classmethod
    def existing(cls, directory: Path) -> Ledger:
        """Open the ledger of a study that has been run.

        Raises:
            LedgerError: There is none at this place.
        """
        ledger = cls(directory)
        if not ledger.study_file.exists():
            raise LedgerError(
                f"{directory} is not a study's directory (it has no study.json). Give the directory that `hadamard run` named"
            )
        return ledger

    def check(self, study: Study, owed_trials: int) -> None:
        """Raise a LedgerError unless this study may use the directory; nothing is created.

        It must be new or this study's own, writable, and have room for what is owed.
        """
        if self.study_file.exists():
            owner = self.load_study().study
            if owner != study.study:
                raise LedgerError(
                    f"{self.directory} belongs to the study {owner!r}, not {study.study!r}. Choose another with --dir, or rename the study"
                )
        elif self.directory.exists() and not self._begun():
            raise LedgerError(f"{self.directory} exists and is not a study's directory. Choose another with --dir")
        if why := why_not_writable(self.directory):
            raise LedgerError(f"{self.directory} cannot be written: {why}. Choose another with --dir")
        free, need = shutil.disk_usage(existing_parent(self.directory)).free, owed_trials * BYTES_PER_TRIAL
        if free < need:
            raise LedgerError(
                f"{self.directory}: the disk has {free / 2**20:.1f} MiB free, {owed_trials} trials need {need / 2**20:.1f}. "
                "Free some, or choose another with --dir"
            )

    def _begun(self) -> bool:
        """Whether the directory holds nothing, or only what a ledger does: a run was killed early, or its study.json was deleted."""
        return self.directory.is_dir() and all(path.name in CONTENTS or path.suffix == ".tmp" for path in self.directory.iterdir())

    @contextlib.contextmanager
    def owned(self) -> Iterator[claim.Claim]:
        """Create the directory if need be and have it: two drivers never write one ledger.

        Raises:
            OwnedError: Another living driver has it; the message says which.
        """
        self.trials.mkdir(parents=True, exist_ok=True)
        self.packs.mkdir(exist_ok=True)
        with claim.owned(self.directory) as own:
            yield own

    def driven(self) -> bool:
        """Whether a living driver, on whatever machine, has the directory now; of one in another job, Slurm is asked."""
        return claim.living(self.directory) is not None

    def save_study(self, study: Study, trials: Sequence[Trial], provenance: dict[str, Any]) -> None:
        """Keep the study as it is run now, so that status and report need neither the study file nor the corpus.

        Its trials must have been entered.
        """
        content = {"study": study.model_dump(mode="json"), "trials": [trial.key for trial in trials], "provenance": provenance}
        write_atomically(self.study_file, json.dumps(content, indent=1))

    def load_study(self) -> Study:
        """Return the study as it was last run.

        Raises:
            LedgerError: `study.json` is damaged, or was written by another version.
        """
        with _explained(self.study_file, RUN_AGAIN):
            return Study.model_validate(self._saved()["study"])

    def load_trials(self) -> list[Trial]:
        """Return the trials of the study as it was last run, under the arms they had then; raises as `load_study`."""
        trials = []
        for key in self._saved()["trials"]:
            file = self._directory(key) / "trial.json"
            with _explained(file, RUN_AGAIN):
                entered = Trial.model_validate(read_json(file, RUN_AGAIN))
            trials.append(named_by(entered, key))
        return trials

    def provenance(self) -> dict[str, Any]:
        """Return what was recorded about command, code, versions and data when trials were last run."""
        recorded: dict[str, Any] = self._saved()["provenance"]
        return recorded

    def _saved(self) -> dict[str, Any]:
        saved = read_json(self.study_file, RUN_AGAIN)
        if not {"study", "trials", "provenance"} <= saved.keys():
            raise LedgerError(f"{self.study_file}: was written by another version. {RUN_AGAIN}")
        return saved

    def files(self, trial: Trial) -> TrialFiles:
        """Return a trial's files. The hash in the key decides: a trial keeps its directory when a row gets another number."""
        return TrialFiles(self._directory(trial.key))

    def _directory(self, key: str) -> Path:
        if self._known is None:
            self._known = {path.name.rsplit("-", 1)[-1]: path for path in self.trials.iterdir()} if self.trials.exists() else {}
        return self._known.get(key.rsplit("-", 1)[-1], self.trials / key)

    def enter(self, trials: Iterable[Trial]) -> None:
        """Write every trial's `trial.json`, anew where paths or names in it have changed since."""
        for trial in trials:
            files, content = self.files(trial), trial.model_dump_json(indent=1).encode()
            if not files.trial.exists() or files.trial.read_bytes() != content:
                files.directory.mkdir(exist_ok=True)
                write_atomically(files.trial, content)

    def record(self, trial: Trial, driven: Callable[[], bool] | None = None) -> TrialRecord:
        """Return what is known of a trial.

        Args:
            trial: One of the study's.
            driven: Whether a driver has the directory, if that is known or asked for many trials together; else it is asked here.

        Raises:
            LedgerError: One of its files is damaged; the message names file and line.
        """
        files = self.files(trial)
        events = tuple(files.events())
        if files.result.exists():
            return TrialRecord(trial, "done", None, None, _result(files.result), events)
        if events and events[-1]["event"] == "failed":
            return TrialRecord(trial, "failed", events[-1]["cause"], events[-1].get("message"), None, events)
        running = in_training(events) and (driven or self.driven)()
        return TrialRecord(trial, "running" if running else "owed", None, None, None, events)

    def records(self, trials: Iterable[Trial]) -> list[TrialRecord]:
        """Return what is known of each trial, in the order given."""
        driven = functools.cache(self.driven)
        return [self.record(trial, driven) for trial in trials]


@contextlib.contextmanager
def explained_disk_errors(directory: Path) -> Iterator[None]:
    """Turn a full or unwritable disk into a LedgerError that says what is safe and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        named = os.fsdecode(error.filename) if isinstance(error.filename, (str, bytes)) else str(directory)
        place = directory if Path(named).absolute().is_relative_to(directory.absolute()) else named
        raise LedgerError(
            f"{place}: {error.strerror}. Finished trials are safe; make room or mend the permissions and give the same command again"
        ) from error


@contextlib.contextmanager
def _explained(file: Path, fix: str) -> Iterator[None]:
    """Turn content that does not fit the settings, as another version may have written, into a LedgerError."""
    try:
        yield
    except ValidationError as error:
        raise LedgerError(
            f"{file}: does not hold what it should ({error.error_count()} problems, first: {error.errors()[0]['msg']}). {fix}"
        ) from error


def _result(file: Path) -> dict[str, Any]:
    fix = "Delete the file to have its trial done again"
    result = read_json(file, fix)
    if not isinstance(result.get("responses"), dict) or "parameters" not in result:
        raise LedgerError(f"{file}:1: damaged: not a trial's result. {fix}")
    return result
