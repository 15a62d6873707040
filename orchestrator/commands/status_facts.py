"""Facts for `hadamard status`: the driver of a study, its nodes, the time left, and its Slurm jobs, from files and Slurm, without Ray."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from hadamard.orchestrator.commands.render import Result
from hadamard.orchestrator.ledger.ledger import TrialRecord
from hadamard.orchestrator.ledger.owner_record import OwnerRecord
from hadamard.slurm import jobs
from hadamard.slurm.cluster_file import Cluster

MOST_JOBS = 20
"""Of a study's jobs, only this many of the last are looked up in Slurm; requeued and chained jobs may have left many behind."""
JOB = re.compile(r"(?:slurm-)?(\d+)(?:-(\d+))?(?:\.\w+)?")
"""A job's directory JOB-RESTART, its log slurm-JOB.log, or what else is named after it."""
Role = Literal["lead", "join"] | None
"""`lead` has the head of Ray, `join` lends its nodes; None is not known yet."""


class DriverFacts(Result):
    """The driver that has a study."""

    host: str
    pid: int
    job: str | None
    restart: int
    state: str
    cause: str | None
    started_ms: int
    term: int


class JobFacts(Result):
    """A Slurm job of a study; state, reason, nodes and time left are None where Slurm does not tell them."""

    job: str
    restart: int | None
    role: Role
    state: str | None = None
    reason: str | None = None
    nodes: str | None = None
    time_left_s: float | None = None


class NodeTrials(Result):
    """Number of trials on a node."""

    running: int
    done: int


def driver_facts(owner: OwnerRecord | None) -> DriverFacts | None:
    """Return what status shows of a driver."""
    return None if owner is None else DriverFacts(**{name: getattr(owner, name) for name in DriverFacts.model_fields})


def by_node(records: Sequence[TrialRecord]) -> dict[str, NodeTrials]:
    """Return how many trials run on each node, and how many were finished there."""
    statuses: dict[str, list[str]] = {}
    for record in records:
        host = next((event.get("host") for event in reversed(record.events) if event["event"] == "started"), None)
        if host is not None:
            statuses.setdefault(host, []).append(record.status)
    return {host: NodeTrials(running=here.count("running"), done=here.count("done")) for host, here in sorted(statuses.items())}


def seconds_left(records: Sequence[TrialRecord], owner: OwnerRecord | None, now_ms: float) -> float | None:
    """Return the seconds that the owed trials will take at the rate since the driver started; None if it stops or has finished none."""
    if owner is None or owner.state != "running":
        return None
    finished = sum(event["event"] == "done" and event["time_ms"] >= owner.started_ms for record in records for event in record.events)
    owed = sum(record.status in ("running", "owed") for record in records)
    elapsed_s = (now_ms - owner.started_ms) / 1000
    return elapsed_s / finished * owed if finished and elapsed_s > 0 else None


def slurm_jobs(directory: Path, details: Callable[[str], jobs.Job | None]) -> tuple[JobFacts, ...]:
    """Return the study's jobs that Slurm still knows, the last one first; where Slurm cannot be asked, the last job alone.

    Args:
        directory: The study's.
        details: Asks Slurm for a job.
    """
    known: list[JobFacts] = []
    for job, restart in sorted(_restarts(directory / "jobs").items(), key=lambda item: -int(item[0]))[:MOST_JOBS]:
        now = details(job)
        role = None if restart is None else _role(directory / "jobs" / f"{job}-{restart}")
        facts = JobFacts(job=job, restart=restart, role=role)
        if now is None:
            return (*known, facts)
        if now["state"] != jobs.GONE:
            known.append(facts.model_copy(update={name: now[name] for name in ("state", "reason", "nodes", "time_left_s")}))
    return tuple(known)


def running_cluster(owner: OwnerRecord | None) -> Cluster | None:
    """Return the Ray that a driver leads; None if it started its own, or its file cannot be read."""
    try:
        return Cluster.read(Path(owner.cluster)) if owner is not None and owner.cluster else None
    except (OSError, ValueError, TypeError):
        return None


def _restarts(directory: Path) -> Mapping[str, int | None]:
    """Return the ids of the jobs that left something here, and the last start of each that has a directory."""
    last: dict[str, int | None] = {}
    for path in directory.iterdir() if directory.is_dir() else ():
        if named := JOB.fullmatch(path.name):
            job, restart = named[1], int(named[2]) if named[2] else None
            earlier = last.get(job)
            last[job] = earlier if restart is None or (earlier is not None and earlier > restart) else restart
    return last


def _role(directory: Path) -> Role:
    if (directory / "cluster.json").exists():
        return "lead"
    return "join" if any(directory.glob("nodes/*.ready")) else None
