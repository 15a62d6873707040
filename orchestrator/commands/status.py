"""`hadamard status`: the trials of a study by state, its driver, nodes, jobs, failures and costs, read from its directory without Ray."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from hadamard.orchestrator.commands import status_facts
from hadamard.orchestrator.commands.render import Result, pairs, render
from hadamard.orchestrator.commands.status_facts import DriverFacts, JobFacts, NodeTrials
from hadamard.orchestrator.energy.attribution import study_energy
from hadamard.orchestrator.execution.progress import best_row, best_text
from hadamard.orchestrator.formats import duration
from hadamard.orchestrator.ledger import claim, owner_record
from hadamard.orchestrator.ledger.ledger import STATUSES, Ledger, TrialRecord, count_by_status
from hadamard.orchestrator.ledger.notices import Notice, notices
from hadamard.orchestrator.ledger.reopen import reopen
from hadamard.orchestrator.planning import feedback
from hadamard.orchestrator.results.selection import choices
from hadamard.orchestrator.results.tables import Failure, costs, failure_lines, failures
from hadamard.slurm import jobs, tunnel

ROLES = {"lead": "leads", "join": "lends nodes", None: "has not begun"}


class SubmittedStudy(Result):
    """A study that was submitted and has not begun: its jobs are all that is known."""

    study: None = None
    directory: str
    driver_running: bool = False
    jobs: tuple[JobFacts, ...]


class StudyStatus(Result):
    """The state of a study."""

    study: str
    directory: str
    driver_running: bool
    owner: DriverFacts | None
    """The driver that has the study now."""
    stopped_by: str | None
    """Why the last driver stopped, where none has the study."""
    notices: tuple[Notice, ...]
    """What does not work at the moment: the budget, a meter, MLflow."""
    jobs: tuple[JobFacts, ...]
    dashboard: tunnel.Tunnel | None
    nodes: dict[str, NodeTrials]
    left_s: float | None
    """Seconds that the owed trials will take at the rate so far."""
    trials: dict[str, int]
    """Number by state, and in `total`."""
    arms: dict[str, dict[str, int]]
    """Number of trials by arm and state."""
    failures: tuple[Failure, ...]
    plans: tuple[feedback.Comparison, ...]
    """Each run beside its plan."""
    train_s: float | None
    """Seconds of training, all finished trials together."""
    energy_j: float | None
    """Joules of all finished trials together; None unless measured for all of them."""
    best_row: dict[str, Any] | None
    """The row with the highest mean validation accuracy, that accuracy and the number of its splits."""
    report: str | None


def show_status(directory: Path, as_json: bool) -> str:
    """Return the state of a study's directory as text or JSON; of one that was only submitted, its jobs."""
    if not Ledger(directory).study_file.exists() and (waiting := status_facts.slurm_jobs(directory, jobs.details)):
        return render(SubmittedStudy(directory=str(directory), jobs=waiting), _submitted_lines, as_json)
    return render(study_status(directory), _status_lines, as_json)


def study_status(directory: Path) -> StudyStatus:
    """Return the state of the study in a directory."""
    ledger, plan = reopen(directory)
    records = ledger.records(plan.trials)
    energy = study_energy(ledger.directory, records)
    finished = [costs(record, energy) for record in records if record.status == "done"]
    energies = [cost["energy_j"] for cost in finished]
    owner, last = claim.living(ledger.directory), owner_record.current(ledger.directory)
    cluster, page = status_facts.running_cluster(owner), ledger.report / "report.html"
    return StudyStatus(
        study=plan.study.study,
        directory=str(ledger.directory),
        driver_running=owner is not None,
        owner=status_facts.driver_facts(owner),
        stopped_by=last.cause if last is not None and owner is None else None,
        notices=tuple(notices(ledger.directory)),
        jobs=status_facts.slurm_jobs(ledger.directory, jobs.details),
        dashboard=tunnel.tunnel_here(cluster) if cluster else None,
        nodes=status_facts.by_node(records),
        left_s=status_facts.seconds_left(records, owner, time.time() * 1000),
        trials=count_by_status(records),
        arms=_by_arm(records),
        failures=failures(records),
        plans=tuple(feedback.comparisons(ledger.directory)),
        train_s=sum(cost["train_s"] or 0.0 for cost in finished) if finished else None,
        energy_j=sum(energies) if energies and None not in energies else None,
        best_row=best_row(
            (choice.record.trial, choice.record.responses["validation_accuracy"]) for choice in choices(records) if choice.status == "done"
        ),
        report=str(page) if page.exists() else None,
    )


def _by_arm(records: Sequence[TrialRecord]) -> dict[str, dict[str, int]]:
    arms: dict[str, Counter[str]] = {}
    for record in records:
        arms.setdefault(record.trial.arm, Counter())[record.status] += 1
    return {arm: dict(counts) for arm, counts in arms.items()}


def _submitted_lines(status: SubmittedStudy) -> Iterator[str]:
    yield f"{status.directory}: submitted, and not begun yet"
    yield from pairs(map(_job, status.jobs))


def _status_lines(status: StudyStatus) -> Iterator[str]:
    yield f"{status.study} in {status.directory}: {_driver(status)}"
    yield " · ".join(f"{state} {status.trials[state]}" for state in STATUSES) + f" of {status.trials['total']} trials"
    if status.left_s is not None:
        yield from pairs([("left", f"about {duration(status.left_s)}, at the rate so far")])
    yield from pairs(("notice", f"{notice.text}, since {_time(notice.since_s)}") for notice in status.notices)
    yield from pairs(("node", f"{host}: running {trials.running}, done {trials.done}") for host, trials in status.nodes.items())
    yield from pairs(map(_job, status.jobs))
    if status.dashboard:
        yield from tunnel.in_words(status.dashboard)
    for arm, counts in sorted(status.arms.items()):
        yield f"  {arm:<10} " + ", ".join(f"{state} {number}" for state, number in sorted(counts.items()))
    yield from failure_lines(status.failures)
    yield from pairs(_results(status))


def _results(status: StudyStatus) -> Iterator[tuple[str, str]]:
    if status.best_row:
        yield "best row", best_text(status.best_row)
    if status.train_s is not None:
        energy = "not measured" if status.energy_j is None else f"{status.energy_j:.0f} J"
        yield "training", f"{status.train_s:.0f} s in all; energy {energy}"
    if status.report:
        yield "report", status.report


def _driver(status: StudyStatus) -> str:
    owner = status.owner
    if owner is None:
        return f"not running; its last driver was stopped ({status.stopped_by})" if status.stopped_by else "not running"
    job = f" of job {owner.job}" if owner.job else ""
    state = f"stopping ({owner.cause})" if owner.state == "stopping" else "running"
    return f"{state} on {owner.host}, process {owner.pid}{job}, since {_time(owner.started_ms / 1000)}"


def _time(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s).isoformat(" ", "minutes")


def _job(job: JobFacts) -> tuple[str, str]:
    if job.state is None:
        return "job", f"{job.job}: {ROLES[job.role]}; Slurm cannot be asked here for its state"
    left = f", {duration(job.time_left_s)} left" if job.time_left_s is not None else ""
    nodes = f" on {job.nodes}" if job.nodes else ""
    reason = f" ({job.reason})" if job.reason else ""
    return "job", f"{job.job}: {job.state.lower()}{reason}{nodes}, {ROLES[job.role]}{left}"
