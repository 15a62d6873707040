"""What a plan says of trials that several ranks share: how they are shared out, and what a training step takes.

Owns these lines and their JSON. Does not own any of the numbers, nor the rest of the plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hadamard.model.trial import Trial
from hadamard.orchestrator.formats import bytes_in_words, duration, listed
from hadamard.orchestrator.planning.cost_model import LOCAL_LINK, SHARDED_KERNELS, simulator_of
from hadamard.orchestrator.planning.packs import Pack, rank_memory_bytes
from hadamard.orchestrator.planning.rank_layout import RankLayout
from hadamard.orchestrator.planning.step_model import Step, step_of, step_seconds


@dataclass(frozen=True)
class Shared:
    """Trials of one shape that ranks share.

    Attributes:
        arms: Whose trials.
        sharing: The ranks.
        memory_bytes: Of each rank, for one trial.
        step: A training step of one trial; None for PennyLane's devices, which tell no stages.
    """

    arms: tuple[str, ...]
    sharing: RankLayout
    memory_bytes: int
    step: Step | None

    @property
    def step_s(self) -> float | None:
        """Expected seconds of the circuits in a step."""
        return sum(step_seconds(self.step, SHARDED_KERNELS, LOCAL_LINK)) if self.step else None


def shared(packs: Sequence[Pack]) -> list[Shared]:
    """Return what ranks share in a study, by shape, in the order of the packs."""
    shapes: dict[str, list[tuple[Trial, Pack]]] = {}
    for pack in packs:
        for trial in pack.trials if pack.ranks > 1 else ():
            shapes.setdefault(trial.shape, []).append((trial, pack))
    return [_shared(*members[0], sorted({trial.arm for trial, _ in members})) for members in shapes.values()]


def _shared(trial: Trial, pack: Pack, arms: Sequence[str]) -> Shared:
    settings, sharing, step = trial.settings, pack.layout, None
    simulator = simulator_of(settings, sharing)
    if simulator and simulator.ranks == "groups":
        step = step_of(settings.head, settings.training.batch, sharing, 8 if settings.precision == "float64" else 4)
    return Shared(tuple(arms), sharing, rank_memory_bytes(trial, sharing), step)


def lines(found: Sequence[Shared]) -> list[str]:
    """Return a line for each."""
    return [_line(one) for one in found]


def as_json(found: Sequence[Shared]) -> list[dict[str, Any]]:
    """Return the same for programs."""
    return [
        {
            "arms": list(one.arms),
            "ranks": one.sharing.ranks,
            "groups": one.sharing.groups,
            "shards": one.sharing.shards,
            "memory_bytes": one.memory_bytes,
            "stages": one.step and one.step.stages,
            "moved_bytes_per_step": one.step and round(one.step.moved_bytes),
            "step_s": one.step_s,
        }
        for one in found
    ]


def _line(one: Shared) -> str:
    sharing = one.sharing
    what = f"{listed(one.arms)}: {sharing.ranks} ranks, {sharing.shards} to a state, with {bytes_in_words(one.memory_bytes)} each"
    if one.step is None or one.step_s is None:
        return what
    moved = f"{bytes_in_words(one.step.moved_bytes)} moved" if one.step.moved_bytes else "nothing moved"
    return f"{what}; {one.step.stages} stages, {moved} in a step of about {duration(one.step_s)}"
