"""Why a driver is told to stop, and why the one before it is gone, inferred from its record and from what Slurm says of its job and node.

Those that ask Slurm are parameters, so that tests make up its answers.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping

from hadamard.model.files.causes import Cause
from hadamard.orchestrator.ledger.owner_record import OwnerRecord
from hadamard.slurm.jobs import Job, restart_count

AskJob = Callable[[str], Job | None]
AskNode = Callable[[str, float], bool | None]
NEAR_LIMIT_S = 150.0
"""A job that ends this long before its time limit, or later, is ended by the limit."""
EARLY_SIGNAL_S = 900.0
"""SIGUSR1 this long before the limit, or later, is the early signal, which is requested for two minutes before it, or more."""
BY_STATE = {
    "TIMEOUT": Cause.TIMEOUT,
    "DEADLINE": Cause.TIMEOUT,
    "PREEMPTED": Cause.PREEMPTED,
    "CANCELLED": Cause.CANCELLED,
    "NODE_FAIL": Cause.NODE_LOST,
    "BOOT_FAIL": Cause.NODE_LOST,
    "OUT_OF_MEMORY": Cause.OUT_OF_MEMORY,
}


def infer_stop_reason(number: int, details: AskJob, environment: Mapping[str, str] = os.environ) -> Cause:
    """Return why a signal has come to this driver.

    Args:
        number: The signal.
        details: What Slurm says of a job; None if it cannot be asked.
        environment: Tells which job this is.
    """
    id_ = environment.get("SLURM_JOB_ID")
    if id_ is None:
        return Cause.INTERRUPTED
    job = details(id_)
    if cause := _by_state(job):
        return cause
    if number in (signal.SIGINT, signal.SIGHUP):
        return Cause.INTERRUPTED
    left_s = job["time_left_s"] if job else None
    if left_s is not None and left_s <= (EARLY_SIGNAL_S if number == signal.SIGUSR1 else NEAR_LIMIT_S):
        return Cause.TIMEOUT
    if job and job["state"] == "COMPLETING" and _requeued(job, restart_count(environment)) is False:
        return Cause.CANCELLED  # Slurm says so itself only once all processes are gone
    return Cause.PREEMPTED


def infer_driver_exit(owner: OwnerRecord | None, details: AskJob, node_lost: AskNode) -> str:
    """Return why the last owner of a study is gone, though it left attempts open.

    Args:
        owner: Its record; None if there is none.
        details: What Slurm says of a job; None if it cannot be asked.
        node_lost: Whether Slurm says that a node is down, or has come back since a moment (Unix time); None if it does not say.
    """
    if owner is None or owner.cause is not None:
        return owner.cause if owner and owner.cause else Cause.DRIVER_LOST
    job = details(owner.job) if owner.job else None
    if cause := _by_state(job):
        return cause
    last_ms = owner.heartbeat_ms or owner.started_ms
    if owner.job and node_lost(owner.host, last_ms / 1000):
        return Cause.NODE_LOST
    if job and _requeued(job, owner.restart):
        ran_s = (last_ms - owner.started_ms) / 1000  # nearly as long as its job
        return Cause.TIMEOUT if job["limit_s"] is not None and ran_s >= job["limit_s"] - NEAR_LIMIT_S else Cause.PREEMPTED
    return Cause.DRIVER_LOST


def _by_state(job: Job | None) -> Cause | None:
    """Return the cause that a job's state names; Slurm writes some states with more words, such as `CANCELLED by 1000`."""
    return BY_STATE.get(job["state"].partition(" ")[0]) if job else None


def _requeued(job: Job, restarts_before: int) -> bool | None:
    """Whether a job was requeued since it had been so for the given number of times; None if not known."""
    return None if job["restarts"] is None else job["restarts"] > restarts_before
