"""Progress of a running sweep: one live line on a terminal, plain lines elsewhere. It only reads the ledger."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from hadamard.cluster.periodic import Periodic
from hadamard.model.logs import survived
from hadamard.model.trial import Trial
from hadamard.orchestrator.ledger.ledger import Ledger, TrialRecord

LOOK_EVERY_S = 1.0
PLAIN_EVERY_S = 15.0
TAIL_BYTES = 16384
logger = logging.getLogger(__name__)


class Progress:
    """Watches the owed trials of a sweep from a thread."""

    def __init__(self, ledger: Ledger, before: Sequence[TrialRecord], owed: Sequence[Trial], console: Console) -> None:
        """Begin; `before` are the records of all of the study's trials before this run."""
        keys = {trial.key for trial in owed}
        others = [record for record in before if record.trial.key not in keys]
        self._open = [(trial, ledger.files(trial)) for trial in owed]
        self._before = [(record.trial, record.responses["validation_accuracy"]) for record in others if record.status == "done"]
        self._failed_before = sum(record.status == "failed" for record in others)
        self._finished: list[tuple[Trial, float]] = []
        self._total = len(before)
        self._console = console
        self._started = time.monotonic()
        self._live = Live(console=console, refresh_per_second=2) if console.is_terminal else None
        self._printed, self._printed_at = "", -PLAIN_EVERY_S
        self._thread = Periodic("progress", LOOK_EVERY_S, self._show)

    def __enter__(self) -> Progress:
        if self._live:
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._thread.stop(timeout_s=10)
        self._show(last=True)
        if self._live:
            self._live.stop()

    def line(self) -> str:
        """Read the ledger and return the line: done, owed, failed, best row so far, time left."""
        finished, still_open = [], []
        for trial, files in self._open:
            if files.result.exists():
                finished.append((trial, json.loads(files.result.read_text())["responses"]["validation_accuracy"]))
            else:
                still_open.append((trial, files))
        self._finished += finished
        self._open = still_open
        failed = sum(_has_failed(files.journal) for _, files in self._open)
        owed = len(self._open) - failed
        done = self._before + self._finished
        parts = [f"done {len(done)}/{self._total}", f"owed {owed}", f"failed {self._failed_before + failed}"]
        if best := best_row((trial, accuracy) for trial, accuracy in done if trial.candidate is None):
            parts.append(f"best row so far {best_text(best)}")
        if self._finished:
            left = (time.monotonic() - self._started) / len(self._finished) * owed
            parts.append(f"about {timedelta(seconds=round(left))} left")
        return " · ".join(parts)

    def _show(self, last: bool = False) -> None:
        """Show the line: on a terminal always, elsewhere now and then, and in the end, if it has changed."""
        if self._live is None and not last and time.monotonic() - self._printed_at < PLAIN_EVERY_S:
            return
        with survived(logger, "progress is not shown, since the ledger cannot be read"):
            line = self.line()
            if self._live is not None:
                self._live.update(Text(line))
            elif line != self._printed:
                self._console.print(line, highlight=False)
                self._printed, self._printed_at = line, time.monotonic()


def best_row(done: Iterable[tuple[Trial, float]]) -> dict[str, Any] | None:
    """Return the design's row with the highest mean validation accuracy over its finished splits, or None if none has finished.

    A single trial would not do: of many, the best one is the luckiest.

    Args:
        done: At most one trial for each row and split, with its validation accuracy: of several candidates, the one chosen.
    """
    accuracies: dict[str, list[float]] = {}
    for trial, accuracy in done:
        if trial.factors:
            accuracies.setdefault(trial.arm, []).append(accuracy)
    means = {arm: sum(values) / len(values) for arm, values in accuracies.items()}
    best = max(means, key=lambda arm: means[arm], default=None)
    return None if best is None else {"row": best, "validation_accuracy": means[best], "splits": len(accuracies[best])}


def best_text(best: dict[str, Any]) -> str:
    """Return that row in words."""
    return f"{best['row']}, validation {best['validation_accuracy']:.1%} over {best['splits']} splits"


def _has_failed(journal: Path) -> bool:
    """Whether the journal's last line, if complete, tells of a failure; cheap, since it is asked every second."""
    try:
        with open(journal, "rb") as file:
            file.seek(max(0, journal.stat().st_size - TAIL_BYTES))
            return b'"event": "failed"' in file.read().rstrip(b"\n").rsplit(b"\n", 1)[-1]
    except FileNotFoundError:
        return False
