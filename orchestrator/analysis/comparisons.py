"""Paired differences between the design's rows and each baseline, the choice of a row, and the expected gain of a maximum."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import integrate, stats

from hadamard.orchestrator.analysis.inference import LEVEL, Array, Interval, Uncertainty, of_mean
from hadamard.orchestrator.analysis.observations import noise_within

FEWEST_FOR_INTERVAL = 3
FEWEST_FOR_BOOTSTRAP = 5
RESAMPLES = 9999
MEAN_ROW = "mean of all rows"
PICKED = "row picked on each split"


@dataclass(frozen=True)
class Comparison(Uncertainty):
    """An arm minus a baseline on the splits that both have; above zero the arm is better. With fewer than three it has no intervals."""

    arm: str
    baseline: str
    by_split: dict[int, float]
    mean: float
    bootstrap: Interval | None = None
    """Percentiles of resampled splits, bias-corrected and accelerated; None with too few splits or none that differ."""
    note: str | None = None


@dataclass(frozen=True)
class Screen:
    """The best row of the screen beside the mean of all, and the gain that picking the best would show if all rows were equal."""

    rows: int
    mean: float
    best: str
    maximum: float
    expected_gain: float | None
    """None where no row has two splits to tell noise from."""

    @property
    def gain(self) -> float:
        """By how much the best row beats the mean row."""
        return self.maximum - self.mean


def paired_differences(results: pd.DataFrame, response: str = "test_accuracy", seed: int = 0) -> tuple[Comparison, ...]:
    """Compare the design's rows with each baseline on common splits: their mean, the row picked on each split, the row picked over all.

    Rows are picked by `picking_column`, never by `response`. A row that lacks a split enters the mean with its own level, so that a
    gap does not look like a change.

    Args:
        results: one line per trial.
        response: what to compare; higher is better.
        seed: of the bootstrap.
    """
    rows, baselines = by_split(results, response), by_split(results, response, baselines=True)
    if rows.empty:
        return ()
    validation = by_split(results, picking_column(results)).reindex_like(rows)
    picked = best_by_validation(results)
    pairs = []
    for name in baselines.columns:
        differences = rows.sub(baselines[name], axis=0)
        if differences.notna().any(axis=None):
            pairs.append((MEAN_ROW, name, _mean_over_rows(differences)))
        pairs.append((PICKED, name, _picked_by_split(rows, validation) - baselines[name]))
        if picked is not None:
            pairs.append((picked, name, rows[picked] - baselines[name]))
    pairs = [(arm, name, differences.dropna()) for arm, name, differences in pairs]
    pairs = [pair for pair in pairs if len(pair[2])]
    tested = sum(len(differences) >= FEWEST_FOR_INTERVAL for _, _, differences in pairs)
    return tuple(_compare(arm, name, differences, tested, seed) for arm, name, differences in pairs)


def picking_column(results: pd.DataFrame) -> str:
    """Return what rows are picked by: `cv_accuracy` where all finished ones have it, else `validation_accuracy`."""
    rows = results[results["row"].notna() & (results["status"] == "done")]
    crossed = "cv_accuracy" in rows and len(rows) and rows["cv_accuracy"].notna().all()
    return "cv_accuracy" if crossed else "validation_accuracy"


def best_by_validation(results: pd.DataFrame) -> str | None:
    """Return the row with the highest mean `picking_column`, of those with the most finished splits; None without any."""
    validation = by_split(results, picking_column(results))
    if validation.empty:
        return None
    finished = validation.notna().sum()
    return str(validation.loc[:, finished == finished.max()].mean().idxmax())


def screen(results: pd.DataFrame, response: str = "test_accuracy") -> Screen | None:
    """Set the best row's mean response beside the mean of all rows; None where rows have not met on common splits."""
    table = by_split(results, response)
    if table.empty:
        return None
    fitted = _additive(table)
    if not fitted.connected:
        return None
    level, noise = fitted.levels, fitted.noise_sd
    gain = None if noise is None else expected_maximum(len(level)) * noise
    return Screen(len(level), float(level.mean()), str(level.idxmax()), float(level.max()), gain)


def expected_maximum(count: int) -> float:
    """Return the expected largest of `count` independent standard normal numbers."""
    if count < 2:
        return 0.0
    density = stats.norm.pdf

    def weighted(x: float) -> float:
        return float(x * count * density(x) * stats.norm.cdf(x) ** (count - 1))

    return float(integrate.quad(weighted, -10, 10)[0])


def by_split(results: pd.DataFrame, response: str, baselines: bool = False) -> pd.DataFrame:
    """Return a table of the response [splits, arms] of finished trials, nan where there is none; arms in the order of their names."""
    wanted = (results["status"] == "done") & (results["row"].isna() == baselines) & results[response].notna()
    return results[wanted].pivot(index="split", columns="arm", values=response).astype(float)


@dataclass(frozen=True)
class _Additive:
    """A table [splits, rows] as level of the row plus shift of the split, by least squares over the cells that are there."""

    connected: bool
    """Whether rows met on common splits, directly or by way of others; else levels and shifts mean nothing."""

    levels: pd.Series
    shifts: pd.Series
    """Sum to zero over splits."""
    noise_sd: float | None
    """Of one row's mean; None without degrees of freedom."""


def _additive(table: pd.DataFrame) -> _Additive:
    cells = table.stack().dropna()
    (rows, row_names), (splits, split_names) = (pd.factorize(cells.index.get_level_values(name), sort=True) for name in ("arm", "split"))
    fit = noise_within(rows, splits, cells.to_numpy(dtype=float))
    shifts = fit.beta[len(row_names) :]
    noise = np.sqrt(fit.rss / fit.df / (len(cells) / len(row_names))) if fit.df > 0 else None
    return _Additive(
        not fit.null.size,
        pd.Series(fit.beta[: len(row_names)], index=row_names),
        pd.Series([*shifts, -shifts.sum()], index=split_names),
        None if noise is None else float(noise),
    )


def _mean_over_rows(differences: pd.DataFrame) -> pd.Series:
    """Return the mean over rows by split; where cells of the table [splits, rows] are missing, as if they followed the other cells."""
    fitted = _additive(differences)
    return fitted.levels.mean() + fitted.shifts if fitted.connected else differences.mean(axis=1)


def _picked_by_split(rows: pd.DataFrame, validation: pd.DataFrame) -> pd.Series:
    """Return the response of the row that was best inside the drawn sentences of each split; the mean of those that tie."""
    known = validation.where(rows.notna())
    best = known.eq(known.max(axis=1), axis=0)
    return rows.where(best).mean(axis=1)


def _compare(arm: str, baseline: str, differences: pd.Series, count: int, seed: int) -> Comparison:
    values = differences.to_numpy(dtype=float)
    splits = {int(split): float(value) for split, value in differences.items()}
    mean = float(values.mean())
    shared = "1 common split" if len(values) == 1 else f"{len(values)} common splits"
    if len(values) < FEWEST_FOR_INTERVAL:
        return Comparison(arm, baseline, splits, mean, note=f"{shared}: too few for an interval")
    known = of_mean(values, count)
    note = None if len(values) >= FEWEST_FOR_BOOTSTRAP else f"{shared}: too few for a bootstrap"
    return Comparison(arm, baseline, splits, mean, _bootstrap(values, seed), note, **vars(known))


def _bootstrap(values: Array, seed: int) -> Interval | None:
    if len(values) < FEWEST_FOR_BOOTSTRAP or np.ptp(values) < 1e-12:
        return None
    interval = stats.bootstrap(
        (values,), np.mean, n_resamples=RESAMPLES, confidence_level=LEVEL, rng=np.random.default_rng(seed)
    ).confidence_interval
    return float(interval.low), float(interval.high)
