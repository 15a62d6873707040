"""Slurm's words on jobs and nodes, as Slurm 22.05 printed them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from hadamard.slurm import jobs

RECORD = """\
JobId={id} {array}JobName={name}
   UserId=ada(1000) GroupId=ada(1000) MCS_label=N/A
   Priority=4294901759 Nice=0 Account=(null) QOS=(null)
   JobState={state} Reason={reason} Dependency=(null)
   Requeue=1 Restarts={restarts} BatchFlag=1 Reboot=0 ExitCode={exit}
   RunTime={run} TimeLimit={limit} TimeMin=N/A
   SubmitTime=2026-11-24T14:55:55 EligibleTime=2026-11-24T14:55:55
   Partition=main AllocNode:Sid=localhost:3093
   ReqNodeList=(null) ExcNodeList=(null)
   NodeList={nodes}
   BatchHost=o1
   Command=(null)
   StdOut=/home/ada/a.log
   Power=


"""


def record(number: int, **other: str) -> str:
    fields = {
        "array": "", "name": "wrap", "state": "RUNNING", "reason": "None", "restarts": "0", "exit": "0:0", "run": "00:00:02",
        "limit": "00:10:00", "nodes": "o[1-2]",
    }  # fmt: skip
    return RECORD.format(id=number, **{**fields, **other})


def test_a_running_job() -> None:
    assert jobs.read_job("1", record(1)) == {
        "state": "RUNNING",
        "reason": None,
        "nodes": "o[1-2]",
        "restarts": 0,
        "run_s": 2.0,
        "limit_s": 600.0,
        "time_left_s": 598.0,
        "exit_code": None,
    }


def test_a_job_that_was_put_back_into_the_queue() -> None:
    job = jobs.read_job("1", record(1, state="PENDING", reason="BeginTime", restarts="1", run="00:00:00", nodes=""))
    assert job is not None
    assert (job["state"], job["reason"], job["restarts"], job["nodes"], job["time_left_s"]) == ("PENDING", "BeginTime", 1, None, None)
    assert job["state"] in jobs.WAITING


def test_a_job_that_has_failed_and_whose_name_looks_like_a_state() -> None:
    job = jobs.read_job("3", record(3, name="a job  JobState=RUNNING Restarts=9", state="FAILED", reason="NonZeroExitCode", exit="1:0"))
    assert job is not None
    assert (job["state"], job["reason"], job["exit_code"], job["restarts"]) == ("FAILED", "NonZeroExitCode", "1:0", 0)
    assert job["state"] not in jobs.ACTIVE | jobs.WAITING


def test_of_an_array_the_job_with_this_id_counts() -> None:
    waiting = record(2, array="ArrayJobId=2 ArrayTaskId=1-3%1 ArrayTaskThrottle=1 ", state="PENDING", reason="JobArrayTaskLimit")
    running = record(24, array="ArrayJobId=2 ArrayTaskId=0 ArrayTaskThrottle=1 ")
    for number, state in (("2", "PENDING"), ("24", "RUNNING")):
        job = jobs.read_job(number, waiting + running)
        assert job is not None
        assert job["state"] == state


def test_a_job_without_a_time_limit_has_no_time_left() -> None:
    job = jobs.read_job("1", record(1, limit="UNLIMITED"))
    assert job is not None
    assert (job["limit_s"], job["time_left_s"], job["run_s"]) == (None, None, 2.0)


def test_an_unknown_job_is_gone_and_silence_is_not() -> None:
    gone = jobs.read_job("9", "", "slurm_load_jobs error: Invalid job id specified")
    assert gone is not None
    assert gone["state"] == "GONE"
    assert jobs.read_job("9", "", "slurm_load_jobs error: Unable to contact slurm controller (connect failure)") is None


@pytest.mark.parametrize(
    ("written", "s"), [("1-02:03:04", 93784.0), ("00:10:00", 600.0), ("UNLIMITED", None), ("INVALID", None), (None, None)]
)
def test_durations(written: str | None, s: float | None) -> None:
    assert jobs.seconds(written) == s


@pytest.mark.parametrize(
    ("word", "down"),
    [
        ("MIXED", False),
        ("IDLE+DRAIN", False),
        ("DOWN+NOT_RESPONDING", True),
        ("MIXED+NOT_RESPONDING", True),
        ("DOWN*", True),
        ("DOWN", True),
    ],
)
def test_nodes_that_are_down(word: str, down: bool) -> None:
    said = f"NodeName=o1 Arch=x86_64\n   State={word} ThreadsPerCore=1\n   SlurmdStartTime=2026-11-24T15:44:28\n   Reason=Not responding"
    assert jobs.read_node_lost(said, time.time()) is down
    assert jobs.read_node_lost(said, 0.0), "it has come back since"
    assert jobs.read_node_lost(said.replace("2026-11-24T15:44:28", "Unknown"), 0.0) is down


def test_an_unknown_node_is_neither_lost_nor_not() -> None:
    assert jobs.read_node_lost("", 0.0) is None


def scontrol(directory: Path, script: str) -> str:
    """Write a command of this name and return a PATH that has it."""
    command = directory / "scontrol"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    return f"{directory}:{os.environ['PATH']}"


def test_slurm_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "answer").write_text(record(7))
    monkeypatch.setenv("PATH", scontrol(tmp_path, f'[ "$*" = "show job 7" ] && cat {tmp_path}/answer'))
    assert jobs.state("7") == "RUNNING"
    monkeypatch.setenv("PATH", scontrol(tmp_path, 'echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1'))
    assert jobs.state("7") == "GONE"
    monkeypatch.setenv("PATH", scontrol(tmp_path, "exec sleep 60"))
    monkeypatch.setattr(jobs, "ANSWER_S", 0.2)
    assert jobs.state("7") is None
    monkeypatch.setenv("PATH", "/nonexistent")
    assert jobs.state("7") is None
    assert jobs.node_lost("o1", 0.0) is None


@pytest.mark.parametrize(
    ("printed", "joules"), [("1800\n1790\n12\n", 1800.0), ("0\n0\n", None), ("\n", None), ("", None), ("1.8K\n", None)]
)
def test_joules_of_a_job_are_none_where_no_plugin_counts_them(printed: str, joules: float | None) -> None:
    assert jobs.read_consumed_energy_j(printed) == joules


def test_accounting_that_cannot_be_asked_has_no_joules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert jobs.consumed_energy_j("17") is None
