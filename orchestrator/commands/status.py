"""What a study's directory says, without Ray: its trials done, running, owed, failed, and who runs it where.

Owns the counts and all wording. Does not own the ledger, nor the facts on drivers, nodes and jobs.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from hadamard.orchestrator.commands import status_facts
from hadamard.orchestrator.energy.attribution import study_energy
from hadamard.orchestrator.execution.progress import best_row, best_text
from hadamard.orchestrator.formats import duration
from hadamard.orchestrator.ledger import claim
from hadamard.orchestrator.ledger.ledger import Ledger, TrialRecord
from hadamard.orchestrator.ledger.reopen import reopen
from hadamard.orchestrator.planning import feedback
from hadamard.orchestrator.results.tables import costs, failure_lines
from hadamard.slurm import jobs, tunnel

STATES = ("done", "running", "owed", "failed")


def show_status(directory: Path, as_json: bool) -> str:
    """Return the state of a study's directory as text or JSON; of one that was only submitted, its jobs."""
    if not Ledger(directory).study_file.exists() and (waiting := status_facts.slurm_jobs(directory, jobs.details)):
        state = {"study": None, "directory": str(directory), "driver_running": False, "jobs": waiting}
        return json.dumps(state, indent=1) + "\n" if as_json else _not_begun(state)
    ledger, plan = reopen(directory)
    records = ledger.records(plan.trials)
    state = {"study": plan.study.study, **_state(ledger, records)}
    return json.dumps(state, indent=1) + "\n" if as_json else _as_text(state, records)


def _state(ledger: Ledger, records: Sequence[TrialRecord]) -> dict[str, Any]:
    """Return driver, jobs, nodes, counts, failures, costs and the best row by validation accuracy."""
    page = ledger.report / "report.html"
    energy = study_energy(ledger.directory, records)
    spent = [costs(record, energy) for record in records if record.status == "done"]
    energies = [cost["energy_j"] for cost in spent]
    owner, last = claim.living(ledger.directory), claim.current(ledger.directory)
    cluster = status_facts.running_cluster(owner)
    return {
        "directory": str(ledger.directory),
        "driver_running": owner is not None,
        "owner": status_facts.owner_facts(owner),
        "stopped_by": last.cause if last is not None and owner is None else None,
        "jobs": status_facts.slurm_jobs(ledger.directory, jobs.details),
        "dashboard": asdict(way) if (way := cluster and tunnel.tunnel_here(cluster)) else None,
        "nodes": status_facts.by_node(records),
        "left_s": status_facts.seconds_left(records, owner, time.time() * 1000),
        "trials": {"total": len(records), **{state: sum(record.status == state for record in records) for state in STATES}},
        "arms": {arm: dict(counts) for arm, counts in _by_arm(records).items()},
        "failures": [{"key": one.trial.key, "cause": one.cause, "message": one.message} for one in records if one.status == "failed"],
        "plans": [asdict(one) for one in feedback.comparisons(ledger.directory)],
        "train_s": sum(cost["train_s"] or 0.0 for cost in spent) if spent else None,
        "energy_j": sum(energies) if energies and None not in energies else None,
        "best_row": best_row((one.trial, one.responses["validation_accuracy"]) for one in records if one.status == "done"),
        "report": str(page) if page.exists() else None,
    }


def _by_arm(records: Sequence[TrialRecord]) -> dict[str, Counter[str]]:
    arms: dict[str, Counter[str]] = {}
    for record in records:
        arms.setdefault(record.trial.arm, Counter())[record.status] += 1
    return arms


def _as_text(state: dict[str, Any], records: Sequence[TrialRecord]) -> str:
    trials = state["trials"]
    lines = [
        f"{state['study']} in {state['directory']}: {_driver(state)}",
        " · ".join(f"{name} {trials[name]}" for name in STATES) + f" of {trials['total']} trials",
    ]
    if state["left_s"] is not None:
        lines.append(f"left      about {duration(state['left_s'])}, at the rate so far")
    lines += [f"node      {host}: running {counts['running']}, done {counts['done']}" for host, counts in state["nodes"].items()]
    lines += [_job(job) for job in state["jobs"]]
    if state["dashboard"]:
        lines += tunnel.in_words(tunnel.Tunnel(**state["dashboard"]))
    for arm, counts in sorted(state["arms"].items()):
        lines.append(f"  {arm:<10} " + ", ".join(f"{status} {count}" for status, count in sorted(counts.items())))
    lines += failure_lines([record for record in records if record.status == "failed"])
    if best := state["best_row"]:
        lines.append(f"best row  {best_text(best)}")
    if state["train_s"] is not None:
        energy = "not measured" if state["energy_j"] is None else f"{state['energy_j']:.0f} J"
        lines.append(f"training  {state['train_s']:.0f} s in all; energy {energy}")
    if state["report"]:
        lines.append(f"report    {state['report']}")
    return "\n".join(lines) + "\n"


def _not_begun(state: dict[str, Any]) -> str:
    return "\n".join([f"{state['directory']}: submitted, and not begun yet", *map(_job, state["jobs"])]) + "\n"


def _driver(state: dict[str, Any]) -> str:
    owner = state["owner"]
    if owner is None:
        return f"not running; its last driver was stopped ({state['stopped_by']})" if state["stopped_by"] else "not running"
    job = f" of job {owner['job']}" if owner["job"] else ""
    since = datetime.fromtimestamp(owner["started_ms"] / 1000).isoformat(" ", "minutes")
    doing = f"stopping ({owner['cause']})" if owner["state"] == "stopping" else "running"
    return f"{doing} on {owner['host']}, process {owner['pid']}{job}, since {since}"


def _job(job: dict[str, Any]) -> str:
    roles = {"lead": "leads", "join": "lends nodes", None: "has not begun"}
    if job["state"] is None:
        return f"job       {job['job']}: {roles[job['role']]}; Slurm cannot be asked here for its state"
    left = f", {duration(job['time_left_s'])} left" if job["time_left_s"] is not None else ""
    where = f" on {job['nodes']}" if job["nodes"] else ""
    why = f" ({job['reason']})" if job["reason"] else ""
    return f"job       {job['job']}: {job['state'].lower()}{why}{where}, {roles[job['role']]}{left}"
