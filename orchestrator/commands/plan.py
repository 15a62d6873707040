"""A plan as people and programs read it: text with tables, or JSON.

Owns the wording and layout of `hadamard plan`. Does not own any of the numbers.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from hadamard.cluster.allocation import Allocation, detect
from hadamard.cluster.energy.choice import why_not_measured
from hadamard.model.circuits.circuit import Circuit
from hadamard.model.settings import Data
from hadamard.model.simulators.select import resolve
from hadamard.model.trial import Trial
from hadamard.orchestrator.commands import plan_ranks
from hadamard.orchestrator.design.aliases import Aliases, aliases
from hadamard.orchestrator.design.factors import short_names, value_text
from hadamard.orchestrator.design.power import SmallestEffect, smallest_effect
from hadamard.orchestrator.execution.budget_guard import against
from hadamard.orchestrator.formats import count, duration, joules
from hadamard.orchestrator.planning.cost_estimate import RunEstimate, estimate_run, pack_joules
from hadamard.orchestrator.planning.feasibility import check_feasible
from hadamard.orchestrator.planning.machine_rates import Rates, known_rates
from hadamard.orchestrator.planning.packs import Pack, pack_up
from hadamard.orchestrator.study.budget import Used
from hadamard.orchestrator.study.expansion import Plan, read_plan
from hadamard.orchestrator.study.file import located
from hadamard.orchestrator.study.inputs import inputs_of
from hadamard.orchestrator.study.schema import Study

UNKNOWN_TIME = "not known: no rate was measured for this simulator"
NARROW, WIDE = 120, 1000
"""Width of the text, and of the table of rows, whose values are never cut."""


def show_plan(path: Path, overrides: Sequence[str], sd: float, as_json: bool) -> str:
    """Return the plan of a study file as text or JSON; refuses, with a UserError, what `run` would refuse about study and memory.

    Args:
        path: The study file.
        overrides: `a.b=value` strings.
        sd: Standard deviation of one trial's accuracy within a split, in accuracy (0.01 is one point).
        as_json: Whether JSON is wanted.
    """
    plan = read_plan(path, overrides)
    allocation, rates = detect(), known_rates()
    packs = pack_up(plan.trials, allocation, rates)
    with located(path, overrides):
        check_feasible(packs, allocation)
    found = aliases(plan.design.factors, plan.design.coded)
    power = smallest_effect(plan.design, plan.study.design.splits, sd)
    if as_json:
        return json.dumps(_as_json(plan, packs, found, power, sd, allocation, rates), indent=1) + "\n"
    return _as_text(plan, packs, found, power, sd, allocation, rates)


def expected(seconds: float | None, rates: Rates) -> str:
    """Return an expected time in words."""
    if seconds is None:
        return UNKNOWN_TIME
    return f"about {duration(seconds)}, from {rates.origin}"


def price_lines(asked: RunEstimate, allocation: Allocation, rates: Rates) -> list[tuple[str, str]]:
    """Return what a run is expected to take, all four of it, each as heading and text."""
    if asked.wall_s is None or asked.node_hours is None:
        time, hours = UNKNOWN_TIME, UNKNOWN_TIME
    else:
        time = f"{expected(asked.wall_s, rates)}: {_where_time_goes(asked)}"
        nodes = count(allocation.nodes, "node")
        hours = f"{asked.node_hours:.3g}: {nodes} with {count(allocation.cpus, 'core')}, from the command to its end"
    if asked.energy_j is not None:
        energy = f"about {joules(asked.energy_j)} for packs and embeddings{'' if rates.watts_by == 'counter' else f', {rates.watts_by}'}"
    elif asked.wall_s is None:
        energy = UNKNOWN_TIME
    else:
        energy = f"not known: {_why_no_watts()}"
    return [("time", time), ("node-hours", hours), ("energy", energy), ("trials", str(asked.trials))]


def _where_time_goes(asked: RunEstimate) -> str:
    parts = {"start": asked.start_s, "embeddings": asked.embeddings_s, "packs": asked.packs_s or 0.0, "end": asked.end_s}
    return ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts.items() if seconds)


def _why_no_watts() -> str:
    """Return why no watts of this machine are known."""
    return why_not_measured() or "there is a meter, but no watts were measured yet; `hadamard calibrate` does"


def simulators_in_words(trials: Sequence[Trial], packs: Sequence[Pack] = ()) -> str:
    """Return which simulators the trials' quantum heads would run on here, and why; packs say on how many ranks, else the settings."""
    planned = {trial.key: pack.ranks for pack in packs for trial in pack.trials}
    named = {one.key: 1 if one.settings.mpi.ranks == "auto" else one.settings.mpi.ranks for one in trials}
    used: dict[tuple[str, str, int, str], list[Circuit]] = {}
    for settings, ranks in {(one.settings, planned.get(one.key, named[one.key])) for one in trials}:
        if settings.head.simulated:
            name, precision, own = settings.simulator, settings.precision, [use.circuit for use in settings.head.circuits()]
            used.setdefault((name, precision, ranks, resolve(name, own, precision, ranks).name), []).extend(own)
    reasons = {resolve(name, every, precision, ranks).reason for (name, precision, ranks, _), every in used.items()}
    return "; ".join(sorted(reasons)) or "none: nothing is simulated"


def choice_in_words(study: Study) -> str | None:
    """Return among how many candidates each arm chooses, and by what; None where nothing is tuned."""
    counted = {"rows": study.tune, **{name: one.tune for name, one in study.named_baselines().items()}}
    candidates = {name: math.prod(map(len, tune.values())) for name, tune in counted.items()}
    tuned = [f"{name} {number}" for name, number in candidates.items() if number > 1]
    if not tuned:
        return None
    by = "by the validation side"
    if (selection := study.selection) is not None:
        repeated = "" if selection.repeats == 1 else f", repeated {selection.repeats} times,"
        by = f"by {selection.folds}-fold cross-validation{repeated} inside the drawn sentences"
    return f"candidates on each split, chosen {by}: {', '.join(tuned)}"


def drawn(data: Data) -> str:
    """Return the sizes of a split in words."""
    train, validation = data.set_sizes
    return f"per split {train} train, {validation} validation, the rest test"


def _as_text(
    plan: Plan, packs: Sequence[Pack], found: Aliases, power: Sequence[SmallestEffect], sd: float, allocation: Allocation, rates: Rates
) -> str:
    study, buffer = plan.study, io.StringIO()
    console = Console(file=buffer, width=NARROW, highlight=False, markup=False)
    inputs = inputs_of(study.settings)
    say = [
        ("study", f"{study.study}, seed {study.seed}"),
        ("data", f"{inputs.corpus.source}; {len(inputs.corpus.texts)} in all, {drawn(study.data)}"),
        (
            "sentences",
            f"embedded by {inputs.sentence_encoder.name}: {inputs.sentence_encoder.dimension} dimensions, {inputs.sentence_encoder.source}",
        ),
        ("simulator", simulators_in_words(plan.trials, packs)),
        ("design", f"{plan.design.kind}: {len(plan.design.rows)} rows x {study.design.splits} splits"),
        *(("factor", str(factor)) for factor in plan.design.factors),
    ]
    for heading, text in say:
        console.print(f"{heading:<10}{text}", soft_wrap=True)
    console.print()
    Console(file=buffer, width=WIDE, highlight=False, markup=False).print(_rows(plan))
    console.print("\nAliases: what is confounded with what")
    for line in found.lines():
        console.print(f"  {line}")
    console.print("\nPower: the smallest effects found 8 times in 10 at the 5 % level, if one trial's standard deviation within a")
    console.print(f"split is {100 * sd:.3g} points (give yours by --sd)")
    for effect, labels in _by_effect(power).items():
        console.print(f"  {effect}: {', '.join(labels)}")
    console.print()
    baselines = f", baselines {', '.join(study.baseline_heads())}" if study.baselines else ""
    console.print(
        f"{'trials':<10}{len(plan.trials)}: {len(plan.design.rows)} rows{baselines}, each on {study.design.splits} splits", soft_wrap=True
    )
    if (choice := choice_in_words(study)) is not None:
        console.print(f"{'choice':<10}{choice}", soft_wrap=True)
    on_gpus = sum(pack.gpus for pack in packs)
    each = "for each process" if any(pack.ranks > 1 for pack in packs) else "each"
    gpus = f"; {on_gpus} of them on {allocation.total_gpus} GPUs, one GPU {each}" if on_gpus else ""
    console.print(f"{'packs':<10}{len(packs)} on {allocation.total_cpus} cores, one core {each}{gpus}")
    for line in plan_ranks.lines(plan_ranks.shared(packs)):
        console.print(f"{'ranks':<10}{line}", soft_wrap=True)
    process = "process" if any(pack.ranks > 1 for pack in packs) else "pack"
    console.print(f"{'memory':<10}up to {max(pack.memory_bytes for pack in packs) / 2**30:.1f} GiB per {process}, estimated")
    asked = estimate_run(packs, allocation, rates)
    for heading, text in price_lines(asked, allocation, rates)[:3]:
        console.print(f"{heading:<10}{text}" if len(heading) < 10 else f"{heading} {text}", soft_wrap=True)
    if (limits := against(study.budget, Used(asked.wall_s, asked.node_hours, asked.energy_j, asked.trials))) is not None:
        console.print(f"{'budget':<10}{limits}", soft_wrap=True)
    return buffer.getvalue()


def _rows(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = short_names(plan.design.factors)
    for heading in ("row", "order", *names, "coded", "parameters"):
        table.add_column(heading, justify="right", no_wrap=True)
    counted = _parameters(plan)
    for row in plan.design.rows:
        values = [value_text(value) for value in row.values.values()]
        coded = " ".join({1.0: "+", -1.0: "-"}.get(value, f"{value:.2g}") for value in row.coded)
        table.add_row(row.name, str(plan.design.run_order.index(row.index) + 1), *values, coded, str(counted[row.name]))
    return table


def _by_effect(power: Sequence[SmallestEffect]) -> dict[str, list[str]]:
    """Return the terms by what can be seen of them, in points."""
    groups: dict[str, list[str]] = {}
    for term in power:
        seen = f"{100 * term.effect:.2g} points, {term.meaning}" if term.effect is not None else str(term.reason)
        groups.setdefault(seen, []).append(term.label)
    return groups


def _as_json(
    plan: Plan, packs: Sequence[Pack], found: Aliases, power: Sequence[SmallestEffect], sd: float, allocation: Allocation, rates: Rates
) -> dict[str, Any]:
    asked = estimate_run(packs, allocation, rates)
    counted = _parameters(plan)
    inputs = inputs_of(plan.study.settings)
    train, validation = plan.study.data.set_sizes
    return {
        "study": plan.study.model_dump(mode="json"),
        "data": {
            "source": inputs.corpus.source,
            "hash": inputs.corpus.hash,
            "sentences": len(inputs.corpus.texts),
            "train": train,
            "validation": validation,
        },
        "sentence_encoder": {
            "name": inputs.sentence_encoder.name,
            "dimension": inputs.sentence_encoder.dimension,
            "hash": inputs.sentence_encoder.hash,
        },
        "simulator": simulators_in_words(plan.trials, packs),
        "factors": [{"path": factor.path, "levels": list(factor.choices), "numeric": factor.is_numeric} for factor in plan.design.factors],
        "rows": [
            {"row": row.name, "coded": list(row.coded), "values": row.values, "parameters": counted[row.name]} for row in plan.design.rows
        ],
        "baselines": {name: counted[name] for name in plan.study.baseline_heads()},
        "run_order": [plan.design.rows[index].name for index in plan.design.run_order],
        "splits": [{"split": trial.split, "seed": trial.split_seed} for trial in plan.trials[: plan.study.design.splits]],
        "aliases": found.to_json(),
        "power": {"sd": sd, "alpha": 0.05, "power": 0.8, "smallest_effects": [vars(term) for term in power]},
        "trials": [trial.key for trial in plan.trials],
        "packs": [
            {
                "pack": pack.id,
                "trials": [trial.key for trial in pack.trials],
                "memory_bytes": pack.memory_bytes,
                "gpus": pack.gpus,
                "ranks": pack.ranks,
                "shards": pack.shards,
                "seconds": pack.seconds,
                "parts": pack.parts,
                "energy_j": pack_joules(pack, rates),
            }
            for pack in packs
        ],
        "shared": plan_ranks.as_json(plan_ranks.shared(packs)),
        "cpus": allocation.total_cpus,
        "gpus": allocation.total_gpus,
        "expected_s": asked.wall_s,
        "price": {
            "wall_s": asked.wall_s,
            "start_s": asked.start_s,
            "embeddings_s": asked.embeddings_s,
            "packs_s": asked.packs_s,
            "end_s": asked.end_s,
            "node_hours": asked.node_hours,
            "energy_j": asked.energy_j,
            "trials": asked.trials,
        },
        "rates": rates.origin,
    }


def _parameters(plan: Plan) -> dict[str, int | None]:
    """Return the number of trained parameters by arm."""
    return {trial.arm: _count(trial) for trial in plan.trials if trial.split == 0}


def _count(trial: Trial) -> int | None:
    return trial.settings.head.parameters(inputs_of(trial.settings).sentence_encoder.dimension)
