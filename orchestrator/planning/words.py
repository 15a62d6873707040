"""A plan in words: expected time, node-hours and joules, simulators, candidates and the sizes of a split."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hadamard.cluster.allocation import Allocation
from hadamard.cluster.energy.choice import why_not_measured
from hadamard.model.circuits.circuit import Circuit
from hadamard.model.settings import Data
from hadamard.model.simulators.select import resolve
from hadamard.model.trial import Trial
from hadamard.orchestrator.formats import count, duration, joules
from hadamard.orchestrator.planning.cost_estimate import RunEstimate
from hadamard.orchestrator.planning.machine_rates import Rates
from hadamard.orchestrator.planning.packs import Pack
from hadamard.orchestrator.study.schema import Study

UNKNOWN_TIME = "not known: no rate was measured for this simulator"


def expected_time(seconds: float | None, rates: Rates) -> str:
    """Return an expected time in words."""
    return UNKNOWN_TIME if seconds is None else f"about {duration(seconds)}, from {rates.origin}"


def estimate_in_words(estimate: RunEstimate, allocation: Allocation, rates: Rates) -> dict[str, str]:
    """Return the expected time, node-hours and energy of a run in words; of what is not known, why not."""
    if estimate.wall_s is None or estimate.node_hours is None:
        return dict.fromkeys(("time", "node-hours", "energy"), UNKNOWN_TIME)
    if estimate.energy_j is not None:
        energy = f"about {joules(estimate.energy_j)} for packs and embeddings{'' if rates.watts_by == 'counter' else f', {rates.watts_by}'}"
    else:
        energy = f"not known: {why_not_measured() or 'there is a meter, but no watts were measured yet; `hadamard calibrate` does'}"
    nodes = f"{count(allocation.nodes, 'node')} with {count(allocation.cpus, 'core')}"
    return {
        "time": f"{expected_time(estimate.wall_s, rates)}: {_parts(estimate)}",
        "node-hours": f"{estimate.node_hours:.3g}: {nodes}, from the command to its end",
        "energy": energy,
    }


def _parts(estimate: RunEstimate) -> str:
    parts = {"start": estimate.start_s, "embeddings": estimate.embeddings_s, "packs": estimate.packs_s or 0.0, "end": estimate.end_s}
    return ", ".join(f"{name} {duration(seconds)}" for name, seconds in parts.items() if seconds)


def simulators_in_words(trials: Sequence[Trial], packs: Sequence[Pack] = ()) -> str:
    """Return which simulators the trials' quantum heads would run on here, and why; packs say on how many ranks, else the settings."""
    planned = {trial.key: pack.ranks for pack in packs for trial in pack.trials}
    named = {trial.key: 1 if trial.settings.mpi.ranks == "auto" else trial.settings.mpi.ranks for trial in trials}
    circuits: dict[tuple[str, str, int, str], list[Circuit]] = {}
    for settings, ranks in {(trial.settings, planned.get(trial.key, named[trial.key])) for trial in trials}:
        if settings.head.simulated:
            name, precision, own = settings.simulator, settings.precision, [use.circuit for use in settings.head.circuits()]
            circuits.setdefault((name, precision, ranks, resolve(name, own, precision, ranks).name), []).extend(own)
    reasons = {resolve(name, every, precision, ranks).reason for (name, precision, ranks, _), every in circuits.items()}
    return "; ".join(sorted(reasons)) or "none: nothing is simulated"


def choice_in_words(study: Study) -> str | None:
    """Return among how many candidates each arm chooses, and by what; None where nothing is tuned."""
    tuned = {"rows": study.tune, **{name: baseline.tune for name, baseline in study.named_baselines().items()}}
    candidates = {name: math.prod(map(len, tune.values())) for name, tune in tuned.items()}
    several = [f"{name} {number}" for name, number in candidates.items() if number > 1]
    if not several:
        return None
    by = "by the validation side"
    if (selection := study.selection) is not None:
        repeated = "" if selection.repeats == 1 else f", repeated {selection.repeats} times,"
        by = f"by {selection.folds}-fold cross-validation{repeated} inside the drawn sentences"
    return f"candidates on each split, chosen {by}: {', '.join(several)}"


def split_sizes(data: Data) -> str:
    """Return the sizes of a split in words."""
    train, validation = data.set_sizes
    return f"per split {train} train, {validation} validation, the rest test"
