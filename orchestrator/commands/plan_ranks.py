"""The part of a plan about trials that several MPI ranks share: their layout, memory, and a training step."""

from __future__ import annotations

from collections.abc import Sequence

from hadamard.model.trial import Trial
from hadamard.orchestrator.commands.render import Result
from hadamard.orchestrator.formats import bytes_in_words, duration, listed
from hadamard.orchestrator.planning.cost_model import LOCAL_LINK, SHARDED_KERNELS, simulator_of
from hadamard.orchestrator.planning.packs import Pack, rank_memory_bytes
from hadamard.orchestrator.planning.step_model import Step, step_of, step_seconds


class RankedTrials(Result):
    """Trials of one shape that ranks share; stages, bytes and seconds of a step are None for simulators that tell no stages."""

    arms: tuple[str, ...]
    ranks: int
    groups: int
    shards: int
    memory_bytes: int
    """Of each rank, for one trial."""
    stages: int | None
    moved_bytes_per_step: int | None
    step_s: float | None
    """Expected seconds of the circuits in a training step of one trial."""


def ranked_trials(packs: Sequence[Pack]) -> tuple[RankedTrials, ...]:
    """Return the trials that ranks share, by shape, in the order of the packs."""
    shapes: dict[str, list[tuple[Trial, Pack]]] = {}
    for pack in packs:
        for trial in pack.trials if pack.ranks > 1 else ():
            shapes.setdefault(trial.shape, []).append((trial, pack))
    return tuple(_of_shape(*same[0], sorted({trial.arm for trial, _ in same})) for same in shapes.values())


def _of_shape(trial: Trial, pack: Pack, arms: Sequence[str]) -> RankedTrials:
    step = _step(trial, pack)
    return RankedTrials(
        arms=tuple(arms),
        ranks=pack.ranks,
        groups=pack.layout.groups,
        shards=pack.shards,
        memory_bytes=rank_memory_bytes(trial, pack.layout),
        stages=step and step.stages,
        moved_bytes_per_step=step and round(step.moved_bytes),
        step_s=step and sum(step_seconds(step, SHARDED_KERNELS, LOCAL_LINK)),
    )


def _step(trial: Trial, pack: Pack) -> Step | None:
    settings, simulator = trial.settings, simulator_of(trial.settings, pack.layout)
    if simulator is None or simulator.ranks != "groups":
        return None
    return step_of(settings.head, settings.training.batch, pack.layout, 8 if settings.precision == "float64" else 4)


def lines(shared: Sequence[RankedTrials]) -> list[str]:
    """Return a line for each."""
    return [_line(trials) for trials in shared]


def _line(trials: RankedTrials) -> str:
    memory = bytes_in_words(trials.memory_bytes)
    text = f"{listed(trials.arms)}: {trials.ranks} ranks, {trials.shards} to a state, with {memory} each"
    if trials.step_s is None:
        return text
    moved = f"{bytes_in_words(trials.moved_bytes_per_step)} moved" if trials.moved_bytes_per_step else "nothing moved"
    return f"{text}; {trials.stages} stages, {moved} in a step of about {duration(trials.step_s)}"
