"""How small an effect a design can find, and how many splits a wanted one takes: the price of rows and splits, before anything is run.

Owns the power of t tests of main effects with splits as blocks, and of paired differences. Does not own the noise of the response, which
the caller supplies or assumes.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import optimize, stats

from hadamard.orchestrator.design.columns import main_effect_columns
from hadamard.orchestrator.design.design import Design

Meaning = Literal["low to high", "level against the mean of levels"]
MOST_SPLITS = 10_000
"""More are never the answer: the splits of a corpus would be nearly the same sentences over and over."""


@dataclass(frozen=True)
class SmallestEffect:
    """The smallest effect of one term that a two-sided t test finds with the wanted power."""

    label: str
    effect: float | None
    """In the response's units; None if there is none, see `reason`."""
    meaning: Meaning
    """What the effect is: the latter for a categorical factor of more than two levels."""
    reason: str | None = None
    """Why there is no such effect."""


def smallest_effect(design: Design, splits: int, sd: float, alpha: float = 0.05, power: float = 0.8) -> tuple[SmallestEffect, ...]:
    """Return the smallest detectable effect of every term, if all rows finish in all splits.

    The model is response = split + main effects + noise, so rows * splits - splits - terms degrees of freedom are left for the noise.

    Args:
        design: its rows and factors.
        splits: how often every row is run; each split is a block.
        sd: standard deviation of one trial within its block, in the response's units (1 gives effects in such deviations).
        alpha: two-sided significance level, of each test by itself.
        power: wanted probability of finding the effect.
    """
    terms, columns = main_effect_columns(design.factors, design.coded)
    centred = columns - columns.mean(axis=0)
    inverse = np.linalg.pinv(centred)
    unique = np.abs(np.diag(inverse @ centred) - 1) < 1e-6
    df = len(centred) * splits - splits - int(np.linalg.matrix_rank(centred))
    reach = detectable_noncentrality(df, alpha, power) if df > 0 else None
    # A coefficient's standard error: the diagonal of (X'X)^-1 over all rows of all splits.
    errors = sd * np.sqrt(np.sum(inverse**2, axis=1) / splits)
    found = []
    for i, term in enumerate(terms):
        one_of_several = design.factors[term.factor].is_unordered
        meaning: Meaning = "level against the mean of levels" if one_of_several else "low to high"
        if not unique[i]:
            found.append(SmallestEffect(term.label, None, meaning, "the rows cannot tell this effect from others"))
        elif reach is None:
            reason = f"no residual degrees of freedom are left by {len(centred)} rows, splits = {splits} and {len(terms)} terms"
            found.append(SmallestEffect(term.label, None, meaning, reason))
        else:
            # From -1 to 1 is twice the coefficient.
            found.append(SmallestEffect(term.label, float(reach * errors[i]) * (1 if one_of_several else 2), meaning))
    return tuple(found)


def splits_needed(design: Design, sd: float, effect: float, power: float, alpha: float = 0.05) -> int | None:
    """Return the fewest splits with which every main effect of this size is found, each by its own test; see `smallest_effect`.

    Args:
        design: its rows and factors.
        sd: standard deviation of one trial within its block, in the response's units.
        effect: wanted; from low to high, or of a level against the mean of levels where a factor has more than two unordered ones.
        power: wanted probability of finding it.
        alpha: two-sided significance level.

    Returns:
        None where no number of splits up to 10,000 is enough: the rows cannot tell some effect from others, or the effect is too small.

    Raises:
        ValueError: the effect is not above zero, or power not above alpha.
    """

    def finds(splits: int) -> bool:
        found = [term.effect for term in smallest_effect(design, splits, sd, alpha, power)]
        return all(one is not None and one <= effect for one in found)

    return _fewest(finds, effect)


def splits_needed_for_difference(sd: float, effect: float, power: float, alpha: float = 0.05) -> int | None:
    """Return the fewest common splits with which a paired t test finds this difference of two heads; None if 10,000 are too few.

    Args:
        sd: standard deviation over splits of the difference of the two heads, in the response's units.
        effect: wanted difference.
        power: wanted probability of finding it.
        alpha: two-sided significance level.

    Raises:
        ValueError: the effect is not above zero, or power not above alpha.
    """

    def finds(splits: int) -> bool:
        return splits > 1 and detectable_noncentrality(splits - 1, alpha, power) * sd / np.sqrt(splits) <= effect

    return _fewest(finds, effect)


def _fewest(finds: Callable[[int], bool], effect: float) -> int | None:
    """Return the smallest number of splits that finds the effect, given that more splits never find less."""
    if effect <= 0:
        raise ValueError(f"effect = {effect} must be above zero: no number of splits finds nothing")
    found = bisect.bisect_left(range(1, MOST_SPLITS + 1), True, key=finds) + 1
    return found if found <= MOST_SPLITS else None


def detectable_noncentrality(df: int, alpha: float, power: float) -> float:
    """Return how many of its standard errors an effect must measure for a two-sided t test at `alpha` to find it with this power.

    t squared is noncentral F with 1 and df degrees of freedom, which SciPy computes where its noncentral t returns NaN.

    Raises:
        ValueError: power is not above alpha, which a test reaches even without an effect.
    """
    if not alpha < power < 1:
        raise ValueError(f"power = {power} must lie between alpha = {alpha} and 1")
    limit = stats.f.isf(alpha, 1, df)

    def surplus(distance: float) -> float:
        return float(stats.ncf.sf(limit, 1, df, distance**2)) - power

    above = 1.0
    while surplus(above) < 0:
        above *= 2
    return float(optimize.brentq(surplus, 0, above))
