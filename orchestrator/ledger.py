"""The ledger: a study's directory, the only truth about what is done and what is owed.

Owns the layout of the directory, who may write there, and the state of each trial. Does not own how trials are run or analysed.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import shutil
import socket
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import ValidationError

from model.errors import LedgerError
from model.journal import Event, TrialFiles, existing_parent, read_json, why_not_writable, write_atomically
from model.settings import Trial
from orchestrator.study import Study

Status = Literal["done", "running", "owed", "failed"]
FINAL_CAUSES = ("diverged",)
"""Causes of failure that are results of the settings: trying again would give the same."""
LOCK_PATIENCE_S = 2.0
"""A look at the lock, as `hadamard status` takes one, holds it for a moment."""
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


class Ledger:
    """One study's directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.study_file = directory / "study.json"
        self.trials = directory / "trials"
        self.packs = directory / "packs"
        self.report = directory / "report"
        self.lock = directory / "run.lock"
        self.tune = directory / ".tune"
        self.ship_lock = directory / "ship.lock"
        self.shipped = directory / "shipped.json"
        self._known: dict[str, Path] | None = None

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
        ours = {self.trials, self.packs, self.report, self.lock, self.ship_lock, self.shipped, self.tune}
        return self.directory.is_dir() and all(path in ours or path.suffix == ".tmp" for path in self.directory.iterdir())

    @contextlib.contextmanager
    def owned(self) -> Iterator[None]:
        """Create the directory if need be and hold it: two drivers never write one ledger.

        Raises:
            LedgerError: Another driver holds it; the message says which.
        """
        self.trials.mkdir(parents=True, exist_ok=True)
        self.packs.mkdir(exist_ok=True)
        with open(self.lock, "a+") as file:
            if not _locked(file, LOCK_PATIENCE_S):
                file.seek(0)
                raise LedgerError(f"{self.directory} is being run by another process ({file.read().strip()}). Wait for it, or stop it")
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}")
            file.flush()
            yield

    def driven(self) -> bool:
        """Whether a driver on this machine holds the directory now."""
        try:
            with open(self.lock) as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            pass
        return False

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
            trials.append(entered.model_copy(update={"key": key, "arm": key.rsplit("-", 2)[0]}))
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

    def record(self, trial: Trial) -> TrialRecord:
        """Return what is known of a trial.

        Raises:
            LedgerError: One of its files is damaged; the message names file and line.
        """
        files = self.files(trial)
        events = tuple(files.events())
        last = events[-1] if events else None
        if files.result.exists():
            return TrialRecord(trial, "done", None, None, _result(files.result), events)
        if last is not None and last["event"] == "failed":
            return TrialRecord(trial, "failed", last["cause"], last.get("message"), None, events)
        running = last is not None and self.driven()
        return TrialRecord(trial, "running" if running else "owed", None, None, None, events)

    def records(self, trials: Iterable[Trial]) -> list[TrialRecord]:
        """Return what is known of each trial, in the order given."""
        return [self.record(trial) for trial in trials]


@contextlib.contextmanager
def explained_disk_errors(directory: Path) -> Iterator[None]:
    """Turn a full or unwritable disk into a LedgerError that says what is safe and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM):
            raise
        raise LedgerError(
            f"{directory}: {error.strerror}. Finished trials are safe; make room or mend the permissions and give the same command again"
        ) from error


@contextlib.contextmanager
def _explained(file: Path, remedy: str) -> Iterator[None]:
    """Turn content that does not fit the settings, as another version may have written, into a LedgerError."""
    try:
        yield
    except ValidationError as error:
        raise LedgerError(
            f"{file}: does not hold what it should ({error.error_count()} problems, first: {error.errors()[0]['msg']}). {remedy}"
        ) from error


def _locked(file: IO[str], patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)


def _result(file: Path) -> dict[str, Any]:
    remedy = "Delete the file to have its trial done again"
    result = read_json(file, remedy)
    if not isinstance(result.get("responses"), dict) or "parameters" not in result:
        raise LedgerError(f"{file}:1: damaged: not a trial's result. {remedy}")
    return result
