"""Why attempts at trials end before their time: the words for it, and how a stop's cause is told from what is known.

Owns the vocabulary of causes, of stops and of failures. Does not own how often a failure is tried again, nor who asks Slurm.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping

STOPS: Mapping[str, str] = {
    "timeout": "the job's time limit was near, or reached",
    "preempted": "Slurm took the job's nodes for another job, or put the job back into the queue",
    "cancelled": "the job was cancelled",
    "interrupted": "Ctrl-C or a signal, outside Slurm or in an interactive job",
    "left": "its node left the study",
    "budget": "the study's budget was used up",
    "superseded": "another driver took the study over",
    "node lost": "the driver's node went down",
    "out of memory": "Slurm ended the job for want of memory",
    "driver lost": "the driver vanished, and nothing tells why",
}
"""Causes in the event `stopped`: nobody's failure. The trial is owed, and goes on from its checkpoint."""

FAILURES: Mapping[str, str] = {
    "killed": "its process was killed by a signal from outside",
    "crashed": "its process died by a signal of its own making, such as SIGSEGV",
    "hanging": "one of its MPI ranks gave no sign of life for 30 s: stopped, or its node is lost",
    "out of memory": "memory was refused, or Linux killed its process for want of it",
    "node lost": "Ray says that its node is dead",
    "worker lost": "its worker vanished, though its node lives",
    "diverged": "its loss or its parameters are no numbers",
    "bad input": "its files or its settings cannot be used",
    "disk full": "nothing can be written",
    "error": "anything else; the traceback is in the journal",
}
"""Causes in the event `failed`."""

SUPERSEDED, LEFT, BUDGET = "superseded", "left", "budget"
NEAR_LIMIT_S = 150.0
"""What ends a job this long before its time limit, or later, is the limit."""
EARLY_SIGNAL_S = 900.0
"""SIGUSR1 this long before the limit, or later, is the early signal, which is asked for two minutes before it, or more."""

_BY_STATE = {
    "TIMEOUT": "timeout",
    "DEADLINE": "timeout",
    "PREEMPTED": "preempted",
    "CANCELLED": "cancelled",
    "NODE_FAIL": "node lost",
    "BOOT_FAIL": "node lost",
    "OUT_OF_MEMORY": "out of memory",
}


def stop_cause(number: int, *, in_job: bool, state: str | None, time_left_s: float | None, requeued: bool | None) -> str:
    """Return why a signal stops the driver.

    Args:
        number: The signal.
        in_job: Whether the driver runs in a Slurm job.
        state: Slurm's word for the job now; None where Slurm was not asked or gave no answer.
        time_left_s: Until the job's time limit; None if not known.
        requeued: Whether Slurm counts one more restart of the job than the driver was started with; None if not known.
    """
    if not in_job:
        return "interrupted"
    if ended := _by_state(state):
        return ended
    if number == signal.SIGINT:
        return "interrupted"
    if time_left_s is not None and time_left_s <= (EARLY_SIGNAL_S if number == signal.SIGUSR1 else NEAR_LIMIT_S):
        return "timeout"
    if state == "COMPLETING" and requeued is False:  # Slurm says CANCELLED only once all processes are gone
        return "cancelled"
    return "preempted"


def cause_of_end(
    *, said: str | None, state: str | None, ran_s: float | None, limit_s: float | None, requeued: bool | None, node_lost: bool | None
) -> str:
    """Return why the last owner of a study is gone, whose attempts were left open.

    Args:
        said: The cause that it gave itself, if it was stopping.
        state: Slurm's word for its job; None outside Slurm, or without an answer.
        ran_s: How long it lived, to its last sign of life, which is nearly as long as its job ran; None if not known.
        limit_s: Its job's time limit; None if not known or unlimited.
        requeued: Whether its job was started, or queued, once more; None if not known.
        node_lost: Whether Slurm says that its node is down, or has come back since; None if not known.
    """
    if said is not None:
        return said
    if ended := _by_state(state):
        return ended
    if node_lost:
        return "node lost"
    if requeued:
        near = ran_s is not None and limit_s is not None and ran_s >= limit_s - NEAR_LIMIT_S
        return "timeout" if near else "preempted"
    return "driver lost"


def _by_state(state: str | None) -> str | None:
    """Return what a job's last state says of its end; Slurm writes some states with more words, such as `CANCELLED by 1000`."""
    words = (state or "").split()
    return _BY_STATE.get(words[0]) if words else None
