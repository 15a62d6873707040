"""Why attempts end: the words, and how a stop's cause is told from signal, time and Slurm's word."""

from __future__ import annotations

import signal

import pytest

from hadamard.orchestrator.execution.retry_policy import RETRIES
from hadamard.orchestrator.ledger.causes import FAILURES, NEAR_LIMIT_S, STOPS, cause_of_end, stop_cause
from tests.conftest import ROOT

TERM, USR1, INT = signal.SIGTERM, signal.SIGUSR1, signal.SIGINT


@pytest.mark.parametrize(
    ("number", "in_job", "state", "left_s", "requeued", "cause"),
    [
        (TERM, False, None, None, None, "interrupted"),
        (USR1, False, None, None, None, "interrupted"),
        (USR1, True, "RUNNING", 118.0, False, "timeout"),
        (USR1, True, "RUNNING", NEAR_LIMIT_S, False, "timeout"),
        (TERM, True, "RUNNING", 3.0, False, "timeout"),
        (TERM, True, "COMPLETING", 0.0, False, "timeout"),
        (TERM, True, "TIMEOUT", 0.0, False, "timeout"),
        (TERM, True, "COMPLETING", 3000.0, False, "cancelled"),
        (TERM, True, "CANCELLED by 1000", 3000.0, None, "cancelled"),
        (TERM, True, "CANCELLED", 5.0, None, "cancelled"),
        (TERM, True, "COMPLETING", 3000.0, True, "preempted"),
        (TERM, True, "RUNNING", 3000.0, False, "preempted"),
        (USR1, True, "RUNNING", 3000.0, False, "preempted"),
        (TERM, True, "PREEMPTED", 5.0, False, "preempted"),
        (TERM, True, None, None, None, "preempted"),
        (INT, True, "RUNNING", 3000.0, False, "interrupted"),
        (INT, True, "RUNNING", 60.0, False, "interrupted"),
    ],
)
def test_a_signals_cause_is_told_by_what_slurm_says_of_the_job(
    number: int, in_job: bool, state: str | None, left_s: float | None, requeued: bool | None, cause: str
) -> None:
    assert stop_cause(number, in_job=in_job, state=state, time_left_s=left_s, requeued=requeued) == cause


@pytest.mark.parametrize(
    ("known", "cause"),
    [
        ({}, "driver lost"),
        ({"said": "timeout", "state": "COMPLETED"}, "timeout"),
        ({"state": "TIMEOUT"}, "timeout"),
        ({"state": "CANCELLED by 0"}, "cancelled"),
        ({"state": "NODE_FAIL"}, "node lost"),
        ({"state": "OUT_OF_MEMORY"}, "out of memory"),
        ({"state": "PREEMPTED"}, "preempted"),
        ({"state": "FAILED"}, "driver lost"),
        ({"state": "GONE"}, "driver lost"),
        ({"state": "RUNNING", "node_lost": True}, "node lost"),
        ({"state": "RUNNING", "requeued": True, "node_lost": True}, "node lost"),
        ({"state": "RUNNING", "requeued": True, "ran_s": 7100.0, "limit_s": 7200.0}, "timeout"),
        ({"state": "RUNNING", "requeued": True, "ran_s": 700.0, "limit_s": 7200.0}, "preempted"),
        ({"state": "PENDING", "requeued": True}, "preempted"),
        ({"state": "RUNNING", "requeued": False, "ran_s": 7100.0, "limit_s": 7200.0}, "driver lost"),
    ],
)
def test_the_end_of_a_driver_is_told_by_its_last_word_and_slurms(known: dict[str, object], cause: str) -> None:
    unknown = dict.fromkeys(("said", "state", "ran_s", "limit_s", "requeued", "node_lost"))
    assert cause_of_end(**{**unknown, **known}) == cause  # type: ignore[arg-type]
    assert cause in STOPS


def test_every_cause_of_failure_has_a_policy_and_every_cause_is_documented() -> None:
    assert RETRIES.keys() == FAILURES.keys()
    document = (ROOT / "docs" / "fault-tolerance.md").read_text()
    for cause in FAILURES:
        assert f"| `{cause}` | {RETRIES[cause]} |" in document
    for cause in STOPS:
        assert f"| `{cause}` | " in document
