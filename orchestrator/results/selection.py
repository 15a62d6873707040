"""The choice among an arm's candidates on each split: the best inside the drawn sentences, never by a test sentence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from hadamard.orchestrator.ledger.ledger import Status, TrialRecord


@dataclass(frozen=True)
class Choice:
    """What stands for an arm on a split."""

    record: TrialRecord
    """Of the candidate chosen; of any of them while there is no choice."""
    status: Status
    """`done` once the choice is made; `owed` while any candidate has trials to come; `failed` if none of them has all its results."""
    cv_accuracy: float | None = None
    """Of the candidate chosen, over the folds it was chosen by; None where there are none."""


def choices(records: Sequence[TrialRecord]) -> list[Choice]:
    """Return a choice for each arm and split of the records, in the order in which they first come.

    Of several candidates, that with the highest mean accuracy on its folds is taken, or where there are no folds on the validation side;
    of equals the first. One that lacks a result, because a trial of it failed, is out of the running.
    """
    groups: dict[tuple[str, int], dict[int | None, list[TrialRecord]]] = {}
    for record in records:
        trial = record.trial
        groups.setdefault((trial.arm, trial.split), {}).setdefault(trial.candidate, []).append(record)
    return [_choice(list(candidates.values())) for candidates in groups.values()]


def _choice(candidates: Sequence[Sequence[TrialRecord]]) -> Choice:
    mains = [next(record for record in records if record.trial.fold is None) for records in candidates]
    if len(mains) == 1:
        return Choice(mains[0], _plain(mains[0].status))
    for main, records in zip(mains, candidates, strict=True):
        if any(_plain(record.status) == "owed" for record in records):
            return Choice(main, "owed")
    scored = [(_score(main, records), main) for main, records in zip(mains, candidates, strict=True)]
    known = [(score, main) for score, main in scored if score is not None]
    if not known:
        failed = next((record for records in candidates for record in records if record.status == "failed"), mains[0])
        return Choice(failed, "failed")
    score, main = max(known, key=lambda candidate: candidate[0])
    return Choice(main, "done", score if len(candidates[0]) > 1 else None)


def _score(main: TrialRecord, records: Sequence[TrialRecord]) -> float | None:
    """Return what a candidate is chosen by; None if it lacks a result."""
    if any(record.status != "done" for record in records):
        return None
    by = [record for record in records if record.trial.fold is not None] or [main]
    return fmean(record.responses["validation_accuracy"] for record in by)


def _plain(status: Status) -> Status:
    return "owed" if status == "running" else status
