"""The effects of factors that two studies both have, and whether they agree."""

from __future__ import annotations

from collections.abc import Sequence

from hadamard.orchestrator.analysis.effects import Effect, Effects, main_effects
from hadamard.orchestrator.analysis.inference import Uncertainty, student
from hadamard.orchestrator.commands.compare.arms import RESPONSE, satterthwaite
from hadamard.orchestrator.commands.compare.side import Side
from hadamard.orchestrator.commands.render import Result


class EffectPair(Result):
    """The effect of a factor that both studies have, in accuracy (0.01 is one point)."""

    path: str
    label: str
    first: Effect | None
    second: Effect | None
    difference: float | None = None
    """Second minus first; None where one is missing or the levels are others."""
    uncertainty: Uncertainty = Uncertainty()
    """Of the difference, as if both studies' noise were independent."""
    agree: bool | None = None
    """Whether the difference could be nothing; None where that is not known."""


def effect_pairs(first: Side, second: Side) -> tuple[EffectPair, ...]:
    """Return the effects of factors that both studies have, in the order of the first."""
    tables = [_effects(side) for side in (first, second)]
    of_first, of_second = (_by_change(side, table) for side, table in zip((first, second), tables, strict=True))
    shared = {factor.path for factor in first.plan.design.factors} & {factor.path for factor in second.plan.design.factors}
    keys = [key for key in dict.fromkeys([*of_first, *of_second]) if key[0] in shared]
    count = sum(key in of_first and key in of_second for key in keys)
    return tuple(_effect_pair(key[0], of_first.get(key), of_second.get(key), tables, count) for key in keys)


def _effects(side: Side) -> Effects:
    return main_effects(side.plan.design, side.results, RESPONSE)


def _by_change(side: Side, table: Effects) -> dict[tuple[str, str, str], Effect]:
    """Return the effects by path, level and change: names depend on the other factors, and another change is another effect."""
    paths = [factor.path for factor in side.plan.design.factors]
    return {(paths[effect.factors[0]], effect.label.partition(" = ")[2], effect.change): effect for effect in table.effects}


def _effect_pair(path: str, first: Effect | None, second: Effect | None, tables: Sequence[Effects], count: int) -> EffectPair:
    shown = next(effect for effect in (first, second) if effect)
    pair = EffectPair(path=path, label=f"{shown.label} {shown.change}", first=first, second=second)
    if first is None or second is None:
        return pair
    difference = second.estimate - first.estimate
    if first.standard_error is None or second.standard_error is None:
        return pair.model_copy(update={"difference": difference})
    error, df = satterthwaite([(first.standard_error, _df(tables[0])), (second.standard_error, _df(tables[1]))])
    known = student(difference, error, df, count)
    agree = None if known.interval is None else not (known.is_hint or known.stands_out)
    return pair.model_copy(update={"difference": difference, "uncertainty": known, "agree": agree})


def _df(table: Effects) -> float:
    """Return the degrees of freedom behind a table's standard errors; Lenth's are a third of the number of effects."""
    return len(table.effects) / 3 if table.error.method == "lenth" else table.error.df
