"""The effects of factors that two studies both have, and whether they agree.

Owns the matching and the differences. Does not own the effects of either study.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hadamard.orchestrator.analysis.effects import Effect, Effects, main_effects
from hadamard.orchestrator.analysis.inference import Uncertainty, student
from hadamard.orchestrator.commands.compare.arms import RESPONSE, satterthwaite
from hadamard.orchestrator.commands.compare.side import Side


@dataclass(frozen=True)
class EffectPair:
    """The effect of a factor that both studies have."""

    path: str
    label: str
    first: Effect | None
    second: Effect | None
    difference: float | None
    """Second minus first; None where one is missing or the levels are others."""
    uncertainty: Uncertainty
    """Of the difference, as if both studies' noise were independent."""

    @property
    def agree(self) -> bool | None:
        """Whether the difference could be nothing; None where that is not known."""
        return None if self.uncertainty.interval is None else not (self.uncertainty.is_hint or self.uncertainty.stands_out)


def effect_pairs(first: Side, second: Side) -> tuple[EffectPair, ...]:
    """Return the effects of factors that both studies have, in the order of the first."""
    tables = [_effects(side) for side in (first, second)]
    one, two = (_by_change(side, table) for side, table in zip((first, second), tables, strict=True))
    shared = {factor.path for factor in first.plan.design.factors} & {factor.path for factor in second.plan.design.factors}
    keys = [key for key in dict.fromkeys([*one, *two]) if key[0] in shared]
    count = sum(key in one and key in two for key in keys)
    return tuple(_effect_pair(key[0], one.get(key), two.get(key), tables, count) for key in keys)


def _effects(side: Side) -> Effects:
    return main_effects(side.plan.design, side.results, RESPONSE)


def _by_change(side: Side, table: Effects) -> dict[tuple[str, str, str], Effect]:
    """Return the effects by path, level and change: names depend on the other factors, and another change is another effect."""
    paths = [factor.path for factor in side.plan.design.factors]
    return {(paths[one.factors[0]], one.label.partition(" = ")[2], one.change): one for one in table.effects}


def _effect_pair(path: str, first: Effect | None, second: Effect | None, tables: Sequence[Effects], count: int) -> EffectPair:
    shown = first or second
    assert shown is not None
    label = f"{shown.label} {shown.change}"
    if first is None or second is None:
        return EffectPair(path, label, first, second, None, Uncertainty())
    difference = second.estimate - first.estimate
    if first.standard_error is None or second.standard_error is None:
        return EffectPair(path, label, first, second, difference, Uncertainty())
    error, df = satterthwaite([(first.standard_error, _df(tables[0])), (second.standard_error, _df(tables[1]))])
    return EffectPair(path, label, first, second, difference, student(difference, error, df, count))


def _df(table: Effects) -> float:
    """Return the degrees of freedom behind a table's standard errors; Lenth's are a third of the number of effects."""
    return len(table.effects) / 3 if table.error.method == "lenth" else table.error.df
