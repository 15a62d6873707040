"""Which facts are put before the judgement of causes, with Slurm's answers made up."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Callable
from typing import Any

import pytest

from hadamard.orchestrator.execution.stop_reasons import infer_driver_exit, infer_stop_reason
from hadamard.orchestrator.ledger.owner_record import OwnerRecord
from hadamard.slurm.jobs import Job

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
    ("environment", "answer", "cause"),
    [
        ({}, job("RUNNING", 1.0, 0), "interrupted"),
        (JOB, job("RUNNING", 100.0, 1), "timeout"),
        (JOB, job("COMPLETING", 1000.0, 1), "cancelled"),
        (JOB, job("COMPLETING", 1000.0, 2), "preempted"),
        (JOB, job("RUNNING", None, None), "preempted"),
        (JOB, None, "preempted"),
    ],
)
def test_a_signals_cause_is_asked_of_slurm_in_a_job(environment: dict[str, str], answer: Job | None, cause: str) -> None:
    details, asked = slurm(answer)
    assert infer_stop_reason(signal.SIGTERM, details, environment) == cause
    assert asked == (["42"] if environment else [])


@pytest.mark.parametrize(
    ("changed", "lived_s", "answer", "down", "cause"),
    [
        ({"state": "stopping", "cause": "timeout"}, 10.0, None, None, "timeout"),
        ({}, 7150.0, job("RUNNING", 7000.0, 2), False, "timeout"),
        ({}, 100.0, job("RUNNING", 7000.0, 2), False, "preempted"),
        ({}, 100.0, job("RUNNING", 7000.0, 2), True, "node lost"),
        ({}, 100.0, job("RUNNING", 7000.0, 1), False, "driver lost"),
        ({}, 100.0, job("CANCELLED", None, 1), None, "cancelled"),
        ({}, None, None, None, "driver lost"),
    ],
)
def test_the_end_of_the_last_driver_is_asked_of_its_record_its_job_and_its_node(
    changed: dict[str, Any], lived_s: float | None, answer: Job | None, down: bool | None, cause: str
) -> None:
    details, _ = slurm(answer)
    nodes: list[str] = []

    def node_lost(host: str, since_s: float) -> bool | None:
        nodes.append(host)
        assert since_s == (owner.heartbeat_ms or owner.started_ms) / 1000
        return down

    owner = dataclasses.replace(OWNER, heartbeat_ms=None if lived_s is None else OWNER.started_ms + int(lived_s * 1000), **changed)
    assert infer_driver_exit(owner, details, node_lost) == cause
    assert nodes == ["n1"]


def test_outside_slurm_nothing_is_asked() -> None:
    details, asked = slurm(None)
    assert infer_driver_exit(dataclasses.replace(OWNER, job=None), details, lambda _host, _since_s: True) == "driver lost"
    assert infer_driver_exit(None, details, lambda _host, _since_s: True) == "driver lost"
    assert asked == []
