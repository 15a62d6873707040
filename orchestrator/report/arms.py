"""The arms of a study in the report: accuracies and costs per arm, and comparisons of arms that share embeddings."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import pandas as pd

from hadamard.orchestrator.analysis.comparisons import FEWEST_FOR_INTERVAL, Comparison, paired_differences, picking_column
from hadamard.orchestrator.analysis.inference import Uncertainty, of_mean, student
from hadamard.orchestrator.design.factors import Factor
from hadamard.orchestrator.study.schema import REPRESENTATION

WORDS = {"cv_accuracy": "cross-validation", "validation_accuracy": "validation"}
"""What arms are ranked by, by its column."""


@dataclass(frozen=True)
class Group:
    """The arms on one kind of embeddings, and how its rows compare with its baselines."""

    representation: str | None
    """None where the study does not vary it."""
    results: pd.DataFrame
    comparisons: tuple[Comparison, ...]


@dataclass(frozen=True)
class Gain(Uncertainty):
    """What a representation does for a classical head: its accuracy minus that on the first representation, on common splits."""

    head: str
    representation: str
    over: str
    mean: float
    splits: int


def picked_by(results: pd.DataFrame) -> str:
    """Return what rows are picked by, in words: cross-validation where trials have it, else validation."""
    return WORDS[picking_column(results)]


def ranking_column(arms: pd.DataFrame) -> str:
    """Return what these arms can be ranked by: `cv_accuracy` if all of them have it, as no baseline does that tunes nothing.

    Args:
        arms: those that are to be ranked with each other, as `arm_means` makes them.
    """
    return "cv_accuracy" if arms["cv_accuracy"].notna().all() else "validation_accuracy"


def arm_means(results: pd.DataFrame, costs: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return a line per arm with a finished trial.

    Columns: `arm`, `baseline`, `done`, `mean` and `sd` of test accuracy, means `validation_accuracy` and `cv_accuracy` (missing where
    there was no cross-validation), `parameters`; with `costs` also `energy_j` and `train_s`, the medians of its trials, missing unless
    measured for all of them.
    """
    done = results[results["status"] == "done"]
    grouped = done.groupby("arm", sort=True)
    table = pd.DataFrame(
        {
            "baseline": grouped["row"].agg(lambda row: bool(row.isna().all())).astype(bool),
            "done": grouped.size(),
            "mean": grouped["test_accuracy"].mean(),
            "sd": grouped["test_accuracy"].std(),
            "validation_accuracy": grouped["validation_accuracy"].mean(),
            "cv_accuracy": grouped["cv_accuracy"].mean() if "cv_accuracy" in done else float("nan"),
            "parameters": grouped["parameters"].max(),
        }
    )
    if costs is not None:
        by_arm = done[["key", "arm"]].merge(costs, on="key", how="left").groupby("arm")
        for column in ("energy_j", "train_s"):
            table[column] = by_arm[column].agg(lambda values: values.median() if values.notna().all() else float("nan"))
    return table.reset_index()


def groups(results: pd.DataFrame) -> tuple[Group, ...]:
    """Return the arms by the embeddings that they share; their joint intervals hold for the comparisons of all groups together.

    Args:
        results: one line per trial.
    """
    parts = _by_representation(results)
    compared = {name: paired_differences(part) for name, part in parts.items()}
    count = with_intervals(pair for pairs in compared.values() for pair in pairs)
    return tuple(Group(name, part, tuple(_among(pair, count) for pair in compared[name])) for name, part in parts.items())


def with_intervals(comparisons: Iterable[Comparison]) -> int:
    """Return how many of the comparisons have intervals, which is how many hold together."""
    return sum(pair.interval is not None for pair in comparisons)


def gains(results: pd.DataFrame, factor: Factor | None) -> tuple[Gain, ...]:
    """Return what each representation but the first does for each classical head that has both.

    Args:
        results: one line per trial.
        factor: the design's factor of representations, None where there is none.
    """
    if factor is None or results.loc[results["row"].isna(), REPRESENTATION].isna().all():
        return ()
    done = results[(results["status"] == "done") & results["row"].isna()].copy()
    done["head"] = [head_of(arm) for arm in done["arm"]]
    table = done.pivot_table(index="split", columns=["head", REPRESENTATION], values="test_accuracy")
    first, *others = map(str, factor.levels)
    pairs = []
    for head in table.columns.unique(0):
        for level in others:
            if {(head, first), (head, level)} <= set(table.columns):
                differences = (table[head, level] - table[head, first]).dropna()
                if len(differences):
                    pairs.append((str(head), level, differences))
    tested = sum(len(differences) >= FEWEST_FOR_INTERVAL for _, _, differences in pairs)
    return tuple(_gain(head, level, first, differences, tested) for head, level, differences in pairs)


def head_of(arm: str) -> str:
    """Return a baseline's name without that of the embeddings it is on, which it ends in where they are a factor."""
    return arm.partition(".")[0]


def _by_representation(results: pd.DataFrame) -> dict[str | None, pd.DataFrame]:
    on = results.get(REPRESENTATION)
    if on is None or on[results["row"].isna()].isna().all():
        return {None: results}
    return {str(name): results[on == name] for name in on.dropna().unique()}


def _among(comparison: Comparison, count: int) -> Comparison:
    """Return the comparison with a joint interval that holds for `count` of them."""
    if comparison.standard_error is None:
        return comparison
    return replace(comparison, **vars(student(comparison.mean, comparison.standard_error, len(comparison.by_split) - 1, count)))


def _gain(head: str, level: str, first: str, differences: pd.Series, count: int) -> Gain:
    values = differences.to_numpy(dtype=float)
    known = of_mean(values, count) if len(values) >= FEWEST_FOR_INTERVAL else Uncertainty()
    return Gain(head, level, first, float(values.mean()), len(values), **vars(known))
