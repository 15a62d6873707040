"""Paired differences against a textbook, picking by validation, and the luck of the best row against simulation."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from hadamard.orchestrator.analysis.comparisons import (
    MEAN_ROW,
    PICKED,
    Comparison,
    best_by_validation,
    expected_maximum,
    paired_differences,
    screen,
)
from hadamard.orchestrator.analysis.inference import sidak_level
from tests.support.published_designs import HARDNESS


def results_of(arms: dict[str, list[float | None]], validation: dict[str, list[float]] | None = None) -> pd.DataFrame:
    """Return results from accuracies by arm and split; arms named r.. are rows, None is a trial still owed."""
    lines = [
        {
            "key": f"{arm}-{split}", "arm": arm, "row": int(arm[1:]) if arm[0] == "r" else None, "split": split,
            "status": "owed" if value is None else "done", "test_accuracy": value,
            "validation_accuracy": None if value is None else (validation or {}).get(arm, [0.5] * 99)[split],
        }
        for arm, values in arms.items()
        for split, value in enumerate(values)
    ]  # fmt: skip
    return pd.DataFrame(lines).astype({"row": "Int64", "test_accuracy": float, "validation_accuracy": float})


def by_arm(comparisons: tuple[Comparison, ...]) -> dict[str, Comparison]:
    return {comparison.arm: comparison for comparison in comparisons}


def test_hardness_difference_has_montgomerys_interval() -> None:
    found = by_arm(paired_differences(results_of({"r00": list(HARDNESS[0]), "svc": list(HARDNESS[1])})))[MEAN_ROW]
    assert found.mean == pytest.approx(-0.10) or found.mean == pytest.approx(0.10)
    assert found.interval is not None
    assert (found.interval[1] - found.interval[0]) / 2 == pytest.approx(0.86, abs=0.005)
    assert not found.stands_out
    assert found.bootstrap is not None
    assert found.bootstrap[0] < 0 < found.bootstrap[1]


def test_a_worse_arm_is_shown_as_worse() -> None:
    rng = np.random.default_rng(0)
    easy = rng.normal(0.7, 0.05, 12)
    found = paired_differences(results_of({"r00": list(easy - 0.03 + rng.normal(0, 0.003, 12)), "logistic": list(easy)}))
    assert all(comparison.mean < 0 and comparison.stands_out for comparison in found)


def test_rows_are_picked_by_validation_not_by_test() -> None:
    test = {"r00": [0.9, 0.9, 0.9], "r01": [0.6, 0.6, 0.6], "svc": [0.5, 0.5, 0.5]}
    results = results_of(test, {"r00": [0.5, 0.5, 0.9], "r01": [0.8, 0.8, 0.8]})
    assert best_by_validation(results) == "r01"
    found = by_arm(paired_differences(results))
    assert found["r01"].mean == pytest.approx(0.1)
    assert list(found[PICKED].by_split.values()) == pytest.approx([0.1, 0.1, 0.4])
    assert found[MEAN_ROW].mean == pytest.approx(0.25)


def test_rows_that_tie_on_a_split_count_with_their_mean() -> None:
    found = by_arm(paired_differences(results_of({"r00": [0.9, 0.9], "r01": [0.7, 0.5], "svc": [0.5, 0.5]})))
    assert list(found[PICKED].by_split.values()) == pytest.approx([0.3, 0.2])


def test_a_gap_does_not_look_like_a_change() -> None:
    """The better row lacks a split; the mean over rows must not sink there."""
    found = by_arm(paired_differences(results_of({"r00": [0.9, 0.9, None], "r01": [0.7, 0.7, 0.7], "svc": [0.5, 0.5, 0.5]})))[MEAN_ROW]
    assert list(found.by_split.values()) == pytest.approx([0.3, 0.3, 0.3])
    assert found.bootstrap is None


def test_only_common_splits_are_compared() -> None:
    found = by_arm(paired_differences(results_of({"r00": [0.9, 0.8, None, 0.7], "mlp": [0.5, None, 0.5, 0.6]})))[MEAN_ROW]
    assert found.by_split == pytest.approx({0: 0.4, 3: 0.1})
    assert found.note == "2 common splits: too few for an interval"


def test_one_common_split_gives_no_interval_and_none_no_comparison() -> None:
    one = paired_differences(results_of({"r00": [0.9, None], "svc": [0.5, 0.5]}))
    assert {(comparison.interval, comparison.note) for comparison in one} == {(None, "1 common split: too few for an interval")}
    assert paired_differences(results_of({"r00": [0.9, None], "svc": [None, 0.5]})) == ()
    assert paired_differences(results_of({"r00": [None], "svc": [0.5]})) == ()
    assert paired_differences(results_of({"r00": [0.9, 0.8]})) == ()


def test_intervals_are_adjusted_for_all_comparisons_that_have_one() -> None:
    rng = np.random.default_rng(8)
    arms: dict[str, list[float | None]] = {name: list(rng.normal(0.7, 0.02, 6)) for name in ("r00", "r01", "svc", "mlp")}
    found = paired_differences(results_of({**arms, "logistic": [0.7, 0.6, None, None, None, None]}))
    assert len(found) == 9
    known = [comparison for comparison in found if comparison.interval]
    assert {comparison.among for comparison in known} == {len(known)} == {6}
    for comparison in known:
        margin = float(stats.t.isf(sidak_level(6) / 2, 5) * (comparison.standard_error or 0))
        assert comparison.simultaneous == pytest.approx((comparison.mean - margin, comparison.mean + margin))


def test_equal_differences_need_no_bootstrap() -> None:
    found = paired_differences(results_of({"r00": [0.75] * 6, "svc": [0.5] * 6}))[0]
    assert found.bootstrap is None
    assert found.interval == pytest.approx((0.25, 0.25))


@pytest.mark.parametrize(("count", "expected"), [(1, 0.0), (2, 0.56419), (3, 0.84628), (5, 1.16296), (10, 1.53875), (20, 1.86748)])
def test_expected_maximum_of_normal_numbers(count: int, expected: float) -> None:
    """Values of Pearson and Hartley's table of normal order statistics."""
    assert expected_maximum(count) == pytest.approx(expected, abs=1e-5)


@pytest.mark.slow
def test_the_best_of_equal_rows_gains_what_is_expected() -> None:
    rng = np.random.default_rng(4)

    def gains() -> tuple[float, float]:
        noise = 0.7 + rng.normal(0, 0.02, (5, 1)) + rng.normal(0, 0.005, (5, 12))
        found = screen(results_of({f"r{row:02d}": list(noise[:, row]) for row in range(12)}))
        assert found is not None
        assert found.expected_gain is not None
        return found.gain, found.expected_gain

    seen, expected = np.mean([gains() for _ in range(60)], axis=0)
    assert seen == pytest.approx(expected, rel=0.1)


def test_a_row_that_only_met_easy_splits_is_not_the_maximum() -> None:
    found = screen(results_of({"r00": [0.9, None, None], "r01": [0.91, 0.5, 0.5], "r02": [0.8, 0.4, 0.41]}))
    assert found is not None
    assert found.best == "r01"


def test_rows_that_never_met_are_not_ranked() -> None:
    assert screen(results_of({"r00": [0.9, None], "r01": [None, 0.3]})) is None
    found = by_arm(paired_differences(results_of({"r00": [0.9, None], "r01": [None, 0.3], "svc": [0.5, 0.5]})))
    assert found[MEAN_ROW].by_split == pytest.approx({0: 0.4, 1: -0.2})


def test_a_screen_of_one_split_cannot_tell_luck() -> None:
    found = screen(results_of({"r00": [0.9], "r01": [0.8]}))
    assert found is not None
    assert (found.gain, found.expected_gain) == (pytest.approx(0.05), None)
    assert screen(results_of({"svc": [0.9]})) is None
