"""Two studies side by side: the result model of `hadamard compare`, and which studies cannot be compared."""

from __future__ import annotations

from hadamard.model.errors import UserError
from hadamard.orchestrator.commands.compare.arms import ArmPair, arm_pairs
from hadamard.orchestrator.commands.compare.effects import EffectPair, effect_pairs
from hadamard.orchestrator.commands.compare.settings import SettingPair, differing_settings
from hadamard.orchestrator.commands.compare.side import Side, cost_of
from hadamard.orchestrator.commands.render import Result
from hadamard.orchestrator.ledger.ledger import count_by_status


class CompareError(UserError):
    """The studies have nothing that could be compared."""


class StudySummary(Result):
    """One of the two studies; seconds and joules are of its finished trials, None unless measured for all of them."""

    directory: str
    study: str
    design: str
    rows: int
    splits: int
    baselines: tuple[str, ...]
    trials: dict[str, int]
    """Number by state, and in `total`."""
    train_s: float | None
    energy_j: float | None


class StudyComparison(Result):
    """How two studies differ; differences are second minus first."""

    first: StudySummary
    second: StudySummary
    shared_trials: int
    """Finished trials that are the very same in both, by their digest."""
    settings: tuple[SettingPair, ...]
    arms: tuple[ArmPair, ...]
    """Those of both first, with the mean over all common rows before them where there are two or more."""
    effects: tuple[EffectPair, ...]


def compare(first: Side, second: Side) -> StudyComparison:
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
    return StudyComparison(
        first=_summary(first),
        second=_summary(second),
        shared_trials=len(digests[0] & digests[1]),
        settings=differing_settings(first.plan.study, second.plan.study),
        arms=arms,
        effects=effects,
    )


def _summary(side: Side) -> StudySummary:
    study, cost = side.plan.study, cost_of(side)
    return StudySummary(
        directory=side.name,
        study=study.study,
        design=side.plan.design.kind,
        rows=len(side.plan.design.rows),
        splits=study.design.splits,
        baselines=tuple(study.baseline_heads()),
        trials=count_by_status(side.records),
        train_s=cost.train_s,
        energy_j=cost.energy_j,
    )
