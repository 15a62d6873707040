"""What a study's directory says of its trials, without Ray: done, running, owed, failed.

Owns the counts and their wording. Does not own the ledger.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from orchestrator.results import costs, first_line
from orchestrator.run import opened


def show_status(directory: Path, as_json: bool) -> str:
    """Return the state of a study's directory as text or JSON."""
    state = status_of(directory)
    return json.dumps(state, indent=1) + "\n" if as_json else _as_text(state)


def status_of(directory: Path) -> dict[str, Any]:
    """Return counts, failures, costs and the best trial by validation accuracy."""
    ledger, plan = opened(directory)
    records = ledger.records(plan.trials)
    done = [record for record in records if record.result is not None]
    energies = [costs(record)["energy_j"] for record in done]
    best = max(done, key=lambda record: record.result["responses"]["validation_accuracy"], default=None) if done else None  # type: ignore[index]
    seconds = [costs(record)["train_s"] or 0.0 for record in done]
    return {
        "study": plan.study.study,
        "directory": str(directory),
        "driver_running": ledger.driven(),
        "trials": {
            "total": len(records),
            **{state: sum(record.status == state for record in records) for state in ("done", "running", "owed", "failed")},
        },
        "arms": {arm: dict(count) for arm, count in _by_arm(records).items()},
        "failures": [
            {"key": record.trial.key, "cause": record.cause, "message": record.message} for record in records if record.status == "failed"
        ],
        "train_s": sum(seconds) if seconds else None,
        "energy_j": sum(energies) if energies and None not in energies else None,
        "best_validation": None if best is None else {"key": best.trial.key, "accuracy": best.result["responses"]["validation_accuracy"]},  # type: ignore[index]
        "report": str(ledger.report / "report.html") if (ledger.report / "report.html").exists() else None,
    }


def _by_arm(records: list[Any]) -> dict[str, Counter[str]]:
    arms: dict[str, Counter[str]] = {}
    for record in records:
        arms.setdefault(record.trial.arm, Counter())[record.status] += 1
    return arms


def _as_text(state: dict[str, Any]) -> str:
    trials = state["trials"]
    lines = [
        f"{state['study']} in {state['directory']}: {'running' if state['driver_running'] else 'not running'}",
        " · ".join(f"{name} {trials[name]}" for name in ("done", "running", "owed", "failed")) + f" of {trials['total']} trials",
    ]
    lines += [
        f"  {arm:<10} " + ", ".join(f"{status} {count}" for status, count in sorted(counts.items()))
        for arm, counts in sorted(state["arms"].items())
    ]
    lines += [f"failed    {one['key']}: {one['cause']}: {first_line(one['message'])}" for one in state["failures"]]
    if state["best_validation"]:
        lines.append(f"best      validation accuracy {state['best_validation']['accuracy']:.3f} ({state['best_validation']['key']})")
    if state["train_s"] is not None:
        energy = "not measured" if state["energy_j"] is None else f"{state['energy_j']:.0f} J"
        lines.append(f"training  {state['train_s']:.0f} s in all; energy {energy}")
    if state["report"]:
        lines.append(f"report    {state['report']}")
    return "\n".join(lines) + "\n"
