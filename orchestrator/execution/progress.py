"""Progress of a running sweep: one live line on a terminal, plain lines elsewhere.

Owns what is said while trials run. Does not own the sweep: it only reads the ledger, so it can neither slow nor break it.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from hadamard.model.trial import Trial
from hadamard.orchestrator.ledger.ledger import Ledger

LOOK_EVERY_S = 1.0
PLAIN_EVERY_S = 15.0
TAIL_BYTES = 16384


class Progress:
    """Watches the owed trials of a sweep from a thread."""

    def __init__(self, ledger: Ledger, trials: Sequence[Trial], owed: Sequence[Trial], console: Console) -> None:
        self._open = [(trial, ledger.files(trial)) for trial in owed]
        self._finished: list[tuple[Trial, float]] = []
        self._finished_before = len(trials) - len(owed)
        self._total = len(trials)
        self._console = console
        self._started = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Progress:
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stop.set()
        self._thread.join(timeout=10)

    def line(self) -> str:
        """Look at the ledger and return the line: done, owed, failed, best row so far, time left."""
        looked_at, self._open = self._open, []
        for trial, files in looked_at:
            if files.result.exists():
                self._finished.append((trial, json.loads(files.result.read_text())["responses"]["validation_accuracy"]))
            else:
                self._open.append((trial, files))
        failed = sum(_has_failed(files.journal) for _, files in self._open)
        owed = len(self._open) - failed
        parts = [f"done {self._finished_before + len(self._finished)}/{self._total}", f"owed {owed}", f"failed {failed}"]
        if best := best_row(self._finished):
            parts.append(f"best row so far {best_text(best)}")
        if self._finished:
            left = (time.monotonic() - self._started) / len(self._finished) * owed
            parts.append(f"about {timedelta(seconds=round(left))} left")
        return " · ".join(parts)

    def _run(self) -> None:
        if self._console.is_terminal:
            with Live(Text(self.line()), console=self._console, refresh_per_second=2) as live:
                while not self._stop.wait(LOOK_EVERY_S):
                    live.update(Text(self.line()))
                live.update(Text(self.line()))
            return
        said, said_at = "", -PLAIN_EVERY_S
        while not self._stop.wait(LOOK_EVERY_S):
            if time.monotonic() - said_at > PLAIN_EVERY_S and (line := self.line()) != said:
                self._console.print(line, highlight=False)
                said, said_at = line, time.monotonic()
        if (line := self.line()) != said:
            self._console.print(line, highlight=False)


def best_row(done: Iterable[tuple[Trial, float]]) -> dict[str, Any] | None:
    """Return the design's row with the highest mean validation accuracy over its finished splits, or None if none has finished.

    A single trial would not do: of many, the best one is the luckiest.
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
