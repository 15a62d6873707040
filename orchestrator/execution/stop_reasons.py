"""Why this driver is told to stop, and why the one before it is gone: what Slurm and that one's record say, put before `causes`.

Owns which facts are asked for. Does not own how they are judged, nor how Slurm is asked: those who ask it are given as parameters.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from hadamard.orchestrator.ledger.causes import cause_of_end, stop_cause
from hadamard.orchestrator.ledger.owner_record import OwnerRecord
from hadamard.slurm.jobs import Job, restart_count

AskJob = Callable[[str], Job | None]
AskNode = Callable[[str, float], bool | None]


def infer_stop_reason(number: int, details: AskJob, environment: Mapping[str, str] = os.environ) -> str:
    """Return why a signal has come to this driver.

    Args:
        number: The signal.
        details: What Slurm says of a job; None if it cannot be asked.
        environment: Tells which job this is.
    """
    id_ = environment.get("SLURM_JOB_ID")
    job = details(id_) if id_ else None
    return stop_cause(
        number,
        in_job=id_ is not None,
        state=job["state"] if job else None,
        time_left_s=job["time_left_s"] if job else None,
        requeued=_requeued(job, restart_count(environment)),
    )


def infer_driver_exit(owner: OwnerRecord | None, details: AskJob, node_lost: AskNode) -> str:
    """Return why the last owner of a study is gone, though it left attempts open.

    Args:
        owner: Its record; None if there is none.
        details: What Slurm says of a job; None if it cannot be asked.
        node_lost: Whether Slurm says that a node is down, or has come back since a moment (Unix time); None if it does not say.
    """
    if owner is None:
        return "driver lost"
    job = details(owner.job) if owner.job else None
    return cause_of_end(
        said=owner.cause,
        state=job["state"] if job else None,
        ran_s=None if owner.heartbeat_ms is None else (owner.heartbeat_ms - owner.started_ms) / 1000,
        limit_s=job["limit_s"] if job else None,
        requeued=_requeued(job, owner.restart),
        node_lost=node_lost(owner.host, (owner.heartbeat_ms or owner.started_ms) / 1000) if owner.job else None,
    )


def _requeued(job: Job | None, restarts_before: int) -> bool | None:
    """Whether a job was put back into the queue since it was started for the given time; None if not known."""
    restarts = job["restarts"] if job else None
    return None if restarts is None else restarts > restarts_before
