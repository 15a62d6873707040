"""What a pack's process is at, and for which trials, from moment to moment: a line in `phases.jsonl` wherever that changes.

`orchestrator/energy/attribution.py` puts joules beside these times.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from hadamard.model.files.json_lines import drop_torn_line
from hadamard.model.files.trial_files import TrialFiles

Phase = Literal["embedding", "training", "evaluation", "inference"]
"""Sentences are embedded, or their encoder tuned; heads are trained; they are looked at on the way, on the validation side; and in the end
they classify all sentences of their splits."""
PHASES: tuple[Phase, ...] = ("embedding", "training", "evaluation", "inference")
FILE = "phases.jsonl"


class Phases:
    """Writes the lines of one process; each is on disk before what it tells of begins."""

    def __init__(self, pack_directory: Path) -> None:
        drop_torn_line(pack_directory / FILE)
        self._file = open(pack_directory / FILE, "a", buffering=1)  # noqa: SIM115, it lives as long as the process trains
        self._trials: list[str] | None = None

    def begin(self, phase: Phase, trials: Sequence[TrialFiles], sentences: int = 0) -> None:
        """Say that a phase begins for some trials and any other ends.

        Args:
            phase: What begins.
            trials: Those that are worked for, alike.
            sentences: Of each trial, that are classified in this phase.
        """
        names = [files.directory.name for files in trials]
        changed = {} if names == self._trials else {"trials": names}
        self._trials = names
        self._write({"phase": phase, **({"sentences": sentences} if sentences else {}), **changed})

    def pause(self) -> None:
        """Say that what is done now, such as writing results, is no phase."""
        self._write({"phase": None})

    def end(self) -> None:
        """Say that nothing more is done."""
        self.pause()
        self._file.close()

    def _write(self, line: dict[str, object]) -> None:
        self._file.write(json.dumps({"time_s": round(time.time(), 4), **line}) + "\n")
