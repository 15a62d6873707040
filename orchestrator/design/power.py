"""Power of t tests of main effects with splits as blocks: the smallest effect that a design can find, and the splits that one needs.

The noise of the response is the caller's: measured, or assumed before anything is run.
"""

from __future__ import annotations

import bisect
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
        design: The rows and factors.
        splits: How often every row is run; each split is a block.
        sd: Standard deviation of one trial within its block, in the response's units (1 gives effects in such deviations).
        alpha: Two-sided significance level, of each test by itself.
        power: Wanted probability of detecting the effect.
    """
    terms, columns = main_effect_columns(design.factors, design.coded)
    centred = columns - columns.mean(axis=0)
    inverse = np.linalg.pinv(centred)
    unique = np.abs(np.diag(inverse @ centred) - 1) < 1e-6
    df = len(centred) * splits - splits - int(np.linalg.matrix_rank(centred))
    reach = detectable_noncentrality(df, alpha, power) if df > 0 else None
    # A coefficient's standard error: the diagonal of (X'X)^-1 over all rows of all splits.
    errors = sd * np.sqrt(np.sum(inverse**2, axis=1) / splits)
    effects = []
    for i, term in enumerate(terms):
        one_of_several = design.factors[term.factor].is_unordered
        meaning: Meaning = "level against the mean of levels" if one_of_several else "low to high"
        if not unique[i]:
            effects.append(SmallestEffect(term.label, None, meaning, "the rows cannot tell this effect from others"))
        elif reach is None:
            reason = f"no residual degrees of freedom are left by {len(centred)} rows, splits = {splits} and {len(terms)} terms"
            effects.append(SmallestEffect(term.label, None, meaning, reason))
        else:
            # From -1 to 1 is twice the coefficient.
            effects.append(SmallestEffect(term.label, float(reach * errors[i]) * (1 if one_of_several else 2), meaning))
    return tuple(effects)


def splits_needed(design: Design, sd: float, effect: float, power: float, alpha: float = 0.05) -> int | None:
    """Return the fewest splits with which every main effect of this size is found, each by its own test; see `smallest_effect`.

    Args:
        design: The rows and factors.
        sd: Standard deviation of one trial within its block, in the response's units.
        effect: Wanted; from low to high, or of a level against the mean of levels where a factor has more than two unordered ones.
        power: Wanted probability of detecting it.
        alpha: Two-sided significance level.

    Returns:
        None where no number of splits up to 10,000 is enough: the rows cannot tell some effect from others, or the effect is too small.

    Raises:
        ValueError: The effect is not above zero, or power not above alpha.
    """

    def finds(splits: int) -> bool:  # more splits never find less
        detectable = [term.effect for term in smallest_effect(design, splits, sd, alpha, power)]
        return all(smallest is not None and smallest <= effect for smallest in detectable)

    if effect <= 0:
        raise ValueError(f"effect = {effect} must be above zero: no number of splits finds nothing")
    fewest = bisect.bisect_left(range(1, MOST_SPLITS + 1), True, key=finds) + 1
    return fewest if fewest <= MOST_SPLITS else None


def detectable_noncentrality(df: int, alpha: float, power: float) -> float:
    """Return how many of its standard errors an effect must measure for a two-sided t test at `alpha` to find it with this power.

    t squared is noncentral F with 1 and df degrees of freedom, which SciPy computes where its noncentral t returns NaN.

    Raises:
        ValueError: Power is not above alpha, which a test reaches even without an effect.
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
