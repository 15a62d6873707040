"""Retries: runs a pack until each of its trials has a result or has failed as often as its cause allows, or until it must stop.

How often that is for each cause is in `model.files.causes`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from hadamard.cluster.launch import Outcome
from hadamard.model.files.causes import Cause
from hadamard.model.files.trial_files import PackFiles, TrialFiles, in_training

LOST = (Cause.NODE_LOST, Cause.WORKER_LOST)


def run_with_retries(
    pack_directory: Path, launch: Callable[[], Outcome], stop_reason: Callable[[], str | None], lost: Cause | None, run: int
) -> str | None:
    """Launch the pack's process until none of its trials is left to try, or it must stop; return why it stopped, None if it did not.

    A process that dies fails the trials it was training. What is tried again is trained alone, from its checkpoint: a trial that takes
    its process along then takes no other with it, and what was too much memory together is enough for each. One that cannot even begin,
    and would not the next time either, fails all trials: it may be the launch of ranks, which takes minutes to be given up.

    Args:
        pack_directory: Holds `pack.json`.
        launch: Runs the pack's process to its end.
        stop_reason: Why nothing more is to be launched, or None.
        lost: Why an earlier worker of this run lost the pack without recording it; None if none did.
        run: The term of the driver: losses are counted for each term.
    """
    pack = PackFiles(pack_directory)
    left = [files for files in pack.trials if not files.result.exists()]
    if lost is not None:
        _record_failure(_affected(left), lost, "the attempt ended without a record", run=run)
        left = [files for files in left if not _lost_too_often(files, run)]
    tries: Counter[Path] = Counter()
    while left:
        if (why := stop_reason()) is not None:
            return why
        pack.write(left, alone=[files.directory for files in left if files.directory in tries])
        counts = {files.directory: len(files.events()) for files in left}
        outcome = launch()
        if stop_reason() == Cause.SUPERSEDED:  # its end is the new driver's to record
            return Cause.SUPERSEDED
        if outcome.cause == Cause.DISK_FULL:
            return None  # nothing can be written, and the driver notices by itself
        if outcome.cause == Cause.STOPPED:
            close(left, outcome.message)
            return outcome.message
        if outcome.cause is not None:
            begun = any(len(files.events()) > counts[files.directory] for files in left)
            _record_failure(_affected(left) if begun or outcome.cause.retries else left, outcome.cause, outcome.message)
        left = [files for files in left if _try_again(files, counts[files.directory], tries)]
    return None


def open_attempts(trials: Iterable[TrialFiles]) -> list[TrialFiles]:
    """Return those of these trials that are in training, or were when their process ended without a record."""
    return [files for files in trials if not files.result.exists() and in_training(files.events())]


def close(trials: Iterable[TrialFiles], cause: str) -> None:
    """End the open attempts at these trials by the event `stopped`; when superseded, that is the new driver's to do."""
    if cause != Cause.SUPERSEDED:
        for files in open_attempts(trials):
            files.append("stopped", cause=cause)


def _affected(left: Sequence[TrialFiles]) -> Sequence[TrialFiles]:
    """Return the trials that a process was training when it died; the first, if it was training none: retries must end some time."""
    unfinished = [files for files in left if not files.result.exists()]  # ranks may fail at their end, when all is done
    return open_attempts(unfinished) or unfinished[:1]


def _record_failure(trials: Iterable[TrialFiles], cause: Cause, message: str, **fields: int) -> None:
    """Record a process's end as the failure of trials."""
    for files in trials:
        files.append("failed", cause=cause, message=message, **fields)


def _try_again(files: TrialFiles, events_before: int, tries: Counter[Path]) -> bool:
    if files.result.exists():
        return False
    new = files.events()[events_before:]
    if not new or new[-1]["event"] != "failed":
        return True
    tries[files.directory] += 1
    return tries[files.directory] <= Cause(new[-1]["cause"]).retries


def _lost_too_often(files: TrialFiles, run: int) -> bool:
    losses = Counter(event["cause"] for event in files.events() if event["event"] == "failed" and event.get("run") == run)
    return any(losses[cause] > cause.retries for cause in LOST)
