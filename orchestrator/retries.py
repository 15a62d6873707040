"""Runs a pack until each of its trials has a result or has failed for good, trying again as the cause allows.

Owns the policy per cause and who is blamed when a process dies. Does not own launching, nor what happens when a whole node is lost.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from cluster.launch import Outcome
from model.journal import TrialFiles, read_json, write_atomically

RETRIES: Mapping[str, int] = {"killed": 2, "crashed": 1, "out of memory": 1}
"""How often a trial is tried again within one run, by cause. Causes not named here would only repeat themselves."""


def run_with_retries(pack_directory: Path, launch: Callable[[], Outcome]) -> None:
    """Launch the pack's process until none of its trials is left to try.

    A process that dies fails the trial it was training; the others go on in the next launch.
    """
    pack = read_json(pack_directory / "pack.json")
    tries: Counter[str] = Counter()
    left: list[str] = list(pack["trials"])
    for trial in left:
        if _in_training(files := _files(pack_directory, trial)):
            files.append("failed", cause="lost", message="the attempt ended without a word: its worker, node or driver was lost")
    while left:
        write_atomically(pack_directory / "pack.json", json.dumps({**pack, "trials": left}))
        counts = {trial: len(_files(pack_directory, trial).events()) for trial in left}
        outcome = launch()
        if outcome.cause is not None:
            victim = next((trial for trial in left if _in_training(_files(pack_directory, trial))), left[0])
            _files(pack_directory, victim).append("failed", cause=outcome.cause, message=outcome.message)
            if outcome.cause in ("disk full", "bad input"):
                return
        left = [trial for trial in left if _try_again(_files(pack_directory, trial), counts[trial], tries, trial)]


def _try_again(files: TrialFiles, events_before: int, tries: Counter[str], trial: str) -> bool:
    if files.result.exists():
        return False
    new = files.events()[events_before:]
    if not new or new[-1]["event"] != "failed":
        return True
    tries[trial] += 1
    return tries[trial] <= RETRIES.get(new[-1]["cause"], 0)


def _in_training(files: TrialFiles) -> bool:
    events = files.events()
    return bool(events) and events[-1]["event"] in ("started", "epoch", "evaluated") and not files.result.exists()


def _files(pack_directory: Path, trial: str) -> TrialFiles:
    return TrialFiles((pack_directory / trial).resolve())
