"""The arms of two studies: which are the same, and how their test accuracy differs, paired on common splits where there are any."""

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
from hadamard.orchestrator.commands.render import Result
from hadamard.orchestrator.design.factors import short_names, value_text
from hadamard.orchestrator.study.schema import REPRESENTATION

RESPONSE = "test_accuracy"
COMMON_ROWS = "mean of common rows"

Identity = str | tuple[str, ...]
"""What identifies an arm in another study: a baseline's name, or a row's values of all factors of both studies."""
Split = tuple[str, int, int, float]
"""What makes two splits the same draw: hash of the corpus, seed, sentences per class, validation's part."""
Values = dict[Split, float]
"""Test accuracy by split."""


@dataclass(frozen=True)
class Arm:
    """Rows of the same settings, or a baseline, with the test accuracy on each split that is done."""

    label: str
    names: tuple[str, ...]
    values: Values


class ArmSummary(Result):
    """An arm of one study."""

    rows: tuple[str, ...]
    """Names of the rows of these settings, or of the baseline."""
    mean: float | None
    """Test accuracy, the mean over splits; None without any."""
    splits: int


@dataclass(frozen=True)
class Difference(Uncertainty):
    """Second minus first; without intervals where splits are too few, or all numbers the same."""

    estimate: float
    method: Literal["paired", "unpaired"]
    """Paired on the splits that both have done, or, where no split is in both, means of different splits (Welch)."""
    splits: tuple[int, int]


class ArmPair(Result):
    """The same arm in both studies, or an arm that one of them lacks."""

    arm: str
    first: ArmSummary | None
    second: ArmSummary | None
    difference: Difference | None


def arm_pairs(first: Side, second: Side) -> tuple[ArmPair, ...]:
    """Return the arms that both studies have, the mean of their common rows before them, then those that one of them has."""
    factors = {factor.path: factor for side in (first, second) for factor in side.plan.design.factors}
    labels = dict(zip(factors, short_names(tuple(factors.values())), strict=True))
    of_first, of_second = _arms(first, labels), _arms(second, labels)
    common = [identity for identity in of_first if identity in of_second]
    matched = [(of_first[identity], of_second[identity]) for identity in common]
    rows = [identity for identity in common if not isinstance(identity, str)]
    if len(rows) > 1:
        matched.insert(0, (_mean_of([of_first[row] for row in rows]), _mean_of([of_second[row] for row in rows])))
    values = [_compared_values(*arms) for arms in matched]
    count = sum(_has_interval(*both) for both in values)
    pairs = [_pair(a, b, _difference(*both, count)) for (a, b), both in zip(matched, values, strict=True)]
    pairs += [_pair(arm, None) for identity, arm in of_first.items() if identity not in of_second]
    return (*pairs, *(_pair(None, arm) for identity, arm in of_second.items() if identity not in of_first))


def _pair(first: Arm | None, second: Arm | None, difference: Difference | None = None) -> ArmPair:
    label = next(arm.label for arm in (first, second) if arm)
    return ArmPair(arm=label, first=_summary(first), second=_summary(second), difference=difference)


def _summary(arm: Arm | None) -> ArmSummary | None:
    if arm is None:
        return None
    mean = float(np.mean(list(arm.values.values()))) if arm.values else None
    return ArmSummary(rows=arm.names, mean=mean, splits=len(arm.values))


def _arms(side: Side, labels: Mapping[str, str]) -> dict[Identity, Arm]:
    """Return the arms, rows first; labels are the short names of all factors of both studies, by path."""
    rows = {row.name for row in side.plan.design.rows}
    of_arm: dict[str, list[Trial]] = {}
    for trial in side.plan.trials:
        of_arm.setdefault(trial.arm, []).append(trial)
    same: dict[Identity, list[str]] = {}
    for name in sorted(of_arm, key=lambda name: (name not in rows, name)):
        identity = _row(of_arm[name], labels) if name in rows else _baseline(of_arm[name], labels)
        same.setdefault(identity, []).append(name)
    done = _by_split(side)
    return {
        identity: Arm(_label(identity, labels), tuple(names), _mean_by_split([done.get(name, {}) for name in names]))
        for identity, names in same.items()
    }


def _row(trials: Sequence[Trial], labels: Mapping[str, str]) -> Identity:
    return tuple(_value(trials, path) for path in labels)


def _baseline(trials: Sequence[Trial], labels: Mapping[str, str]) -> Identity:
    """Return the baseline's name, and its representation where that is a factor of either study."""
    name = trials[0].arm.partition(".")[0]
    return f"{name}, {labels[REPRESENTATION]} {_value(trials, REPRESENTATION)}" if REPRESENTATION in labels else name


def _label(identity: Identity, labels: Mapping[str, str]) -> str:
    if isinstance(identity, str):
        return identity
    return ", ".join(f"{name} {value}" for name, value in zip(labels.values(), identity, strict=True))


def _value(trials: Sequence[Trial], path: str) -> str:
    """Return a setting of an arm in words: `none` where its head has none of that name, `tuned` where its trials differ in it."""
    values = set()
    for trial in trials:
        node: Any = trial.settings
        for name in path.split("."):
            node = getattr(node, name, None)
        values.add("none" if node is None else value_text(node))
    return values.pop() if len(values) == 1 else "tuned"


def _by_split(side: Side) -> dict[str, Values]:
    """Return the test accuracy by arm and split, of what is done."""
    splits = {(trial.arm, trial.split): _split(trial) for trial in side.plan.trials}
    table = side.results
    table = table[(table["status"] == "done") & table[RESPONSE].notna()]
    values: dict[str, Values] = {}
    for arm, split, value in zip(table["arm"], table["split"], table[RESPONSE], strict=True):
        values.setdefault(str(arm), {})[splits[arm, split]] = float(value)
    return values


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


def _compared_values(first: Arm, second: Arm) -> tuple[Values, Values]:
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
    a, b = np.array(list(first.values())), np.array(list(second.values()))
    estimate, splits = float(b.mean() - a.mean()), (len(a), len(b))
    paired = first.keys() == second.keys()
    method: Literal["paired", "unpaired"] = "paired" if paired else "unpaired"
    if not _has_interval(first, second):
        return Difference(estimate, method, splits)
    if paired:
        return Difference(estimate, method, splits, **vars(of_mean(b - a, count)))
    error, df = satterthwaite([(float(values.std(ddof=1) / math.sqrt(len(values))), len(values) - 1) for values in (a, b)])
    return Difference(estimate, method, splits, **vars(student(estimate, error, df, count)))


def satterthwaite(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return standard error and degrees of freedom of a difference of independent estimates (Welch, Biometrika 34, 1947).

    Args:
        parts: Standard error and degrees of freedom of each.
    """
    variance = sum(error**2 for error, _ in parts)
    spread = sum(error**4 / df for error, df in parts)
    return math.sqrt(variance), variance**2 / spread if spread > 0 else sum(df for _, df in parts)
