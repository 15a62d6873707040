"""Causes of a stop and of a driver's end, inferred from made-up answers of Slurm."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from typing import Any

import pytest

from hadamard.model.files.causes import Cause
from hadamard.orchestrator.execution.stop_reasons import NEAR_LIMIT_S, infer_driver_exit, infer_stop_reason
from hadamard.orchestrator.ledger.owner_record import OwnerRecord
from hadamard.slurm.jobs import Job

TERM, USR1, INT = signal.SIGTERM, signal.SIGUSR1, signal.SIGINT
JOB = {"SLURM_JOB_ID": "42", "SLURM_RESTART_COUNT": "1"}
OWNER = OwnerRecord(
    term=3,
    host="n1",
    pid=1,
    process_started=1,
    machine="m",
    job="42",
    restart=1,
    cluster=None,
    state="running",
    cause=None,
    started_ms=1_790_000_000_000,
)


def job(state: str, left_s: float | None, restarts: int | None, limit_s: float | None = 7200.0) -> Job:
    return Job(
        state=state, reason=None, nodes="n1", restarts=restarts, run_s=None, limit_s=limit_s, time_left_s=left_s, exit_code=None
    )  # fmt: skip


def slurm(answer: Job | None) -> tuple[Callable[[str], Job | None], list[str]]:
    """Return a Slurm that gives this answer, and what it will have been asked."""
    asked: list[str] = []

    def details(id_: str) -> Job | None:
        asked.append(id_)
        return answer

    return details, asked


@pytest.mark.parametrize(
    ("number", "environment", "answer", "cause"),
    [
        (TERM, {}, job("RUNNING", 1.0, 0), Cause.INTERRUPTED),
        (USR1, {}, None, Cause.INTERRUPTED),
        (USR1, JOB, job("RUNNING", 118.0, 1), Cause.TIMEOUT),
        (USR1, JOB, job("RUNNING", 890.0, 1), Cause.TIMEOUT),
        (TERM, JOB, job("RUNNING", NEAR_LIMIT_S, 1), Cause.TIMEOUT),
        (TERM, JOB, job("COMPLETING", 0.0, 1), Cause.TIMEOUT),
        (TERM, JOB, job("TIMEOUT", 0.0, 1), Cause.TIMEOUT),
        (TERM, JOB, job("COMPLETING", 3000.0, 1), Cause.CANCELLED),
        (TERM, JOB, job("CANCELLED by 1000", 3000.0, None), Cause.CANCELLED),
        (TERM, JOB, job("CANCELLED", 5.0, None), Cause.CANCELLED),
        (TERM, JOB, job("COMPLETING", 3000.0, 2), Cause.PREEMPTED),
        (TERM, JOB, job("RUNNING", 890.0, 1), Cause.PREEMPTED),
        (USR1, JOB, job("RUNNING", 3000.0, 1), Cause.PREEMPTED),
        (TERM, JOB, job("PREEMPTED", 5.0, 1), Cause.PREEMPTED),
        (TERM, JOB, job("RUNNING", None, None), Cause.PREEMPTED),
        (TERM, JOB, None, Cause.PREEMPTED),
        (INT, JOB, job("RUNNING", 60.0, 1), Cause.INTERRUPTED),
    ],
)
def test_a_signals_cause_is_asked_of_slurm_in_a_job(number: int, environment: dict[str, str], answer: Job | None, cause: Cause) -> None:
    details, asked = slurm(answer)
    assert infer_stop_reason(number, details, environment) == cause
    assert asked == (["42"] if environment else [])


@pytest.mark.parametrize(
    ("changed", "lived_s", "answer", "down", "cause"),
    [
        ({"state": "stopping", "cause": "timeout"}, 10.0, job("COMPLETED", None, 1), None, Cause.TIMEOUT),
        ({}, 10.0, job("TIMEOUT", None, 1), None, Cause.TIMEOUT),
        ({}, 100.0, job("CANCELLED by 0", None, 1), None, Cause.CANCELLED),
        ({}, 100.0, job("NODE_FAIL", None, 1), None, Cause.NODE_LOST),
        ({}, 100.0, job("OUT_OF_MEMORY", None, 1), None, Cause.OUT_OF_MEMORY),
        ({}, 100.0, job("FAILED", None, 1), None, Cause.DRIVER_LOST),
        ({}, 100.0, job("GONE", None, None), None, Cause.DRIVER_LOST),
        ({}, 100.0, job("RUNNING", 7000.0, 2), True, Cause.NODE_LOST),
        ({}, 7150.0, job("RUNNING", 7000.0, 2), False, Cause.TIMEOUT),
        ({}, 100.0, job("RUNNING", 7000.0, 2), False, Cause.PREEMPTED),
        ({}, 7150.0, job("PENDING", None, 2, None), False, Cause.PREEMPTED),
        ({}, 7150.0, job("RUNNING", 7000.0, 1), False, Cause.DRIVER_LOST),
        ({}, None, None, None, Cause.DRIVER_LOST),
    ],
)
def test_the_end_of_the_last_driver_is_asked_of_its_record_its_job_and_its_node(
    changed: dict[str, Any], lived_s: float | None, answer: Job | None, down: bool | None, cause: Cause
) -> None:
    owner = dataclasses.replace(OWNER, heartbeat_ms=None if lived_s is None else OWNER.started_ms + int(lived_s * 1000), **changed)

    def node_lost(host: str, since_s: float) -> bool | None:
        assert (host, since_s) == ("n1", (owner.heartbeat_ms or owner.started_ms) / 1000)
        return down

    assert infer_driver_exit(owner, slurm(answer)[0], node_lost) == cause


def test_outside_slurm_nothing_is_asked() -> None:
    details, asked = slurm(None)
    assert infer_driver_exit(dataclasses.replace(OWNER, job=None), details, lambda _host, _since_s: True) == Cause.DRIVER_LOST
    assert infer_driver_exit(None, details, lambda _host, _since_s: True) == Cause.DRIVER_LOST
    assert asked == []
