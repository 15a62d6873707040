"""Main effects, interactions, level means and aliases of the finished trials.

Blocks are in blocks.py, intervals in inference.py, centre points in curvature.py, differences from baselines in comparisons.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from hadamard.orchestrator.analysis.blocks import ONE_SPLIT, SplitTerm, block_columns, fit_in_splits
from hadamard.orchestrator.analysis.inference import (
    NO_ERROR,
    Array,
    ErrorTerm,
    FactorTest,
    Uncertainty,
    choose_error,
    factor_test,
    relative_precision,
    uncertainties,
)
from hadamard.orchestrator.analysis.observations import Observed, observed, setting_noise
from hadamard.orchestrator.design.aliases import Aliases, aliases
from hadamard.orchestrator.design.columns import interaction_columns, main_effect_columns
from hadamard.orchestrator.design.design import Design
from hadamard.orchestrator.design.factors import Factor, level_label, short_names, shortly_named

Columns = Callable[[Array], Array]
"""From coded settings [n, factors] to the terms of a model [n, terms]."""
Groups = dict[tuple[int, ...], list[int]]
"""Terms to be tested together, by the factors they belong to."""
NOTHING_DONE = "No trial of the design has finished yet."


@dataclass(frozen=True)
class Effect(Uncertainty):
    """How far the response moves for one change of a factor, or half the difference of two such moves for an interaction."""

    label: str
    """Short and unique in its table, such as `qubits`, `merge = blocks` or `qubits × lr`."""
    change: str
    """From which level to which, as shown to people."""
    factors: tuple[int, ...]
    estimate: float
    """In units of the response; a natural logarithm of a ratio where the response is on a log scale."""
    unit: float
    """Standard error per unit of residual standard deviation."""


@dataclass(frozen=True)
class Effects:
    """A table of effects with its error term, and why effects are missing."""

    response: str
    log: bool = False
    mean: float | None = None
    """Of the finished rows on the average split; None where they did not meet on common splits."""
    effects: tuple[Effect, ...] = ()
    tests: tuple[FactorTest, ...] = ()
    error: ErrorTerm = NO_ERROR
    split_term: SplitTerm = ONE_SPLIT
    reason: str | None = None
    """Why the table is empty or incomplete; None when it is complete."""
    aliases: Aliases | None = None
    """What the rows with at least one finished trial mix up, by short names; None before any has finished."""
    rows: int = 0
    trials: int = 0
    splits: int = 0

    @property
    def detectable(self) -> float | None:
        """Half the width of the widest simultaneous interval: a smaller effect could not be told from noise."""
        widths = [effect.simultaneous[1] - effect.simultaneous[0] for effect in self.effects if effect.simultaneous]
        return max(widths) / 2 if widths else None


def main_effects(
    design: Design, results: pd.DataFrame, response: str = "test_accuracy", log: bool = False, node: str | None = None
) -> Effects:
    """Estimate each factor's effect from low to high, with splits as blocks: fixed, or random where failures unbalanced the design.

    Args:
        design: the design that the rows of `results` belong to.
        results: one line per trial; failed and owed ones leave gaps, which the fit allows for.
        response: a column of `results`.
        log: analyse the logarithm, so that effects are logarithms of ratios.
        node: the column of `results` that says on which node a trial was; nodes are fixed blocks then, as they should be for joules.
    """
    seen = observed(design, results, response, log, node)

    def columns(coded: Array) -> Array:
        return main_effect_columns(design.factors, coded)[1]

    wanted = [_Wanted(step.label, step.change, (step.factor,), step.contrast(columns)) for step in _steps(design.factors)]
    terms = main_effect_columns(design.factors, design.coded)[0]
    groups: Groups = {(i,): [at for at, term in enumerate(terms) if term.factor == i] for i in range(len(design.factors))}
    if not len(seen.rows):
        return Effects(response, log, reason=NOTHING_DONE)
    mixed = finished_aliases(design.factors, seen)
    biased = any(mixed.main_effects.values())
    return replace(_estimate(seen, columns, wanted, groups, biased), response=response, log=log, aliases=mixed)


def interactions(design: Design, results: pd.DataFrame, response: str = "test_accuracy", log: bool = False) -> Effects:
    """Estimate those two-factor interactions that the finished rows can tell from every main effect and every other interaction.

    Arguments as for `main_effects`. An effect is half of how much the first factor's effect changes from the second's low to high level.
    """
    seen = observed(design, results, response, log)
    if len(design.factors) < 2:
        return Effects(response, log, reason="A design with one factor has no interactions.")
    if not len(seen.rows):
        return Effects(response, log, reason=NOTHING_DONE)
    terms = main_effect_columns(design.factors, design.coded)[0]
    pairs = interaction_columns(design.factors, design.coded)[0]

    def columns(coded: Array) -> Array:
        return np.column_stack([main_effect_columns(design.factors, coded)[1], interaction_columns(design.factors, coded)[1]])

    wanted = [
        _Wanted(f"{a.label} × {b.label}", f"{a.change}; {b.change}", (a.factor, b.factor), _crossed(a, b, columns))
        for a, b in combinations(_steps(design.factors), 2)
        if a.factor != b.factor
    ]
    groups: Groups = {}
    for at, pair in enumerate(pairs):
        groups.setdefault((pair.first.factor, pair.second.factor), []).append(len(terms) + at)
    estimated = _estimate(seen, columns, wanted, groups, biased=True)
    if not estimated.effects:
        which = "The two-factor interaction cannot" if len(groups) == 1 else f"None of the {len(groups)} two-factor interactions can"
        rows = len(np.unique(seen.distinct, axis=0))
        reason = (
            f"{which} be told from everything else: the model with all of them needs {1 + len(terms) + len(pairs)} coefficients, "
            f"and the finished trials are of {rows} different row{'' if rows == 1 else 's'}."
        )
        estimated = replace(estimated, reason=reason)
    return replace(estimated, response=response, log=log, aliases=finished_aliases(design.factors, seen))


def adjusted_means(design: Design, results: pd.DataFrame, effects: Effects, factors: tuple[int, ...]) -> pd.DataFrame:
    """Return the mean response at each level of one factor, or in each cell of two, the other factors averaged over the finished rows.

    Columns: `coded` and `label` (tuples, one entry per factor), `mean`, `low`, `high` (None without an error term), `trials`. Intervals
    leave out how splits differ, because every level is seen on the same splits. Cells that cannot be estimated are left out.
    """
    seen = observed(design, results, effects.response, effects.log)
    names = ["coded", "label", "mean", "low", "high", "trials"]
    if not len(seen.rows):
        return pd.DataFrame(columns=names)
    cells, which = np.unique(seen.coded[:, factors].round(9), axis=0, return_inverse=True)
    which = which.reshape(-1)
    terms, columns = main_effect_columns(design.factors, seen.coded)
    others = columns[:, [at for at, term in enumerate(terms) if term.factor not in factors]]
    others = others - others[np.unique(seen.rows, return_index=True)[1]].mean(axis=0)
    fit, _ = fit_in_splits(np.column_stack([np.eye(len(cells))[which], others]), seen.splits, seen.response)
    lines = []
    for at, cell in enumerate(cells):
        contrast = np.eye(len(fit.beta))[at]
        if fit.estimable(contrast):
            mean, half = float(contrast @ fit.beta), effects.error.half_width(fit.unit(contrast))
            label = tuple(level_label(design.factors[factor], value) for factor, value in zip(factors, cell, strict=True))
            low, high = (None, None) if half is None else (mean - half, mean + half)
            lines.append((tuple(map(float, cell)), label, mean, low, high, int(np.sum(which == at))))
    return pd.DataFrame(lines, columns=names)


def half_normal(effects: Effects) -> pd.DataFrame:
    """Return `label`, `size`, `quantile` and `verdict`, smallest effect first: null effects lie on a line through the origin.

    Sizes are brought to equal precision, which changes nothing in a balanced two-level design.
    """
    relative = relative_precision([effect.unit for effect in effects.effects])
    by_size = sorted((abs(effect.estimate) / by, at, effect) for at, (effect, by) in enumerate(zip(effects.effects, relative, strict=True)))
    quantiles = stats.norm.ppf(0.5 + (np.arange(len(by_size)) + 0.5) / max(2 * len(by_size), 1))
    lines = [(effect.label, size, float(quantile), effect.verdict) for (size, _, effect), quantile in zip(by_size, quantiles, strict=True)]
    return pd.DataFrame(lines, columns=["label", "size", "quantile", "verdict"])


def finished_aliases(factors: Sequence[Factor], seen: Observed) -> Aliases:
    """Return what the rows with a finished trial mix up, in short names: failures change what a design can tell apart."""
    return aliases(shortly_named(factors), seen.distinct)


@dataclass(frozen=True)
class _Step:
    """One change of one factor that is worth an effect: coded settings [1, factors] before and after."""

    factor: int
    label: str
    change: str
    low: Array
    high: Array

    def contrast(self, columns: Columns) -> Array:
        return np.asarray(columns(self.high)[0] - columns(self.low)[0])


def _steps(factors: Sequence[Factor]) -> list[_Step]:
    """Return low to high for numeric and two-level factors, and the first level to each other one for the rest."""
    steps = []
    for index, (factor, name) in enumerate(zip(factors, short_names(factors), strict=True)):
        ends = [(0.0, float(to)) for to in range(1, len(factor.levels))] if factor.is_unordered else [(-1.0, 1.0)]
        for low, high in ends:
            settings = np.zeros((2, 1, len(factors)))
            settings[:, 0, index] = low, high
            label = f"{name} = {level_label(factor, high)}" if factor.is_unordered else name
            first = level_label(factor, low)
            change = f"from {first}" if factor.is_unordered else f"{first} → {level_label(factor, high)}"
            steps.append(_Step(index, label, change, settings[0], settings[1]))
    return steps


def _crossed(a: _Step, b: _Step, columns: Columns) -> Array:
    """Return half the difference between the first step taken at the second's high and at its low level."""

    def corner(first: Array, second: Array) -> Array:
        both = first.copy()
        both[:, b.factor] = second[:, b.factor]
        return np.asarray(columns(both)[0])

    at_high = corner(a.high, b.high) - corner(a.low, b.high)
    at_low = corner(a.high, b.low) - corner(a.low, b.low)
    return (at_high - at_low) / 2


@dataclass(frozen=True)
class _Wanted:
    """An effect to be estimated, as a contrast of the model's term columns."""

    label: str
    change: str
    factors: tuple[int, ...]
    contrast: Array


def _estimate(seen: Observed, columns: Columns, wanted: Sequence[_Wanted], groups: Groups, biased: bool) -> Effects:
    """Fit intercept, term columns and splits; return what can be estimated, with intervals, and the names of the rest.

    Args:
        seen: the finished trials.
        columns: from coded settings to the model's terms.
        wanted: effects as contrasts of the terms.
        groups: terms to be tested together, by the factors they belong to.
        biased: whether what the model leaves out shifts its effects.
    """
    counts = Effects("", rows=len(seen.distinct), trials=len(seen.rows), splits=len(np.unique(seen.splits)))
    terms = columns(seen.coded)
    fit, split_term = fit_in_splits(np.column_stack([np.ones(len(terms)), terms, block_columns(seen.nodes)]), seen.splits, seen.response)
    places = np.eye(len(fit.beta))
    effects, missing = [], []
    for want in wanted:
        contrast = want.contrast @ places[1 : 1 + terms.shape[1]]
        if fit.estimable(contrast):
            effects.append(Effect(want.label, want.change, want.factors, float(contrast @ fit.beta), fit.unit(contrast)))
        else:
            missing.append(want.label)
    error = choose_error(fit, setting_noise(seen), biased)
    if error.method == "lenth" and len(effects) < 3:
        error = NO_ERROR
    known = uncertainties([effect.estimate for effect in effects], [effect.unit for effect in effects], error)
    middle = places[0] + columns(seen.distinct).mean(axis=0) @ places[1 : 1 + terms.shape[1]]
    tests = [factor_test(fit, factors, places[[1 + at for at in group]], error) for factors, group in groups.items()]
    return replace(
        counts,
        mean=float(middle @ fit.beta) if fit.estimable(middle) else None,
        effects=tuple(replace(effect, **vars(uncertainty)) for effect, uncertainty in zip(effects, known, strict=True)),
        tests=tuple(test for test in tests if test),
        error=error,
        split_term=split_term,
        reason=f"The trials that finished cannot tell these from other terms: {', '.join(missing)}." if missing else None,
    )
