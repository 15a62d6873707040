"""Who runs a study now, on which nodes, for how long still, and which Slurm jobs it has: from its directory and Slurm's word, without Ray.

Owns these facts as plain values for `hadamard status`. Does not own their wording, the claim on a study, nor the trials' states.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hadamard.orchestrator.ledger.claim import OwnerRecord
from hadamard.orchestrator.ledger.ledger import TrialRecord
from hadamard.slurm import jobs
from hadamard.slurm.cluster_file import Cluster

MOST_ASKED = 20
"""Slurm is asked for so many of a study's last jobs; requeued and chained jobs may have left many behind."""
JOB = re.compile(r"(?:slurm-)?(\d+)(?:-(\d+))?(?:\.\w+)?")
"""A job's directory JOB-RESTART, its log slurm-JOB.log, or what else is named after it."""


def owner_facts(owner: OwnerRecord | None) -> dict[str, Any] | None:
    """Return what is worth saying of a driver."""
    if owner is None:
        return None
    return {name: getattr(owner, name) for name in ("host", "pid", "job", "restart", "state", "cause", "started_ms", "generation")}


def by_node(records: Sequence[TrialRecord]) -> dict[str, dict[str, int]]:
    """Return how many trials run on each node, and how many were finished there."""
    nodes: dict[str, dict[str, int]] = {}
    for record in records:
        host = next((event.get("host") for event in reversed(record.events) if event["event"] == "started"), None)
        if host is not None:
            counts = nodes.setdefault(host, {"running": 0, "done": 0})
            if record.status in counts:
                counts[record.status] += 1
    return dict(sorted(nodes.items()))


def seconds_left(records: Sequence[TrialRecord], owner: OwnerRecord | None, now_ms: float) -> float | None:
    """Return the seconds that the owed trials will take at the rate since the driver started; None if it stops or has finished none."""
    if owner is None or owner.state != "running":
        return None
    finished = sum(event["event"] == "done" and event["time_ms"] >= owner.started_ms for record in records for event in record.events)
    owed = sum(record.status in ("running", "owed") for record in records)
    elapsed_s = (now_ms - owner.started_ms) / 1000
    return elapsed_s / finished * owed if finished and elapsed_s > 0 else None


def slurm_jobs(directory: Path, details: Callable[[str], jobs.Job | None]) -> list[dict[str, Any]]:
    """Return the study's jobs that Slurm still knows, the last one first; where Slurm cannot be asked, the last job alone.

    A job's role is `lead` (Ray's head is in it), `join` (it lends its nodes) or None (not known yet).

    Args:
        directory: The study's.
        details: Asks Slurm for a job.
    """
    found: list[dict[str, Any]] = []
    for job, restart in sorted(_restarts(directory / "jobs").items(), key=lambda item: -int(item[0]))[:MOST_ASKED]:
        known = details(job)
        facts = {"job": job, "restart": restart, "role": None if restart is None else _role(directory / "jobs" / f"{job}-{restart}")}
        if known is None:
            return [*found, {**facts, "state": None, "reason": None, "nodes": None, "time_left_s": None}]
        if known["state"] != jobs.GONE:
            found.append({**facts, **{name: known[name] for name in ("state", "reason", "nodes", "time_left_s")}})
    return found


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


def _role(directory: Path) -> str | None:
    if (directory / "cluster.json").exists():
        return "lead"
    return "join" if any(directory.glob("nodes/*.ready")) else None
