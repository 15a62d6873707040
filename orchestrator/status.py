"""What a study's directory says of its trials, without Ray: done, running, owed, failed.

Owns the counts and their wording. Does not own the ledger.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.ledger import Ledger, TrialRecord
from orchestrator.plan import reopen
from orchestrator.progress import best_row, best_text
from orchestrator.results import costs, failure_lines

STATES = ("done", "running", "owed", "failed")


def show_status(directory: Path, as_json: bool) -> str:
    """Return the state of a study's directory as text or JSON."""
    ledger, plan = reopen(directory)
    records = ledger.records(plan.trials)
    state = {"study": plan.study.study, **_state(ledger, records)}
    return json.dumps(state, indent=1) + "\n" if as_json else _as_text(state, records)


def _state(ledger: Ledger, records: Sequence[TrialRecord]) -> dict[str, Any]:
    """Return counts, failures, costs and the best row by validation accuracy."""
    page = ledger.report / "report.html"
    spent = [costs(record) for record in records if record.status == "done"]
    energies = [cost["energy_j"] for cost in spent]
    return {
        "directory": str(ledger.directory),
        "driver_running": ledger.driven(),
        "trials": {"total": len(records), **{state: sum(record.status == state for record in records) for state in STATES}},
        "arms": {arm: dict(counts) for arm, counts in _by_arm(records).items()},
        "failures": [{"key": one.trial.key, "cause": one.cause, "message": one.message} for one in records if one.status == "failed"],
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
        f"{state['study']} in {state['directory']}: {'running' if state['driver_running'] else 'not running'}",
        " · ".join(f"{name} {trials[name]}" for name in STATES) + f" of {trials['total']} trials",
    ]
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
