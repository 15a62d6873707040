"""Causes: why attempts at trials end before they are done, as journals, tables and messages name them."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Cause(StrEnum):
    """Why an attempt at a trial, or a pack's process, has ended; docs/fault-tolerance.md says when each is given.

    Attributes:
        retries: How often a trial that has failed by it is tried again within one run; 0 where that would only repeat itself.
    """

    retries: int

    def __new__(cls, value: str, retries: int = 0) -> Self:
        """Make a cause of its name and its number of retries."""
        cause = str.__new__(cls, value)
        cause._value_, cause.retries = value, retries
        return cause

    # In the event `stopped`: nothing is wrong with the trial, which is owed and goes on from its checkpoint.
    TIMEOUT = "timeout"
    PREEMPTED = "preempted"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    LEFT = "left"
    BUDGET = "budget"
    SUPERSEDED = "superseded"
    DRIVER_LOST = "driver lost"
    # In the event `failed`; the first two also in `stopped`, of the driver's node and of the job.
    NODE_LOST = "node lost", 3
    OUT_OF_MEMORY = "out of memory", 1
    WORKER_LOST = "worker lost", 3
    KILLED = "killed", 2
    HANGING = "hanging", 2
    CRASHED = "crashed", 1
    DIVERGED = "diverged"
    BAD_INPUT = "bad input"
    DISK_FULL = "disk full"
    ERROR = "error"
    # Of a process alone: it was asked to stop, and its trials have the reason.
    STOPPED = "stopped"
