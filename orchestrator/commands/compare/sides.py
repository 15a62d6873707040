"""Two studies side by side: settings, arms, effects and costs.

Owns what is compared, and the refusal of what cannot be. Does not own how each part is matched, nor wording (view).
"""

from __future__ import annotations

from dataclasses import dataclass

from hadamard.model.errors import UserError
from hadamard.orchestrator.commands.compare.arms import ArmPair, arm_pairs
from hadamard.orchestrator.commands.compare.effects import EffectPair, effect_pairs
from hadamard.orchestrator.commands.compare.settings import differing
from hadamard.orchestrator.commands.compare.side import Cost, Side, cost_of


class CompareError(UserError):
    """The studies have nothing that could be compared."""


@dataclass(frozen=True)
class SideBySide:
    """What two studies have in common and how they differ."""

    first: Side
    second: Side
    settings: dict[str, tuple[str | None, str | None]]
    """By dotted path; None where a study has no such setting."""
    arms: tuple[ArmPair, ...]
    """Those of both first, with the mean over all common rows before them where there are two or more."""
    effects: tuple[EffectPair, ...]
    shared_trials: int
    """Finished trials that are the very same in both, by their digest."""

    @property
    def costs(self) -> tuple[Cost, Cost]:
        """What each study took."""
        return cost_of(self.first), cost_of(self.second)


def side_by_side(first: Side, second: Side) -> SideBySide:
    """Compare two studies.

    Raises:
        CompareError: One of them has no finished trial, or they have neither arms nor factors in common.
    """
    for side in (first, second):
        if not side.done:
            raise CompareError(f"{side.name}: no trial of {side.plan.study.study} has finished yet, so there is nothing to compare")
    arms, effects = arm_pairs(first, second), effect_pairs(first, second)
    if not effects and not any(pair.difference for pair in arms):
        names = [", ".join([*side.plan.study.factors, *side.plan.study.baseline_heads()]) for side in (first, second)]
        raise CompareError(
            f"nothing in common: {first.name} has {names[0]}; {second.name} has {names[1]}. Studies are compared by arms with "
            "the same values of all factors, by baselines of the same name, or by factors with effects in both"
        )
    digests = [{record.trial.digest for record in side.done} for side in (first, second)]
    return SideBySide(first, second, differing(first.plan.study, second.plan.study), arms, effects, len(digests[0] & digests[1]))
