"""Slurm's own count of a study's joules beside that of our meters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from hadamard.cluster.energy.recorder import Recording
from hadamard.orchestrator.formats import count, joules
from hadamard.orchestrator.ledger.resource_log import RunUse


def cross_checks(runs: Sequence[RunUse], recordings: Sequence[Recording], consumed_j: Callable[[str], float | None]) -> tuple[str, ...]:
    """Return a sentence for each Slurm job whose joules its accounting knows; it counts whole nodes from the job's start to its end.

    Args:
        runs: Of the study.
        recordings: Of its meters.
        consumed_j: Returns Slurm's joules of a job; None where it has none.
    """
    sentences = []
    for job in dict.fromkeys(run.job for run in runs if run.job is not None):
        theirs = consumed_j(job)
        if theirs is not None:
            numbers = {run.run for run in runs if run.job == job}
            ours = [recording for recording in recordings if recording.run in numbers and recording.method is not None]
            nodes, whole = count(len({recording.host for recording in ours}), "node"), joules(sum(map(_whole_j, ours)))
            beside = f"our meters counted {whole} on {nodes} while they ran" if ours else "our meters counted nothing"
            sentences.append(f"Slurm's accounting has {joules(theirs)} for job {job}, of its nodes as a whole; {beside}.")
    return tuple(sentences)


def _whole_j(recording: Recording) -> float:
    """Return the joules of a node's counters from the first reading to the last."""
    return float(recording.trace.joules[-1].sum()) if len(recording.trace.times_s) else 0.0
