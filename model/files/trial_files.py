"""The files of one trial (`trial.json`, `journal.jsonl`, `result.json`, a checkpoint) and of one pack, proof against kill -9."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

from hadamard.model.files.atomic import locked, read_json, write_atomically
from hadamard.model.files.json_lines import append_line, read_lines

Event = dict[str, Any]
LOCK_WAIT_S = 60.0
"""Longer than a process may take to stop gracefully (`hadamard.cluster.launch.STOP_GRACE_S`)."""


def in_training(events: Sequence[Event]) -> bool:
    """Whether the last attempt that a journal tells of is open: begun, and neither done, failed nor stopped."""
    return bool(events) and events[-1]["event"] in ("started", "epoch", "evaluated")


class TrialFiles:
    """Named paths of one trial's directory, and what is read from and written to them."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.trial = directory / "trial.json"
        self.journal = directory / "journal.jsonl"
        self.result = directory / "result.json"
        self.checkpoint = directory / "checkpoint.safetensors"

    def append(self, event: str, **fields: Any) -> None:
        """Append one event to the journal, stamped with the time in epoch milliseconds."""
        line = json.dumps({"event": event, "time_ms": int(time.time() * 1000), **fields})
        append_line(self.journal, line)

    def events(self) -> list[Event]:
        """Return the journal's events in order; a torn last line, left by a crash, does not count.

        Raises:
            LedgerError: A line before the last is damaged; the message names file and line.
        """
        fix = f"Delete the line to accept the rest, or the directory {self.directory} to have the trial done again"
        return list(read_lines(self.journal, ("event", "time_ms"), fix))

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the trial for one process, waiting for a dying predecessor to let go.

        Not for ever: the lock of a node that is gone may stay on its file server, and that two processes do not train one trial rests on
        the claim on the study in the end.
        """
        with open(self.journal, "a") as file:
            deadline = time.monotonic() + LOCK_WAIT_S
            while not locked(file, wait=False):
                if time.monotonic() > deadline:
                    break
                time.sleep(0.1)
            yield


class PackFiles:
    """Named paths of one pack's directory: `pack.json`, which says what one process is to train, and that process's log."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.description = directory / "pack.json"
        self.log = directory / "log.txt"

    @property
    def trials(self) -> list[TrialFiles]:
        """The files of the pack's trials, in the order in which they are trained."""
        return [TrialFiles((self.directory / one).resolve()) for one in self._read()["trials"]]

    @property
    def alone(self) -> set[Path]:
        """The directories of those trials that are not trained together with others."""
        return {(self.directory / one).resolve() for one in self._read()["alone"]}

    def write(self, trials: Sequence[TrialFiles], alone: Collection[Path] = ()) -> None:
        """Name the trials to train, and the directories of those to train alone.

        Paths are kept relative, so that a study's directory may be moved.
        """
        self.directory.mkdir(exist_ok=True)
        named = {"trials": [one.directory for one in trials], "alone": sorted(alone)}
        relative = {
            name: [os.path.relpath(one.resolve(), self.directory.resolve()) for one in directories] for name, directories in named.items()
        }
        write_atomically(self.description, json.dumps(relative, indent=1))

    def _read(self) -> dict[str, Any]:
        return read_json(self.description, "Give the same `hadamard run` again")
