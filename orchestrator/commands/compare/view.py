"""Two studies side by side as people and programs read them: text with tables, or JSON.

Owns the wording and layout of `hadamard compare`. Does not own any of the numbers.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hadamard.model.errors import UserError
from hadamard.orchestrator.analysis.inference import Uncertainty
from hadamard.orchestrator.commands.compare.arms import Arm, ArmPair
from hadamard.orchestrator.commands.compare.effects import EffectPair
from hadamard.orchestrator.commands.compare.side import Cost, Side
from hadamard.orchestrator.commands.compare.sides import SideBySide, side_by_side
from hadamard.orchestrator.commands.plan import WIDE
from hadamard.orchestrator.formats import NONE, between, count, duration, joules, percent, signed
from hadamard.orchestrator.ledger.reopen import reopen

STATES = ("done", "running", "owed", "failed")


def show_comparison(first: Path, second: Path, as_json: bool) -> str:
    """Return how two studies' directories compare, as text or JSON.

    Raises:
        UserError: One is no study's directory, both are the same, nothing has finished, or they have nothing in common.
    """
    if first.resolve() == second.resolve():
        raise UserError(f"{first} and {second} are the same directory: name two studies, such as runs/one runs/two")
    found = side_by_side(_open(first), _open(second))
    return json.dumps(_as_json(found), indent=1) + "\n" if as_json else _as_text(found)


def _open(directory: Path) -> Side:
    ledger, plan = reopen(directory)
    return Side(str(directory), plan, ledger.records(plan.trials))


def _as_text(found: SideBySide) -> str:
    buffer = io.StringIO()
    console = Console(file=buffer, width=WIDE, highlight=False, markup=False)
    for heading, side in (("first", found.first), ("second", found.second)):
        console.print(f"{heading:<8}{_size_in_words(side)}")
    if found.shared_trials:
        console.print(f"{'both':<8}{count(found.shared_trials, 'finished trial')} the very same: what rests on them is no difference")
    console.print("\nSettings that differ" if found.settings else "\nAll settings are the same.")
    if found.settings:
        rows = [(path, one or NONE, two or NONE) for path, (one, two) in found.settings.items()]
        console.print(_table(("setting", "first", "second"), rows, texts=3))
    console.print(
        "\nTest accuracy, the mean of what is done, and second minus first in points with 95 % intervals, on common splits if any;"
    )
    console.print("hint: the interval excludes zero; differ: so does the one that holds for all arms together")
    arms = ("arm", "rows", "first", "splits", "second", "splits", "difference", "interval", "how", "verdict")
    console.print(_table(arms, [_arm_row(pair) for pair in found.arms], texts=2))
    if found.effects:
        console.print("\nEffects on test accuracy in points with 95 % intervals, each by itself; second minus first as if their noise were")
        console.print("independent; they agree where the difference could be nothing")
        effects = ("effect", "first", "interval", "second", "interval", "difference", "interval", "they")
        console.print(_table(effects, [_effect_row(pair) for pair in found.effects], texts=1))
    console.print("\nWhat the finished trials took")
    first, second = found.costs
    rows = [(name, of(first), of(second)) for name, of in COSTS.items()]
    console.print(_table(("", "first", "second"), rows, texts=1))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


COSTS: dict[str, Callable[[Cost], str]] = {
    "trials": lambda cost: str(cost.trials),
    "training": lambda cost: _measured(cost.train_s, duration),
    "training per trial": lambda cost: _measured(_each(cost.train_s, cost.trials), duration),
    "energy": lambda cost: _measured(cost.energy_j, joules),
    "energy per trial": lambda cost: _measured(_each(cost.energy_j, cost.trials), joules),
}


def _measured(value: float | None, words: Callable[[float], str]) -> str:
    return "not measured" if value is None else words(value)


def _each(total: float | None, trials: int) -> float | None:
    return None if total is None else total / trials


def _size_in_words(side: Side) -> str:
    study, design = side.plan.study, side.plan.design
    counted = ", ".join(f"{number} {state}" for state, number in _states(side).items() if number)
    sizes = f"{count(len(design.rows), 'row')}, {count(len(study.baselines), 'baseline')} x {count(study.design.splits, 'split')}"
    return f"{study.study} in {side.name}: {design.kind}, {sizes}; of {count(len(side.records), 'trial')} {counted}"


def _states(side: Side) -> dict[str, int]:
    return {state: sum(record.status == state for record in side.records) for state in STATES}


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], texts: int) -> Table:
    """Return a table whose first columns are texts and whose others are numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for at, heading in enumerate(headings):
        table.add_column(heading, justify="left" if at < texts else "right", no_wrap=True)
    for row in rows:
        table.add_row(*row)
    return table


def _arm_row(pair: ArmPair) -> tuple[str, ...]:
    names = " / ".join(dict.fromkeys(_names(arm) for arm in (pair.first, pair.second) if arm))
    means = [text for arm in (pair.first, pair.second) for text in _mean(arm)]
    if pair.difference is None:
        return (pair.label, names, *means, NONE, NONE, NONE, NONE)
    one, two = pair.difference.splits
    how = f"paired, {one}" if pair.difference.method == "paired" else f"unpaired, {one} and {two}"
    return (
        pair.label,
        names,
        *means,
        *_estimate(pair.difference.estimate, pair.difference),
        how,
        _verdict(pair.difference.estimate, pair.difference),
    )


def _names(arm: Arm) -> str:
    return arm.names[0] if len(arm.names) == 1 else f"{len(arm.names)} rows"


def _mean(arm: Arm | None) -> tuple[str, str]:
    return (NONE, NONE) if arm is None or arm.mean is None else (percent(arm.mean), str(len(arm.values)))


def _effect_row(pair: EffectPair) -> tuple[str, ...]:
    sides = [text for one in (pair.first, pair.second) for text in (_estimate(one.estimate, one) if one else (NONE, NONE))]
    difference = (NONE, NONE) if pair.difference is None else _estimate(pair.difference, pair.uncertainty)
    they = "other levels" if pair.difference is None else {True: "agree", False: "differ", None: "unknown"}[pair.agree]
    return (pair.label, *sides, *difference, they)


def _estimate(estimate: float, known: Uncertainty) -> tuple[str, str]:
    return signed(estimate), NONE if known.interval is None else between(known.interval)


def _verdict(estimate: float, known: Uncertainty) -> str:
    if known.interval is None and estimate == 0:
        return "the same"
    return {"stands out": "differ", "hint": "hint", "noise": "noise", "unknown": "too few splits"}[known.verdict]


def _as_json(found: SideBySide) -> dict[str, Any]:
    return {
        "first": _side_json(found.first, found.costs[0]),
        "second": _side_json(found.second, found.costs[1]),
        "shared_trials": found.shared_trials,
        "settings": [{"path": path, "first": one, "second": two} for path, (one, two) in found.settings.items()],
        "arms": [
            {
                "arm": pair.label,
                "first": _arm_json(pair.first),
                "second": _arm_json(pair.second),
                "difference": asdict(pair.difference) if pair.difference else None,
            }
            for pair in found.arms
        ],
        "effects": [{**asdict(pair), "agree": pair.agree} for pair in found.effects],
    }


def _side_json(side: Side, cost: Cost) -> dict[str, Any]:
    return {
        "directory": side.name,
        "study": side.plan.study.study,
        "rows": len(side.plan.design.rows),
        "splits": side.plan.study.design.splits,
        "baselines": list(side.plan.study.baseline_heads()),
        "trials": {"total": len(side.records), **_states(side)},
        "train_s": cost.train_s,
        "energy_j": cost.energy_j,
    }


def _arm_json(arm: Arm | None) -> dict[str, Any] | None:
    return None if arm is None else {"rows": list(arm.names), "mean": arm.mean, "splits": len(arm.values)}
