"""The arms of two studies: which are the same, and how their test accuracy differs, paired on common splits where there are any.

Owns the matching and the differences. Does not own effects of factors, nor wording.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hadamard.model.trial import Trial
from hadamard.orchestrator.analysis.comparisons import FEWEST_FOR_INTERVAL
from hadamard.orchestrator.analysis.inference import Uncertainty, of_mean, student
from hadamard.orchestrator.commands.compare.side import Side
from hadamard.orchestrator.design.factors import short_names, value_text
from hadamard.orchestrator.study.schema import REPRESENTATION

RESPONSE = "test_accuracy"
COMMON_ROWS = "mean of common rows"

Where = str | tuple[str, ...]
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
    """Second minus first; without intervals where splits are too few, or all numbers the same."""

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


def _arms(side: Side, labels: Mapping[str, str]) -> dict[Where, Arm]:
    """Return the arms, rows first; labels are the short names of all factors of both studies, by path."""
    rows = {row.name for row in side.plan.design.rows}
    of_arm: dict[str, list[Trial]] = {}
    for trial in side.plan.trials:
        of_arm.setdefault(trial.arm, []).append(trial)
    found: dict[Where, list[str]] = {}
    for name in sorted(of_arm, key=lambda name: (name not in rows, name)):
        place = _row(of_arm[name], labels) if name in rows else _baseline(of_arm[name], labels)
        found.setdefault(place, []).append(name)
    done = _by_split(side)
    return {
        place: Arm(_label(place, labels), tuple(names), _mean_by_split([done.get(name, {}) for name in names]))
        for place, names in found.items()
    }


def _row(trials: Sequence[Trial], labels: Mapping[str, str]) -> Where:
    return tuple(_value(trials, path) for path in labels)


def _baseline(trials: Sequence[Trial], labels: Mapping[str, str]) -> Where:
    """Return the baseline's name, and its representation where that is a factor of either study."""
    name = trials[0].arm.partition(".")[0]
    return f"{name}, {labels[REPRESENTATION]} {_value(trials, REPRESENTATION)}" if REPRESENTATION in labels else name


def _label(place: Where, labels: Mapping[str, str]) -> str:
    if isinstance(place, str):
        return place
    return ", ".join(f"{name} {value}" for name, value in zip(labels.values(), place, strict=True))


def _value(trials: Sequence[Trial], path: str) -> str:
    """Return a setting of an arm in words: `none` where its head has none of that name, `tuned` where its trials differ in it."""
    found = set()
    for trial in trials:
        node: Any = trial.settings
        for name in path.split("."):
            node = getattr(node, name, None)
        found.add("none" if node is None else value_text(node))
    return found.pop() if len(found) == 1 else "tuned"


def _by_split(side: Side) -> dict[str, Values]:
    """Return the test accuracy by arm and split, of what is done."""
    splits = {(trial.arm, trial.split): _split(trial) for trial in side.plan.trials}
    table = side.results
    table = table[(table["status"] == "done") & table[RESPONSE].notna()]
    found: dict[str, Values] = {}
    for arm, split, value in zip(table["arm"], table["split"], table[RESPONSE], strict=True):
        found.setdefault(str(arm), {})[splits[arm, split]] = float(value)
    return found


def _split(trial: Trial) -> Split:
    data = trial.settings.data
    return trial.data_hash, trial.split_seed, data.train_per_class, data.validation_fraction


def _mean_by_split(repeats: Sequence[Values]) -> Values:
    """Return the mean of rows of the same settings on each split that any of them has done."""
    splits = dict.fromkeys(split for values in repeats for split in values)
    return {split: float(np.mean([values[split] for values in repeats if split in values])) for split in splits}


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
    """Whether there are splits enough, and anything that varies: the very same trials differ by nothing, surely."""
    return min(len(first), len(second)) >= FEWEST_FOR_INTERVAL and first != second


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
        return Difference(estimate, method, splits, **vars(of_mean(two - one, count)))
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
