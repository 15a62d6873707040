"""The arms of two studies: which are the same, and how their test accuracy differs, paired on common splits where there are any.

Owns the matching and the differences. Does not own effects of factors, nor wording.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from model.settings import Trial
from orchestrator.analysis.comparisons import FEWEST_FOR_INTERVAL
from orchestrator.analysis.inference import Uncertainty, student
from orchestrator.compare.side import Side
from orchestrator.design.factors import short_names, value_text
from orchestrator.ledger import TrialRecord

RESPONSE = "test_accuracy"
COMMON_ROWS = "mean of common rows"

Place = str | tuple[str, ...]
"""What identifies an arm in another study: a baseline's name, or a row's values of all factors of both studies."""
Split = tuple[str, int, int, float]
"""What makes two splits the same draw: hash of the corpus, seed, sentences per class, validation's part."""
Values = dict[Split, float]


@dataclass(frozen=True)
class Arm:
    """Rows of the same settings, or a baseline, with the test accuracy on each split that is done."""

    label: str
    names: tuple[str, ...]
    values: Values

    @property
    def mean(self) -> float | None:
        """Mean over splits; None without any."""
        return float(np.mean(list(self.values.values()))) if self.values else None


@dataclass(frozen=True)
class Difference(Uncertainty):
    """Second minus first; without intervals where splits are too few."""

    estimate: float
    method: Literal["paired", "unpaired"]
    """Paired on the splits that both have done, or, where no split is in both, means of different splits (Welch)."""
    splits: tuple[int, int]


@dataclass(frozen=True)
class ArmPair:
    """The same arm in both studies, or an arm of one of them."""

    label: str
    first: Arm | None
    second: Arm | None
    difference: Difference | None


def arm_pairs(first: Side, second: Side) -> tuple[ArmPair, ...]:
    """Return the arms that both studies have, the mean of their common rows before them, then those that one of them has."""
    factors = {factor.path: factor for side in (first, second) for factor in side.plan.design.factors}
    labels = dict(zip(factors, short_names(tuple(factors.values())), strict=True))
    one, two = _arms(first, labels), _arms(second, labels)
    both = [place for place in one if place in two]
    found = [(one[place].label, one[place], two[place]) for place in both]
    rows = [place for place in both if not isinstance(place, str)]
    if len(rows) > 1:
        means = [_mean_of([arms[place] for place in rows]) for arms in (one, two)]
        found.insert(0, (means[0].label, means[0], means[1]))
    pairs = [(label, *_values(a, b), a, b) for label, a, b in found]
    count = sum(_has_interval(left, right) for _, left, right, _, _ in pairs)
    compared = [ArmPair(label, a, b, _difference(left, right, count)) for label, left, right, a, b in pairs]
    alone = [ArmPair(arm.label, arm, None, None) for place, arm in one.items() if place not in two]
    return tuple(compared + alone + [ArmPair(arm.label, None, arm, None) for place, arm in two.items() if place not in one])


def _arms(side: Side, labels: Mapping[str, str]) -> dict[Place, Arm]:
    """Return the arms, rows first; labels are the short names of all factors of both studies, by path."""
    rows = {row.name for row in side.plan.design.rows}
    found: dict[Place, dict[str, list[TrialRecord]]] = {}
    for record in sorted(side.records, key=lambda record: (record.trial.arm not in rows, record.trial.key)):
        trial = record.trial
        place: Place = tuple(str(_value(trial, path)) for path in labels) if trial.arm in rows else trial.arm
        found.setdefault(place, {}).setdefault(trial.arm, []).append(record)
    arms: dict[Place, Arm] = {}
    for place, by_name in found.items():
        records = [record for of_arm in by_name.values() for record in of_arm]
        values = {path: _value(records[0].trial, path) for path in labels}
        label = place if isinstance(place, str) else ", ".join(f"{labels[path]} {value_text(value)}" for path, value in values.items())
        arms[place] = Arm(label, tuple(by_name), _by_split(records))
    return arms


def _value(trial: Trial, path: str) -> Any:
    """Return a setting of a trial, None where its head has none of that name."""
    node: Any = trial.settings
    for name in path.split("."):
        node = getattr(node, name, None)
    return node


def _by_split(records: Sequence[TrialRecord]) -> Values:
    """Return the test accuracy on each split, the mean of repeated rows."""
    found: dict[Split, list[float]] = {}
    for record in records:
        if record.status == "done" and record.responses.get(RESPONSE) is not None:
            found.setdefault(_split(record.trial), []).append(record.responses[RESPONSE])
    return {split: float(np.mean(values)) for split, values in found.items()}


def _split(trial: Trial) -> Split:
    data = trial.settings.data
    return trial.data_hash, trial.split_seed, data.train_per_class, data.validation_fraction


def _mean_of(arms: Sequence[Arm]) -> Arm:
    """Return the mean of several rows on the splits that all of them have done."""
    splits = [split for split in arms[0].values if all(split in arm.values for arm in arms)]
    names = tuple(name for arm in arms for name in arm.names)
    return Arm(f"{COMMON_ROWS} ({len(arms)})", names, {split: float(np.mean([arm.values[split] for arm in arms])) for split in splits})


def _values(first: Arm, second: Arm) -> tuple[Values, Values]:
    """Return what is compared: the common splits, or all of both where none is common."""
    common = [split for split in first.values if split in second.values]
    if not common:
        return first.values, second.values
    return {split: first.values[split] for split in common}, {split: second.values[split] for split in common}


def _has_interval(first: Values, second: Values) -> bool:
    return min(len(first), len(second)) >= FEWEST_FOR_INTERVAL


def _difference(first: Values, second: Values, count: int) -> Difference | None:
    """Return second minus first, one of `count` that have intervals; None where one has no finished split."""
    if not first or not second:
        return None
    one, two = np.array(list(first.values())), np.array(list(second.values()))
    estimate, splits = float(two.mean() - one.mean()), (len(one), len(two))
    paired = first.keys() == second.keys()
    method: Literal["paired", "unpaired"] = "paired" if paired else "unpaired"
    if not _has_interval(first, second):
        return Difference(estimate, method, splits)
    if paired:
        error, df = float((two - one).std(ddof=1) / math.sqrt(len(one))), float(len(one) - 1)
    else:
        error, df = satterthwaite([(float(values.std(ddof=1) / math.sqrt(len(values))), len(values) - 1) for values in (one, two)])
    return Difference(estimate, method, splits, **vars(student(estimate, error, df, count)))


def satterthwaite(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return standard error and degrees of freedom of a difference of independent estimates (Welch, Biometrika 34, 1947).

    Args:
        parts: Standard error and degrees of freedom of each.
    """
    variance = sum(error**2 for error, _ in parts)
    spread = sum(error**4 / df for error, df in parts)
    return math.sqrt(variance), variance**2 / spread if spread > 0 else sum(df for _, df in parts)
