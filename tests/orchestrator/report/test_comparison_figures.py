"""The figure of paired differences: which comparisons it shows, in which order, and its marks and title."""

from __future__ import annotations

import pandas as pd
import pytest

from hadamard.orchestrator.analysis.comparisons import MEAN_ROW, PICKED, Comparison
from hadamard.orchestrator.analysis.inference import Interval
from hadamard.orchestrator.report.answers import nouns
from hadamard.orchestrator.report.arms import Group
from hadamard.orchestrator.report.comparison_figures import MOST_IN_FULL, in_full, paired, shown, starts_a_block
from hadamard.orchestrator.report.published import Gap

RESULTS = pd.DataFrame({"row": [0], "status": ["done"], "validation_accuracy": [0.5]})


def comparison(arm: str, baseline: str, mean: float, half: float | None = 0.01, joint: float = 0.02) -> Comparison:
    alone: Interval | None = None if half is None else (mean - half, mean + half)
    together: Interval | None = None if half is None else (mean - joint, mean + joint)
    return Comparison(arm, baseline, {0: mean - 0.005, 1: mean + 0.005}, mean, interval=alone, simultaneous=together)


def of_baseline(baseline: str, mean: float) -> list[Comparison]:
    return [comparison(arm, baseline, mean) for arm in (MEAN_ROW, PICKED, "r03")]


def test_the_baseline_that_is_hardest_to_beat_comes_first() -> None:
    pairs = [*of_baseline("svc", 0.01), *of_baseline("logistic", -0.05)]
    assert [pair.baseline for pair in shown(pairs, full=True)] == ["logistic"] * 3 + ["svc"] * 3
    assert [(pair.arm, pair.baseline) for pair in shown(pairs, full=False)] == [("r03", "logistic"), ("r03", "svc")]


def test_blocks_begin_where_the_baseline_changes_and_have_several_lines() -> None:
    full = shown([*of_baseline("svc", 0.01), *of_baseline("logistic", -0.05)], full=True)
    assert [starts_a_block(full, at) for at in range(1, 6)] == [False, False, True, False, False]
    picked = [comparison("r03", "svc", 0.01), comparison("r03", "mlp", 0.02)]
    assert not starts_a_block(picked, 1)


@pytest.mark.parametrize(("heads", "full"), [(MOST_IN_FULL, True), (MOST_IN_FULL + 1, False)])
def test_of_many_baselines_only_the_picked_row_is_drawn(heads: int, full: bool) -> None:
    pairs = [pair for at in range(heads) for pair in of_baseline(f"head{at}", -0.01 * at)]
    groups = [Group(None, RESULTS, tuple(pairs))]
    assert in_full(groups) == full
    axes = paired(groups, nouns(True)).axes[0]
    assert len(axes.get_yticks()) == (3 * heads if full else heads)


def test_labels_title_and_published_gaps() -> None:
    pairs = (comparison(PICKED, "logistic.frozen", -0.04), comparison("r03", "logistic.frozen", -0.03))
    figure = paired([Group("frozen", RESULTS, pairs)], nouns(False), [Gap("theirs +3.0", 0.03, "a paper")])
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"{PICKED}  −  logistic", "r03, best by validation  −  logistic"]
    assert {"on frozen embeddings", "theirs +3.0"} <= {text.get_text() for text in axes.texts}
    assert axes.get_xlim()[1] > 3, "the published gap lies in the figure"
    assert figure.get_suptitle() == "Against classical heads: clearly better in 0, clearly worse in 2 of 2 comparisons"
    assert axes.get_xlabel().endswith("right of it the row")


def test_joint_intervals_that_would_dwarf_the_rest_end_in_arrows() -> None:
    axes = paired([Group(None, RESULTS, (comparison("r03", "svc", 0.0, joint=0.5),))], nouns(True)).axes[0]
    assert {line.get_marker() for line in axes.lines} >= {"<", ">"}
    assert axes.get_xlim()[1] < 5


def test_without_intervals_the_title_says_so() -> None:
    figure = paired([Group(None, RESULTS, (comparison("r03", "svc", 0.01, half=None),))], nouns(True))
    assert figure.get_suptitle() == "Against classical heads, without intervals: too few common splits"
