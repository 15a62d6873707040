"""Runs a pack until each of its trials has a result or has failed for good, trying again as the cause allows.

Owns the policy per cause and who is blamed when a process dies. Does not own launching, nor what happens when a whole node is lost.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from cluster.launch import Outcome
from model.journal import PackFiles, TrialFiles

RETRIES: Mapping[str, int] = {"killed": 2, "crashed": 1, "out of memory": 1}
"""How often a trial is tried again within one run, by cause. Causes not named here would only repeat themselves."""


def run_with_retries(pack_directory: Path, launch: Callable[[], Outcome]) -> None:
    """Launch the pack's process until none of its trials is left to try.

    A process that dies fails the trials it was training. What is tried again is trained alone, from its checkpoint: a trial that takes
    its process along then takes no other with it, and what was too much memory together is enough for each.
    """
    pack = PackFiles(pack_directory)
    left = [files for files in pack.trials if not files.result.exists()]  # when a node was lost, some are done
    for files in left:
        if _in_training(files):
            files.append("failed", cause="lost", message="the attempt ended without a word: its worker, node or driver was lost")
    tries: Counter[Path] = Counter()
    while left:
        pack.write(left, alone=[files.directory for files in left if files.directory in tries])
        counts = {files.directory: len(files.events()) for files in left}
        outcome = launch()
        if outcome.cause is not None:
            if outcome.cause == "disk full":
                return  # nothing can be written, and the driver finds out by itself
            for victim in [files for files in left if _in_training(files)] or left[:1]:
                victim.append("failed", cause=outcome.cause, message=outcome.message)
        left = [files for files in left if _try_again(files, counts[files.directory], tries)]


def _try_again(files: TrialFiles, events_before: int, tries: Counter[Path]) -> bool:
    if files.result.exists():
        return False
    new = files.events()[events_before:]
    if not new or new[-1]["event"] != "failed":
        return True
    tries[files.directory] += 1
    return tries[files.directory] <= RETRIES.get(new[-1]["cause"], 0)


def _in_training(files: TrialFiles) -> bool:
    events = files.events()
    return bool(events) and events[-1]["event"] in ("started", "epoch", "evaluated") and not files.result.exists()
