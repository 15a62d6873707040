"""What MLflow has been sent of a study, so that it is not sent again: `sync_state.json`, whose loss costs time and nothing else."""

from __future__ import annotations

import json
import time
from typing import Any

from hadamard.model.files.atomic import read_json, write_atomically
from hadamard.model.trial import Trial
from hadamard.orchestrator.ledger.ledger import Ledger

SAVE_EVERY_S = 5.0
FORMER_NAME = "shipped.json"
"""What earlier versions called the file: studies that they have sent are not sent again."""


class SyncState:
    """What one MLflow has of a study's trials."""

    def __init__(self, ledger: Ledger, uri: str) -> None:
        self._ledger, self._uri = ledger, uri
        former = ledger.directory / FORMER_NAME
        file = ledger.sync_state if ledger.sync_state.exists() or not former.exists() else former
        self._everywhere = read_json(file, "Delete it") if file.exists() else {}
        kept = self._everywhere.get(uri)
        self._sent: dict[str, dict[str, Any]] = kept if isinstance(kept, dict) else {}  # the version before kept a list
        self._saved_s = time.monotonic()

    def content(self, trial: Trial) -> str:
        """Return what tells one state of the trial's files from another; empty if there is nothing in them."""
        files = self._ledger.files(trial)
        journal, result = (file.stat().st_size if file.exists() else 0 for file in (files.journal, files.result))
        return f"{trial.arm}: journal of {journal}, result of {result} bytes" if journal else ""

    def has(self, trial: Trial, content: str) -> bool:
        """Whether this state of the trial's files has been sent."""
        return bool(self._sent.get(trial.digest, {}).get("content") == content)

    def complete(self, trial: Trial) -> bool:
        """Whether the trial was sent with its end."""
        return bool(self._sent.get(trial.digest, {}).get("complete"))

    def keep(self, trial: Trial, content: str, complete: bool) -> None:
        """Remember what was sent; `content` must have been determined before its files were read."""
        self._sent[trial.digest] = {"content": content, "complete": complete}
        if time.monotonic() - self._saved_s > SAVE_EVERY_S:
            self.save()

    def forget(self) -> None:
        """Forget all that this MLflow was sent."""
        self._sent.clear()

    def save(self) -> None:
        """Write what is remembered; what is not written before a kill is sent again."""
        write_atomically(self._ledger.sync_state, json.dumps({**self._everywhere, self._uri: self._sent}))
        self._saved_s = time.monotonic()
