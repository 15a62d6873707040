"""`hadamard status` from a login node: who runs a study, where, how long still, its jobs, and all of it without Ray."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hadamard.model.files.trial_files import TrialFiles
from hadamard.orchestrator.commands import status_facts
from hadamard.orchestrator.commands.status import show_status
from hadamard.orchestrator.commands.status_facts import NodeTrials
from hadamard.orchestrator.ledger import claim
from hadamard.orchestrator.ledger.ledger import Ledger
from hadamard.orchestrator.ledger.notices import post
from hadamard.orchestrator.ledger.owner_record import OwnerRecord
from hadamard.orchestrator.study.expansion import Plan
from hadamard.slurm import jobs
from hadamard.slurm.cluster_file import Cluster
from hadamard.slurm.jobs import Job
from tests.support.studies import entered, read

START_MS = 1_000_000


def owner(**changes: Any) -> OwnerRecord:
    said: dict[str, Any] = {
        "term": 3,
        "host": "n1",
        "pid": 12,
        "process_started": 1,
        "machine": "elsewhere",
        "job": "42",
        "restart": 1,
        "cluster": None,
        "state": "running",
        "cause": None,
        "started_ms": START_MS,
    }
    return OwnerRecord(**{**said, **changes})


@pytest.fixture
def study(tmp_path: Path) -> tuple[Ledger, Plan]:
    plan = read(tmp_path)
    return entered(tmp_path / "run", plan), plan


def journal(files: TrialFiles, *events: dict[str, Any]) -> None:
    files.journal.write_text("".join(json.dumps({"time_ms": START_MS, **event}) + "\n" for event in events))


def finish(files: TrialFiles, host: str, time_ms: int) -> None:
    journal(files, {"event": "started", "host": host}, {"event": "done", "seconds": 1.0, "time_ms": time_ms})
    files.result.write_text(json.dumps({"responses": {"validation_accuracy": 0.5, "test_accuracy": 0.5}, "parameters": 1}))


def job(state: str, **said: Any) -> Job:
    nothing: Job = {
        "state": state,
        "reason": None,
        "nodes": None,
        "restarts": None,
        "run_s": None,
        "limit_s": None,
        "time_left_s": None,
        "exit_code": None,
    }
    return {**nothing, **said}  # type: ignore[typeddict-item]


def test_time_left_is_what_is_owed_at_the_rate_since_the_driver_started(study: tuple[Ledger, Plan]) -> None:
    ledger, plan = study
    finish(ledger.files(plan.trials[0]), "n1", START_MS - 1)  # by the driver before
    for trial in plan.trials[1:3]:
        finish(ledger.files(trial), "n2", START_MS + 5_000)
    records = ledger.records(plan.trials)
    assert status_facts.seconds_left(records, owner(), START_MS + 10_000) == pytest.approx(10 / 2 * 7)
    assert status_facts.seconds_left(records, None, START_MS + 10_000) is None
    assert status_facts.seconds_left(records, owner(state="stopping"), START_MS + 10_000) is None
    assert status_facts.seconds_left(records, owner(started_ms=START_MS + 6_000), START_MS + 10_000) is None, "it has finished none yet"


def test_trials_by_node_count_where_they_were_begun_last(study: tuple[Ledger, Plan]) -> None:
    ledger, plan = study
    finish(ledger.files(plan.trials[0]), "n2", START_MS)
    moved = {"event": "failed", "cause": "killed"}
    journal(ledger.files(plan.trials[1]), {"event": "started", "host": "n3"}, moved, {"event": "started", "host": "n1"})
    journal(ledger.files(plan.trials[2]), {"event": "started", "host": "n3"}, moved)
    done, running, *others = ledger.records(plan.trials)
    assert status_facts.by_node([done, replace(running, status="running"), *others]) == {
        "n1": NodeTrials(running=1, done=0),
        "n2": NodeTrials(running=0, done=1),
        "n3": NodeTrials(running=0, done=0),
    }


@pytest.fixture
def jobs_directory(tmp_path: Path) -> Path:
    for name in ("42-0", "42-1", "7-0", "50-0", "60-0"):
        (tmp_path / "jobs" / name / "nodes").mkdir(parents=True)
    for name in ("slurm-42.log", "slurm-99.log", "notes.txt", "42-1/cluster.json", "7-0/cluster.json", "50-0/nodes/n3.ready"):
        (tmp_path / "jobs" / name).touch()
    return tmp_path


def test_jobs_have_the_role_that_their_last_start_shows(jobs_directory: Path) -> None:
    known = {
        "99": job("PENDING", reason="Resources"),
        "60": job("RUNNING", nodes="n4", time_left_s=9.0),
        "50": job("RUNNING", nodes="n3", time_left_s=60.0),
        "42": job("COMPLETING", nodes="n[1-2]"),
        "7": job("GONE"),
    }
    facts = status_facts.slurm_jobs(jobs_directory, lambda job_id: known[job_id])
    assert [(job.job, job.restart, job.role, job.state) for job in facts] == [
        ("99", None, None, "PENDING"),
        ("60", 0, None, "RUNNING"),
        ("50", 0, "join", "RUNNING"),
        ("42", 1, "lead", "COMPLETING"),
    ]


def test_where_slurm_cannot_be_asked_the_last_job_is_named(jobs_directory: Path) -> None:
    asked: list[str] = []
    (last,) = status_facts.slurm_jobs(jobs_directory, lambda job_id: asked.append(job_id))
    assert (last.job, last.state) == ("99", None)
    assert asked == ["99"], "each question may take seconds"
    assert status_facts.slurm_jobs(jobs_directory / "none", lambda job_id: None) == ()


def test_status_tells_driver_jobs_nodes_and_dashboard(study: tuple[Ledger, Plan], monkeypatch: pytest.MonkeyPatch) -> None:
    ledger, plan = study
    place = ledger.directory / "jobs" / "42-1"
    place.mkdir(parents=True)
    Cluster("42", 1, "10.0.0.1:23100", "n1", 23105, str(place / "token")).write(place / "cluster.json")
    finish(ledger.files(plan.trials[0]), "n2", START_MS + 1)
    stopping = owner(state="stopping", cause="timeout", cluster=str(place / "cluster.json"))
    monkeypatch.setattr(claim, "living", lambda directory: stopping)
    monkeypatch.setattr(jobs, "details", {"42": job("RUNNING", nodes="n[1-2]", time_left_s=100.0)}.__getitem__)
    text = show_status(ledger.directory, as_json=False)
    assert "stopping (timeout) on n1, process 12 of job 42, since " in text
    assert "job       42: running on n[1-2], leads, 100 s left" in text
    assert "node      n2: running 0, done 1" in text
    assert "-L 8265:localhost:23105 " in text
    assert f"cat {place / 'token'}" in text
    state = json.loads(show_status(ledger.directory, as_json=True))
    assert state["owner"]["job"] == "42"
    assert state["dashboard"]["url"] == "http://localhost:8265"
    assert state["left_s"] is None
    assert state["jobs"][0]["time_left_s"] == 100.0


def test_a_study_that_nobody_runs(study: tuple[Ledger, Plan]) -> None:
    ledger, _ = study
    state = json.loads(show_status(ledger.directory, as_json=True))
    assert state["owner"] is state["dashboard"] is state["left_s"] is None
    assert state["jobs"] == []
    assert ": not running" in show_status(ledger.directory, as_json=False)


def test_what_does_not_work_is_told_as_text_and_json(study: tuple[Ledger, Plan]) -> None:
    ledger, _ = study
    assert "notice" not in show_status(ledger.directory, as_json=False)
    post(ledger.directory, "budget", "the budget is not enforced: Ray is away")
    assert "notice    the budget is not enforced: Ray is away, since " in show_status(ledger.directory, as_json=False)
    (notice,) = json.loads(show_status(ledger.directory, as_json=True))["notices"]
    assert (notice["name"], notice["text"]) == ("budget", "the budget is not enforced: Ray is away")


def test_status_needs_neither_ray_nor_torch_nor_mlflow(study: tuple[Ledger, Plan]) -> None:
    code = (
        "import sys; from pathlib import Path; from hadamard.orchestrator.commands.status import show_status\n"
        "show_status(Path(sys.argv[1]), False);"
        "print([name for name in ('ray', 'torch', 'mlflow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(study[0].directory)], capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_a_study_that_waits_in_the_queue_shows_its_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "42.sbatch").write_text("sbatch\n")
    monkeypatch.setattr(jobs, "details", lambda job_id: job("PENDING", reason="Priority", nodes=None, time_left_s=None))
    assert (
        show_status(tmp_path, as_json=False)
        == f"{tmp_path}: submitted, and not begun yet\njob       42: pending (Priority), has not begun\n"
    )
    assert json.loads(show_status(tmp_path, as_json=True))["jobs"][0]["state"] == "PENDING"
