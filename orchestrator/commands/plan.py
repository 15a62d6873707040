"""`hadamard plan`: the design of a study, its aliases and power, and the cost of running it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hadamard.cluster.allocation import detect
from hadamard.model.trial import Trial
from hadamard.orchestrator.commands.plan_ranks import RankedTrials, lines, ranked_trials
from hadamard.orchestrator.commands.render import Result, pairs, render, table
from hadamard.orchestrator.design.aliases import Aliases, aliases
from hadamard.orchestrator.design.factors import Value, short_names, value_text
from hadamard.orchestrator.design.power import SmallestEffect, smallest_effect
from hadamard.orchestrator.execution.budget_guard import against
from hadamard.orchestrator.planning.cost_estimate import estimate_run, pack_joules
from hadamard.orchestrator.planning.feasibility import check_feasible
from hadamard.orchestrator.planning.machine_rates import known_rates
from hadamard.orchestrator.planning.packs import pack_up
from hadamard.orchestrator.planning.words import choice_in_words, estimate_in_words, simulators_in_words, split_sizes
from hadamard.orchestrator.study.budget import Used
from hadamard.orchestrator.study.expansion import Plan, read_plan
from hadamard.orchestrator.study.file import located
from hadamard.orchestrator.study.inputs import inputs_of
from hadamard.orchestrator.study.schema import Study

ALPHA, POWER = 0.05, 0.8


class PlannedData(Result):
    """The sentences of the study and the sizes of a split."""

    source: str
    hash: str
    sentences: int
    train: int
    validation: int


class PlannedEncoder(Result):
    """The sentence encoder where no factor says otherwise."""

    name: str
    dimension: int
    hash: str
    source: str


class PlannedFactor(Result):
    """A factor and the levels that the design takes of it."""

    path: str
    levels: tuple[Value, ...]
    numeric: bool
    text: str


class PlannedRow(Result):
    """A row of the design."""

    row: str
    coded: tuple[float, ...]
    values: dict[str, Value]
    parameters: int | None
    """Trained parameters of its head."""


class PlannedSplit(Result):
    """A split, which all arms see."""

    split: int
    seed: int


class PlannedPower(Result):
    """The smallest effects that are found with the probability `power` at the level `alpha`."""

    sd: float
    """Standard deviation of one trial's accuracy within its split, as a fraction."""
    alpha: float
    power: float
    smallest_effects: tuple[SmallestEffect, ...]


class PlannedPack(Result):
    """Trials that one process, or the ranks of one MPI program, trains."""

    pack: str
    trials: tuple[str, ...]
    memory_bytes: int
    """Of each process."""
    gpus: int
    """Of each process."""
    ranks: int
    shards: int
    seconds: float | None
    parts: Mapping[str, float]
    """Expected seconds by part."""
    energy_j: float | None


class Price(Result):
    """What the run is expected to take."""

    wall_s: float | None
    start_s: float
    embeddings_s: float
    packs_s: float | None
    end_s: float
    node_hours: float | None
    energy_j: float | None
    trials: int


class PlanResult(Result):
    """A study's plan on this machine."""

    study: Study
    data: PlannedData
    sentence_encoder: PlannedEncoder
    simulator: str
    design: str
    """Kind of the design."""
    factors: tuple[PlannedFactor, ...]
    rows: tuple[PlannedRow, ...]
    baselines: dict[str, int | None]
    """Trained parameters by baseline; None where a head is not trained by gradient."""
    run_order: tuple[str, ...]
    splits: tuple[PlannedSplit, ...]
    choice: str | None
    """Among how many candidates each arm chooses, and by what."""
    aliases: Aliases
    power: PlannedPower
    trials: tuple[str, ...]
    packs: tuple[PlannedPack, ...]
    shared: tuple[RankedTrials, ...]
    """Trials that several MPI ranks share."""
    cpus: int
    gpus: int
    expected_s: float | None
    price: Price
    expected: dict[str, str]
    """Time, node-hours and energy in words."""
    budget: str | None
    """How the budget compares with the price."""
    rates: str
    """Where the rates of the estimate come from."""


def show_plan(path: Path, overrides: Sequence[str], sd: float, as_json: bool) -> str:
    """Return the plan of a study file as text or JSON; refuses, with a UserError, what `run` would refuse about study and memory.

    Args:
        path: The study file.
        overrides: `a.b=value` strings.
        sd: Standard deviation of one trial's accuracy within a split, in accuracy (0.01 is one point).
        as_json: Whether JSON is wanted.
    """
    return render(planned(path, overrides, sd), plan_lines, as_json)


def planned(path: Path, overrides: Sequence[str], sd: float) -> PlanResult:
    """Return the plan of a study file; arguments as for `show_plan`."""
    plan = read_plan(path, overrides)
    allocation, rates = detect(), known_rates()
    packs = pack_up(plan.trials, allocation, rates)
    with located(path, overrides):
        check_feasible(packs, allocation)
    estimate = estimate_run(packs, allocation, rates)
    design, study, inputs = plan.design, plan.study, inputs_of(plan.study.settings)
    parameters = {trial.arm: _parameters(trial) for trial in plan.trials if trial.split == 0}
    seeds = sorted({(trial.split, trial.split_seed) for trial in plan.trials})
    train, validation = study.data.set_sizes
    return PlanResult(
        study=study,
        data=PlannedData(
            source=inputs.corpus.source, hash=inputs.corpus.hash, sentences=len(inputs.corpus.texts), train=train, validation=validation
        ),
        sentence_encoder=PlannedEncoder(
            name=inputs.sentence_encoder.name,
            dimension=inputs.sentence_encoder.dimension,
            hash=inputs.sentence_encoder.hash,
            source=inputs.sentence_encoder.source,
        ),
        simulator=simulators_in_words(plan.trials, packs),
        design=design.kind,
        factors=tuple(
            PlannedFactor(path=factor.path, levels=factor.choices, numeric=factor.is_numeric, text=str(factor)) for factor in design.factors
        ),
        rows=tuple(
            PlannedRow(row=row.name, coded=row.coded, values=row.values, parameters=parameters.pop(row.name)) for row in design.rows
        ),
        baselines=parameters,
        run_order=tuple(design.rows[index].name for index in design.run_order),
        splits=tuple(PlannedSplit(split=split, seed=seed) for split, seed in seeds),
        choice=choice_in_words(study),
        aliases=aliases(design.factors, design.coded),
        power=_power(plan, sd),
        trials=tuple(trial.key for trial in plan.trials),
        packs=tuple(
            PlannedPack(
                pack=pack.id,
                trials=tuple(trial.key for trial in pack.trials),
                memory_bytes=pack.memory_bytes,
                gpus=pack.gpus,
                ranks=pack.ranks,
                shards=pack.shards,
                seconds=pack.seconds,
                parts=pack.parts,
                energy_j=pack_joules(pack, rates),
            )
            for pack in packs
        ),
        shared=ranked_trials(packs),
        cpus=allocation.total_cpus,
        gpus=allocation.total_gpus,
        expected_s=estimate.wall_s,
        price=Price(**{name: getattr(estimate, name) for name in Price.model_fields}),
        expected=estimate_in_words(estimate, allocation, rates),
        budget=against(study.budget, Used(estimate.wall_s, estimate.node_hours, estimate.energy_j, estimate.trials)),
        rates=rates.origin,
    )


def _power(plan: Plan, sd: float) -> PlannedPower:
    effects = smallest_effect(plan.design, plan.study.design.splits, sd, ALPHA, POWER)
    return PlannedPower(sd=sd, alpha=ALPHA, power=POWER, smallest_effects=effects)


def _parameters(trial: Trial) -> int | None:
    return trial.settings.head.parameters(inputs_of(trial.settings).sentence_encoder.dimension)


def plan_lines(plan: PlanResult) -> Iterator[str]:
    """Yield the lines of a plan."""
    study, encoder, splits = plan.study, plan.sentence_encoder, len(plan.splits)
    yield from pairs(
        [
            ("study", f"{study.study}, seed {study.seed}"),
            ("data", f"{plan.data.source}; {plan.data.sentences} in all, {split_sizes(study.data)}"),
            ("sentences", f"embedded by {encoder.name}: {encoder.dimension} dimensions, {encoder.source}"),
            ("simulator", plan.simulator),
            ("design", f"{plan.design}: {len(plan.rows)} rows x {splits} splits"),
            *(("factor", factor.text) for factor in plan.factors),
        ]
    )
    headings = ("row", "order", *short_names(study.factor_list()), "coded", "parameters")
    yield from ("", *table(headings, map(_row_cells, plan.rows, [plan.run_order.index(row.row) + 1 for row in plan.rows]), texts=0))
    yield from ("", "Aliases: what is confounded with what", *(f"  {line}" for line in plan.aliases.lines()))
    yield from ("", "Power: the smallest effects found 8 times in 10 at the 5 % level, if one trial's standard deviation within a")
    yield f"split is {100 * plan.power.sd:.3g} points (give yours by --sd)"
    yield from (f"  {effect}: {', '.join(labels)}" for effect, labels in _labels_by_effect(plan.power.smallest_effects).items())
    yield from ("", *pairs(_size_and_cost(plan)))


def _row_cells(row: PlannedRow, order: int) -> tuple[str, ...]:
    coded = " ".join({1.0: "+", -1.0: "-"}.get(value, f"{value:.2g}") for value in row.coded)
    return row.row, str(order), *map(value_text, row.values.values()), coded, str(row.parameters)


def _labels_by_effect(effects: Sequence[SmallestEffect]) -> dict[str, list[str]]:
    """Return the terms by the smallest effect that can be found of them, in points."""
    groups: dict[str, list[str]] = {}
    for term in effects:
        size = str(term.reason) if term.effect is None else f"{100 * term.effect:.2g} points, {term.meaning}"
        groups.setdefault(size, []).append(term.label)
    return groups


def _size_and_cost(plan: PlanResult) -> Iterator[tuple[str, str]]:
    baselines = f", baselines {', '.join(plan.baselines)}" if plan.baselines else ""
    yield "trials", f"{len(plan.trials)}: {len(plan.rows)} rows{baselines}, each on {len(plan.splits)} splits"
    if plan.choice is not None:
        yield "choice", plan.choice
    with_ranks, on_gpus = any(pack.ranks > 1 for pack in plan.packs), sum(pack.gpus for pack in plan.packs)
    each = "for each process" if with_ranks else "each"
    gpus = f"; {on_gpus} of them on {plan.gpus} GPUs, one GPU {each}" if on_gpus else ""
    yield "packs", f"{len(plan.packs)} on {plan.cpus} cores, one core {each}{gpus}"
    yield from (("ranks", line) for line in lines(plan.shared))
    largest = max(pack.memory_bytes for pack in plan.packs) / 2**30
    yield "memory", f"up to {largest:.1f} GiB per {'process' if with_ranks else 'pack'}, estimated"
    yield from plan.expected.items()
    if plan.budget is not None:
        yield "budget", plan.budget
