"""McNemar's test of the picked row against each baseline, for the report's table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from hadamard.model.files.correct_bits import CorrectBits
from hadamard.orchestrator.analysis.comparisons import MEAN_ROW, PICKED
from hadamard.orchestrator.analysis.mcnemar import McNemarOverSplits, mcnemar, mcnemar_over_splits
from hadamard.orchestrator.report.arms import Group

Disagreements = dict[tuple[str, str], McNemarOverSplits]
"""By arm and baseline."""


def disagreements(groups: Sequence[Group], right: Mapping[str, CorrectBits]) -> Disagreements:
    """Return McNemar's test of each picked row against each baseline, over the splits on which sentences of both are known.

    Args:
        groups: the arms by embeddings, with their comparisons.
        right: by a trial's key, which of its split's test sentences it classified right.
    """
    tests: Disagreements = {}
    for group in groups:
        keys = group.results[group.results["key"].isin(list(right))].set_index(["arm", "split"])["key"]
        for pair in group.comparisons:
            if pair.arm in (MEAN_ROW, PICKED):
                continue
            by_split = {split: _keys(keys, pair.arm, pair.baseline, split) for split in pair.by_split}
            of_split = {split: mcnemar(right[a], right[b]) for split, (a, b) in by_split.items() if a is not None and b is not None}
            if of_split:
                tests[pair.arm, pair.baseline] = mcnemar_over_splits(of_split)
    return tests


def in_words(test: McNemarOverSplits | None) -> str | None:
    """Return on how many splits the row is better and worse; None where sentences are not known."""
    if test is None:
        return None
    told = [f"{verdict} on {number}" for number, verdict in ((test.a_better, "better"), (test.b_better, "worse")) if number]
    return f"{', '.join(told) or 'not told apart on any'} of {test.splits}"


def _keys(keys: pd.Series, arm: str, baseline: str, split: int) -> tuple[str | None, str | None]:
    return keys.get((arm, split)), keys.get((baseline, split))
