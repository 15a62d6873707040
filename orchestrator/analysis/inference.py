"""Least squares, the choice of an error term, and intervals that hold alone and all together (Student, Sidak, Lenth)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Array = NDArray[np.float64]
Interval = tuple[float, float]
Verdict = Literal["stands out", "hint", "noise", "unknown"]

LEVEL = 0.95
FEWEST_DF = 3
"""Below this many degrees of freedom a t interval is too wide to say anything, and Lenth's method takes over."""
ROUNDING = 1e-12
"""Relative to the largest response: differences below it are the computer's, not the trials'."""
POOL_ABOVE_P = 0.25
"""Lack of fit joins the noise only above this p value: a preliminary test should err towards not pooling (Bancroft 1964)."""
SURE_LACK_OF_FIT = 0.05
"""Below this p value rows surely lie off the model, and it is worth a word."""


@dataclass(frozen=True, kw_only=True)
class Uncertainty:
    """How well an estimate is known; all None where there is nothing to measure with."""

    standard_error: float | None = None
    interval: Interval | None = None
    p: float | None = None
    """None for Lenth's intervals, too."""
    simultaneous: Interval | None = None
    """Holds for all estimates of the table together, at the same level."""
    simultaneous_p: float | None = None
    among: int | None = None
    """How many estimates that is."""

    @property
    def stands_out(self) -> bool:
        """Whether the simultaneous interval excludes zero."""
        return _excludes_zero(self.simultaneous)

    @property
    def is_hint(self) -> bool:
        """Whether only the individual interval excludes zero."""
        return _excludes_zero(self.interval) and not self.stands_out

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
    """The standard deviation that intervals are made with, and its degrees of freedom."""

    method: Literal["residual", "trials", "rows", "lenth", "none"]
    """`residual`: what the model leaves; `trials`: the noise within rows alone; `rows`: how far rows lie off the model;
    `lenth`: the small effects themselves; `none`: there is nothing to measure with."""
    sd: float | None = None
    df: float = 0
    lack_of_fit_p: float | None = None
    """Small: rows differ by more than the model and the noise explain, so interactions or curvature are at work."""

    def half_width(self, unit: float) -> float | None:
        """Return half the width of a t interval for an estimate with this standard error per unit of `sd`."""
        return None if self.sd is None else t_margins(self.df, 1)[0] * unit * self.sd


NO_ERROR = ErrorTerm("none")


@dataclass(frozen=True)
class Lenth:
    """Lenth's pseudo standard error and margins (R. V. Lenth, Technometrics 31, 1989)."""

    pse: float
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
    """Fit `response` [n] on `matrix` [n, coefficients]; what lies below the rounding of the response counts as nothing."""
    trials, coefficients = matrix.shape
    padded = np.vstack([matrix, np.zeros((max(coefficients - trials, 0), coefficients))])  # so that there is a direction per coefficient
    left, sizes, right = np.linalg.svd(padded, full_matrices=False)
    rank = int(np.sum(sizes > sizes.max(initial=0.0) * max(matrix.shape) * np.finfo(float).eps))
    inverse = (right[:rank].T / sizes[:rank]) @ left[:trials, :rank].T
    rounding = ROUNDING * float(np.max(np.abs(response), initial=0.0))
    beta = _without_rounding(inverse @ response, rounding)
    residuals = _without_rounding(response - matrix @ beta, rounding)
    return Fit(beta, inverse @ inverse.T, right[rank:].T, float(np.sum(residuals**2)), trials - rank)


def _without_rounding(numbers: Array, rounding: float) -> Array:
    return np.where(np.abs(numbers) < rounding, 0.0, numbers)


def choose_error(fit: Fit, noise: Fit, biased: bool) -> ErrorTerm:
    """Choose the error term for the effects of a model.

    Rows that lie off the model by more than noise do so because of interactions or curvature. Where those shift the effects, rows are
    what varies at random and their scatter is the error term, or the scatter of effects where too few rows are left over; where the design
    keeps effects clear of them, the noise of trials is.

    Args:
        fit: the model.
        noise: the model with one free mean per setting of the factors; what it leaves is noise that no setting explains.
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
        if not biased and (of_trials := scatter("trials", noise, p)):
            return of_trials
    return scatter("residual", fit, p) or (NO_ERROR if fit.df >= FEWEST_DF else ErrorTerm("lenth"))


def scatter(method: Literal["residual", "trials"], fit: Fit, lack_of_fit_p: float | None = None) -> ErrorTerm | None:
    """Return what a fit leaves as an error term; None where it leaves nothing, or too few degrees of freedom."""
    if fit.df < FEWEST_DF or fit.rss <= 0:
        return None
    return ErrorTerm(method, float(np.sqrt(fit.rss / fit.df)), fit.df, lack_of_fit_p)


def uncertainties(estimates: Sequence[float], units: Sequence[float], error: ErrorTerm) -> list[Uncertainty]:
    """Return the uncertainty of each estimate, alone and together.

    Args:
        estimates: contrasts of one fit.
        units: their standard errors per unit of residual standard deviation.
        error: their error term.
    """
    if error.method == "lenth":
        return _by_lenth(estimates, units)
    if error.sd is None:
        return [Uncertainty() for _ in estimates]
    return [student(estimate, unit * error.sd, error.df, len(estimates)) for estimate, unit in zip(estimates, units, strict=True)]


def of_mean(values: Array, count: int) -> Uncertainty:
    """Return how well the mean of independent values [n] is known, n two or more, alone and as one of `count` that hold together."""
    return student(float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values))), len(values) - 1, count)


def student(estimate: float, standard_error: float, df: float, count: int) -> Uncertainty:
    """Return Student's t intervals and p values of an estimate, alone and as one of `count` that are to hold together."""
    alone, together = (margin * standard_error for margin in t_margins(df, count))
    p = float(2 * stats.t.sf(abs(estimate) / standard_error, df)) if standard_error > 0 else float(estimate == 0)
    return Uncertainty(
        standard_error=standard_error,
        interval=(estimate - alone, estimate + alone),
        p=p,
        simultaneous=(estimate - together, estimate + together),
        simultaneous_p=sidak_p(p, count),
        among=count,
    )


@cache
def t_margins(df: float, count: int) -> tuple[float, float]:
    """Return half the widths, in standard errors, of a t interval by itself and of one of `count` that are to hold together."""
    alone, together = stats.t.isf([(1 - LEVEL) / 2, sidak_level(count) / 2], df)
    return float(alone), float(together)


def _by_lenth(estimates: Sequence[float], units: Sequence[float]) -> list[Uncertainty]:
    relative = relative_precision(units)
    margins = lenth([estimate / by for estimate, by in zip(estimates, relative, strict=True)])
    if margins is None:
        return [Uncertainty() for _ in estimates]
    return [
        Uncertainty(
            standard_error=margins.pse * by,
            interval=(estimate - margins.margin * by, estimate + margins.margin * by),
            simultaneous=(estimate - margins.simultaneous_margin * by, estimate + margins.simultaneous_margin * by),
            among=len(estimates),
        )
        for estimate, by in zip(estimates, relative, strict=True)
    ]


def lenth(estimates: Sequence[float]) -> Lenth | None:
    """Return Lenth's margins for effects of equal precision, most of them assumed to be null; None for fewer than three."""
    sizes = np.abs(np.asarray(estimates, dtype=float))
    if len(sizes) < 3:
        return None
    small = sizes[sizes < 2.5 * 1.5 * np.median(sizes)]
    pse = 1.5 * float(np.median(small)) if len(small) else 0.0
    if pse == 0:
        return None  # most effects are exactly nothing: there is no scatter to measure with
    alone, together = t_margins(len(sizes) / 3, len(sizes))
    return Lenth(pse, alone * pse, together * pse)


def factor_test(fit: Fit, factors: tuple[int, ...], pick: Array, error: ErrorTerm) -> FactorTest | None:
    """Test the coefficients picked by `pick` [q, coefficients] against zero, given all others; None where that cannot be done."""
    if not error.sd or not fit.estimable(pick):
        return None
    beta, covariance = pick @ fit.beta, pick @ fit.unscaled @ pick.T
    f = float(beta @ np.linalg.solve(covariance, beta)) / len(pick) / error.sd**2
    return FactorTest(factors, f, (len(pick), error.df), float(stats.f.sf(f, len(pick), error.df)))


def relative_precision(units: Sequence[float]) -> list[float]:
    """Return each estimate's standard error over the typical one: all 1 in a balanced two-level design."""
    return [float(by) for by in np.asarray(units) / np.median(units)] if len(units) else []


def sidak_level(count: int) -> float:
    """Return the error rate that each of `count` statements may have so that all hold at once.

    Sidak's inequality covers two-sided t intervals with a common error term however they are correlated, and is never wider than
    Bonferroni's. Paired differences have error terms of their own, for which it is not proven; simulation finds it on the safe side.
    """
    return float(1 - LEVEL ** (1 / count))


def sidak_p(p: float, count: int) -> float:
    """Return the p value adjusted for being one of `count`; excludes 0.05 exactly when the simultaneous interval excludes zero."""
    return 1.0 if p >= 1 else float(-np.expm1(count * np.log1p(-p)))


def _excludes_zero(interval: Interval | None) -> bool:
    return interval is not None and not interval[0] <= 0 <= interval[1]
