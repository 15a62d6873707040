"""A plan as people and programs read it: text with tables, or JSON.

Owns the wording and layout of `hadamard plan`. Does not own any of the numbers.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from cluster.allocation import detect
from model.head_layout import parameters
from model.settings import Data, Trial
from orchestrator.design.aliases import Aliases, aliases
from orchestrator.design.factors import Value
from orchestrator.design.power import SmallestEffect, smallest_effect
from orchestrator.inputs import inputs_of
from orchestrator.plan import Pack, Plan, check_fit, expected_seconds, make_plan, pack_up
from orchestrator.study import load


def show_plan(path: Path, overrides: Sequence[str], sd: float, as_json: bool) -> str:
    """Return the plan of a study file as text or JSON; refuses, with a UserError, what `run` would refuse about study and memory."""
    plan = make_plan(load(path, overrides))
    allocation = detect()
    packs = pack_up(plan.trials, allocation.cpus)
    check_fit(packs, allocation)
    found = aliases(plan.design.factors, plan.design.coded)
    power = smallest_effect(plan.design, plan.study.design.splits, sd)
    if as_json:
        return json.dumps(_as_json(plan, packs, found, power, sd, allocation.cpus), indent=1) + "\n"
    return _as_text(plan, packs, found, power, sd, allocation.cpus)


def duration(seconds: float | None) -> str:
    """Return seconds in words."""
    if seconds is None:
        return "not known (no rate was measured for this simulator)"
    return (
        f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min" if seconds < 5400 else str(timedelta(minutes=round(seconds / 60)))
    )


def _as_text(plan: Plan, packs: Sequence[Pack], found: Aliases, power: Sequence[SmallestEffect], sd: float, cpus: int) -> str:
    study, buffer = plan.study, io.StringIO()
    console = Console(file=buffer, width=140, highlight=False, markup=False)
    inputs = inputs_of(study.settings)
    console.print(f"study     {study.study}, seed {study.seed}")
    console.print(f"data      {inputs.corpus.source}: {len(inputs.corpus.texts)} sentences; {drawn(study.data)}")
    console.print(f"encoder   {inputs.encoder.name}, {inputs.encoder.dimension} dimensions, from {inputs.encoder.source}")
    console.print(f"design    {plan.design.kind}: {len(plan.design.rows)} rows x {study.design.splits} splits")
    for factor in plan.design.factors:
        console.print(f"factor    {factor}")
    console.print()
    console.print(_rows(plan))
    console.print("\nAliases (what is confounded with what)")
    for line in found.lines():
        console.print(f"  {line}")
    console.print(
        f"\nPower: smallest effect found 8 times in 10 at the 5 % level, if one trial's standard deviation within a split is {sd:g}"
    )
    for term in power:
        console.print(f"  {term.label}: {term.reason if term.effect is None else f'{term.effect:.4f} ({term.meaning})'}")
    console.print(
        f"\ntrials    {len(plan.trials)}: {len(plan.design.rows)} rows and {len(study.baselines)} baselines on {study.design.splits} splits"
    )
    console.print(f"packs     {len(packs)} on {cpus} cores, one core each")
    console.print(f"memory    up to {max(pack.memory_bytes for pack in packs) / 2**30:.1f} GiB per pack (estimate)")
    console.print(f"time      {duration(expected_seconds(packs, cpus))} (estimate, from rates of a 2.3 GHz server core)")
    return buffer.getvalue()


def _rows(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("row", "runs", *(factor.path for factor in plan.design.factors), "coded", "parameters"):
        table.add_column(heading, justify="right")
    for row in plan.design.rows:
        table.add_row(
            row.name, str(plan.design.run_order.index(row.index) + 1), *map(_shown, row.values.values()),
            " ".join(f"{value:+.2g}" for value in row.coded), str(_parameters(plan)[row.name]),
        )  # fmt: skip
    return table


def _as_json(plan: Plan, packs: Sequence[Pack], found: Aliases, power: Sequence[SmallestEffect], sd: float, cpus: int) -> dict[str, Any]:
    counted = _parameters(plan)
    return {
        "study": plan.study.model_dump(mode="json"),
        "factors": [factor.path for factor in plan.design.factors],
        "rows": [
            {"row": row.name, "coded": list(row.coded), "values": row.values, "parameters": counted[row.name]} for row in plan.design.rows
        ],
        "run_order": [plan.design.rows[index].name for index in plan.design.run_order],
        "splits": [{"split": trial.split, "seed": trial.split_seed} for trial in plan.trials[: plan.study.design.splits]],
        "aliases": found.to_json(),
        "power": {"sd": sd, "alpha": 0.05, "power": 0.8, "smallest_effects": [vars(term) for term in power]},
        "trials": [trial.key for trial in plan.trials],
        "packs": [
            {"pack": pack.id, "trials": [trial.key for trial in pack.trials], "memory_bytes": pack.memory_bytes, "seconds": pack.seconds}
            for pack in packs
        ],
        "cpus": cpus,
        "expected_s": expected_seconds(packs, cpus),
    }


def _parameters(plan: Plan) -> dict[str, int | None]:
    """Return the number of trained parameters by arm."""
    return {trial.arm: _count(trial) for trial in plan.trials if trial.split == 0}


def _count(trial: Trial) -> int | None:
    return parameters(trial.settings.head, inputs_of(trial.settings).encoder.dimension)


def drawn(data: Data) -> str:
    """Return the sizes of a split in words."""
    both = 2 * data.train_per_class
    validation = round(both * data.validation_fraction)
    return f"per split {both - validation} train, {validation} validation, the rest test"


def _shown(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
