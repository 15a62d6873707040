"""Effects as contrasts of a linear model, with the error term they deserve and intervals that hold one by one and all together.

Owns least squares, the choice of error term, Sidak's and Lenth's intervals. Does not own designs or results tables: those are the analysis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

Array = NDArray[np.float64]
Interval = tuple[float, float]
Verdict = Literal["stands out", "hint", "noise", "unknown"]

LEVEL = 0.95
FEWEST_DF = 3
"""Below this many degrees of freedom a t interval is too wide to say anything, and Lenth's method takes over."""
POOL_ABOVE_P = 0.25
"""Lack of fit joins the noise only above this p value: a preliminary test should err towards not pooling (Bancroft 1964)."""
SURE_LACK_OF_FIT = 0.05
"""Below this p value rows surely lie off the model, and it is worth a word."""


@dataclass(frozen=True)
class Effect:
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
    standard_error: float | None = None
    interval: Interval | None = None
    p: float | None = None
    simultaneous: Interval | None = None
    """Holds for all effects of the table together, at the same level."""
    simultaneous_p: float | None = None

    @property
    def stands_out(self) -> bool:
        """Whether the simultaneous interval excludes zero."""
        return excludes_zero(self.simultaneous)

    @property
    def is_hint(self) -> bool:
        """Whether only the individual interval excludes zero."""
        return excludes_zero(self.interval) and not self.stands_out

    @property
    def verdict(self) -> Verdict:
        """What the intervals say; `unknown` without any."""
        if self.interval is None:
            return "unknown"
        return "stands out" if self.stands_out else "hint" if self.is_hint else "noise"


@dataclass(frozen=True)
class FactorTest:
    """F test of a whole factor or interaction, given everything else in the model (type III)."""

    factors: tuple[int, ...]
    f: float
    df: tuple[int, float]
    p: float


@dataclass(frozen=True)
class ErrorTerm:
    """The yardstick that intervals are made with."""

    method: Literal["residual", "trials", "rows", "lenth", "none"]
    """`residual`: what the model leaves; `trials`: the noise within rows alone; `rows`: how far rows lie off the model;
    `lenth`: the small effects themselves; `none`: there is nothing to measure with."""
    sd: float | None = None
    df: float = 0
    lack_of_fit_p: float | None = None
    """Small: rows differ by more than the model and the noise explain, so interactions or curvature are at work."""

    def half_width(self, unit: float) -> float | None:
        """Return half the width of a t interval for an estimate with this standard error per unit of `sd`."""
        return None if self.sd is None else float(stats.t.isf((1 - LEVEL) / 2, self.df)) * unit * self.sd


NO_ERROR = ErrorTerm("none")


@dataclass(frozen=True)
class Lenth:
    """Lenth's pseudo standard error and margins (R. V. Lenth, Technometrics 31, 1989)."""

    pse: float
    df: float
    margin: float
    simultaneous_margin: float


@dataclass(frozen=True)
class Fit:
    """Least squares by pseudo-inverse, so that a rank-deficient model still gives what it can."""

    beta: Array
    unscaled: Array
    """Covariance of `beta` per unit of residual variance."""
    null: Array
    """Directions of the coefficients that the data cannot see, [coefficients, deficiency]."""
    rss: float
    df: int

    def estimable(self, contrasts: Array) -> bool:
        """Return whether the data determine a contrast [coefficients], or all of several [q, coefficients]."""
        return bool(np.all(np.abs(contrasts @ self.null) < 1e-7))

    def unit(self, contrast: Array) -> float:
        """Return the contrast's standard error per unit of residual standard deviation."""
        return float(np.sqrt(contrast @ self.unscaled @ contrast))


def least_squares(matrix: Array, response: Array) -> Fit:
    """Fit `response` [n] on `matrix` [n, coefficients]."""
    inverse = np.linalg.pinv(matrix)
    beta = inverse @ response
    df = len(response) - int(np.linalg.matrix_rank(matrix))
    return Fit(beta, inverse @ inverse.T, linalg.null_space(matrix), float(np.sum((response - matrix @ beta) ** 2)), df)


def choose_error(fit: Fit, noise: Fit, biased: bool) -> ErrorTerm:
    """Choose the yardstick for the effects of a model.

    Rows that lie off the model by more than noise do so because of interactions or curvature. Where those shift the effects, rows are
    what varies at random and their scatter is the yardstick, or the scatter of effects where too few rows are left over; where the design
    keeps effects clear of them, the noise of trials is.

    Args:
        fit: the model.
        noise: the model with one free mean per row; what it leaves is noise that no setting explains.
        biased: whether what the model leaves out shifts its effects.
    """
    lack_df, lack_ss = fit.df - noise.df, max(fit.rss - noise.rss, 0.0)
    p = None
    if lack_df > 0 and noise.df > 0 and noise.rss > 0:
        p = float(stats.f.sf(lack_ss / lack_df / (noise.rss / noise.df), lack_df, noise.df))
    if p is not None and p <= POOL_ABOVE_P:
        if biased and lack_df >= FEWEST_DF:
            return ErrorTerm("rows", float(np.sqrt(lack_ss / lack_df)), lack_df, p)
        if biased and p <= SURE_LACK_OF_FIT:
            return ErrorTerm("lenth", lack_of_fit_p=p)
        if not biased and noise.df >= FEWEST_DF:
            return ErrorTerm("trials", float(np.sqrt(noise.rss / noise.df)), noise.df, p)
    if fit.df >= FEWEST_DF:
        return ErrorTerm("residual", float(np.sqrt(fit.rss / fit.df)), fit.df, p)
    return ErrorTerm("lenth")


def with_intervals(effects: Sequence[Effect], error: ErrorTerm) -> tuple[Effect, ...]:
    """Add intervals, alone and together; the effects come back bare where there is nothing to measure with."""
    if error.method == "lenth":
        return _with_lenth(effects)
    if error.sd is None or not effects:
        return tuple(effects)
    quantiles = [(1 - LEVEL) / 2, sidak_level(len(effects)) / 2]
    alone, together = (float(q) for q in stats.t.isf(quantiles, error.df))
    found = []
    for effect in effects:
        se = effect.unit * error.sd
        p = float(2 * stats.t.sf(abs(effect.estimate) / se, error.df)) if se > 0 else float(effect.estimate == 0)
        effect = _around(effect, se, alone * se, together * se)
        found.append(replace(effect, p=p, simultaneous_p=sidak_p(p, len(effects))))
    return tuple(found)


def _with_lenth(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    relative = relative_precision(effects)
    margins = lenth([effect.estimate / by for effect, by in zip(effects, relative, strict=True)])
    if margins is None:
        return tuple(effects)
    return tuple(
        _around(effect, margins.pse * by, margins.margin * by, margins.simultaneous_margin * by)
        for effect, by in zip(effects, relative, strict=True)
    )


def _around(effect: Effect, se: float, half: float, together: float) -> Effect:
    middle = effect.estimate
    return replace(effect, standard_error=se, interval=(middle - half, middle + half), simultaneous=(middle - together, middle + together))


def lenth(estimates: Sequence[float]) -> Lenth | None:
    """Return Lenth's margins for effects of equal precision, most of them assumed to be null; None for fewer than three."""
    sizes = np.abs(np.asarray(estimates, dtype=float))
    if len(sizes) < 3:
        return None
    small = sizes[sizes <= 2.5 * 1.5 * np.median(sizes)]
    pse = 1.5 * float(np.median(small))
    df = len(sizes) / 3
    alone, together = (float(q) for q in stats.t.isf([(1 - LEVEL) / 2, sidak_level(len(sizes)) / 2], df))
    return Lenth(pse, df, alone * pse, together * pse)


def factor_test(fit: Fit, factors: tuple[int, ...], pick: Array, error: ErrorTerm) -> FactorTest | None:
    """Test the coefficients picked by `pick` [q, coefficients] against zero, given all others; None where that cannot be done."""
    if not error.sd or not fit.estimable(pick):
        return None
    beta, covariance = pick @ fit.beta, pick @ fit.unscaled @ pick.T
    f = float(beta @ np.linalg.solve(covariance, beta)) / len(pick) / error.sd**2
    return FactorTest(factors, f, (len(pick), error.df), float(stats.f.sf(f, len(pick), error.df)))


def relative_precision(effects: Sequence[Effect]) -> list[float]:
    """Return each effect's standard error over the typical one: all 1 in a balanced two-level design."""
    units = np.array([effect.unit for effect in effects])
    return [float(by) for by in units / np.median(units)] if len(units) else []


def sidak_level(count: int) -> float:
    """Return the error rate that each of `count` statements may have so that all hold at once.

    Sidak's inequality covers two-sided t intervals with a common error term however they are correlated, and is never wider than
    Bonferroni's.
    """
    return float(1 - LEVEL ** (1 / count))


def sidak_p(p: float, count: int) -> float:
    """Return the p value adjusted for being one of `count`; excludes 0.05 exactly when the simultaneous interval excludes zero."""
    return 1.0 if p >= 1 else float(-np.expm1(count * np.log1p(-p)))


def excludes_zero(interval: Interval | None) -> bool:
    """Return whether there is an interval and zero lies outside it."""
    return interval is not None and not interval[0] <= 0 <= interval[1]
