"""Runs a pack until each of its trials has a result or has failed for good, trying again as the cause allows, or until it must stop.

Owns the policy per cause, who is blamed when a process dies, and the word of a stop. Does not own launching, nor how causes are told.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from hadamard.cluster.launch import Outcome
from hadamard.model.files.trial_files import PackFiles, TrialFiles, in_training
from hadamard.orchestrator.ledger.causes import SUPERSEDED

RETRIES: Mapping[str, int] = {
    "killed": 2,
    "crashed": 1,
    "hanging": 2,
    "out of memory": 1,
    "node lost": 3,
    "worker lost": 3,
    "diverged": 0,
    "bad input": 0,
    "disk full": 0,
    "error": 0,
}
"""How often a trial is tried again within one run, by cause; those with 0 would only repeat themselves. Stops cost nothing."""
LOST = ("node lost", "worker lost")


def run_with_retries(
    pack_directory: Path, launch: Callable[[], Outcome], stop_reason: Callable[[], str | None], lost: str | None, run: int
) -> str | None:
    """Launch the pack's process until none of its trials is left to try, or it must stop; return why it stopped, None if it did not.

    A process that dies fails the trials it was training. What is tried again is trained alone, from its checkpoint: a trial that takes
    its process along then takes no other with it, and what was too much memory together is enough for each. One that cannot even begin,
    and would not the next time either, fails all trials: it may be the launch of ranks, which takes minutes to be given up.

    Args:
        pack_directory: Holds `pack.json`.
        launch: Runs the pack's process to its end.
        stop_reason: Why nothing more is to be launched, or None.
        lost: What became of the worker that had this pack before, in this run, if it ended without a word.
        run: The run's number: trials are lost so often in each.
    """
    pack = PackFiles(pack_directory)
    left = [files for files in pack.trials if not files.result.exists()]
    if lost is not None:
        _blame(_victims(left), lost, "the attempt ended without a word", run=run)
        left = [files for files in left if not _lost_too_often(files, run)]
    tries: Counter[Path] = Counter()
    while left:
        if (why := stop_reason()) is not None:
            return why
        pack.write(left, alone=[files.directory for files in left if files.directory in tries])
        counts = {files.directory: len(files.events()) for files in left}
        outcome = launch()
        if stop_reason() == SUPERSEDED:  # how it ended is no longer ours to tell
            return SUPERSEDED
        if outcome.cause == "disk full":
            return None  # nothing can be written, and the driver finds out by itself
        if outcome.cause == "stopped":
            close(left, outcome.message)
            return outcome.message
        if outcome.cause is not None:
            begun = any(len(files.events()) > counts[files.directory] for files in left)
            _blame(_victims(left) if begun or RETRIES[outcome.cause] else left, outcome.cause, outcome.message)
        left = [files for files in left if _try_again(files, counts[files.directory], tries)]
    return None


def open_attempts(trials: Iterable[TrialFiles]) -> list[TrialFiles]:
    """Return those of these trials that are in training, or were when their process ended without a word."""
    return [files for files in trials if not files.result.exists() and in_training(files.events())]


def close(trials: Iterable[TrialFiles], cause: str) -> None:
    """End the open attempts at these trials by the event `stopped`; when superseded, that is the new driver's to do."""
    if cause != SUPERSEDED:
        for files in open_attempts(trials):
            files.append("stopped", cause=cause)


def _victims(left: Sequence[TrialFiles]) -> Sequence[TrialFiles]:
    """Return those that a process was training when it died; the first, if it was training none: it must end some time."""
    unfinished = [files for files in left if not files.result.exists()]  # ranks may fail at their end, when all is done
    return open_attempts(unfinished) or unfinished[:1]


def _blame(victims: Iterable[TrialFiles], cause: str, message: str, **fields: int) -> None:
    """Record a process's end as the failure of trials."""
    for victim in victims:
        victim.append("failed", cause=cause, message=message, **fields)


def _try_again(files: TrialFiles, events_before: int, tries: Counter[Path]) -> bool:
    if files.result.exists():
        return False
    new = files.events()[events_before:]
    if not new or new[-1]["event"] != "failed":
        return True
    tries[files.directory] += 1
    return tries[files.directory] <= RETRIES[new[-1]["cause"]]


def _lost_too_often(files: TrialFiles, run: int) -> bool:
    losses = Counter(event["cause"] for event in files.events() if event["event"] == "failed" and event.get("run") == run)
    return any(losses[cause] > RETRIES[cause] for cause in LOST)
