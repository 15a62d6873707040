"""Requeueing a job whose head node is lost: its batch script has died with that node, and nothing else would end the job.

Requeueing near the time limit is done by sweep.sbatch.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections.abc import Callable

from hadamard.slurm import jobs


def requeue_if_lost(head: str, still_wanted: Callable[[], bool], sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait until this job's batch script wants this node no longer, or Slurm says that the head node is lost; then requeue the job.

    Args:
        head: Slurm's name of the head node, on which the batch script runs.
        still_wanted: Whether the batch script has ordered nothing else; it orders `stop` when the job ends in the ordinary way.
        sleep: Waits for a number of seconds.
    """
    job, restart, began = os.environ["SLURM_JOB_ID"], jobs.restart_count(os.environ), time.time()
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    unambiguous = f"{array}_{task}" if array else job  # of an array's task the plain number may mean the whole array
    while still_wanted():
        sleep(random.uniform(2.0, 8.0))  # not all nodes at once
        if jobs.node_lost(head, began):
            if _is_running(job, restart):  # no other node has requeued it yet
                subprocess.run(["scontrol", "requeue", unambiguous])
            if _is_running(job, restart):  # Slurm refuses: without this the job would run until its time limit
                subprocess.run(["scancel", unambiguous])
            return


def _is_running(job: str, restart: int) -> bool:
    now = jobs.details(job)
    return now is not None and now["state"] == "RUNNING" and (now["restarts"] or 0) == restart
