"""Factors: real and coded values, middles, and how they are named and written."""

from __future__ import annotations

import pytest

from hadamard.orchestrator.design.factors import Factor, level_label, short_names, shortly_named, value_text
from tests.support.designs import BATCH, LAYERS, LR, MERGE, QUBITS, SHARED

ODD = Factor("x", low=2, high=3, integer=True)


@pytest.mark.parametrize(
    ("factor", "numeric", "unordered", "middle", "choices"),
    [
        (QUBITS, True, False, False, (6, 10)),
        (BATCH, True, False, True, (8, 16, 32)),
        (MERGE, False, True, False, ("mean", "concatenate", "blocks")),
        (SHARED, False, False, False, (False, True)),
        (LR, True, False, True, (0.003, 0.03)),
        (LAYERS, True, False, True, (1, 5)),
        (ODD, True, False, False, (2, 3)),
        (Factor("x", low=0, high=1, steps=3), True, False, True, (0.0, 0.5, 1.0)),
    ],
)
def test_what_a_factor_can_do(factor: Factor, numeric: bool, unordered: bool, middle: bool, choices: tuple[object, ...]) -> None:
    assert (factor.is_numeric, factor.is_unordered, factor.has_middle) == (numeric, unordered, middle)
    assert factor.choices == choices
    assert [factor.coded(level) for level in choices] == pytest.approx([0, 1, 2] if unordered else _even(len(choices)))


def _even(count: int) -> list[float]:
    return [-1 + 2 * index / (count - 1) for index in range(count)]


def test_fractions_give_levels_and_whole_numbers_equal_shares() -> None:
    assert [MERGE.at_fraction(u) for u in (0.0, 0.33, 0.34, 0.99)] == ["mean", "mean", "concatenate", "blocks"]
    assert [LAYERS.at_fraction(u) for u in (0.0, 0.19, 0.21, 0.99)] == [1, 1, 2, 5]
    assert LR.at_fraction(0.5) == LR.at(0)


def test_only_a_range_has_ends() -> None:
    assert LR.ends == (3e-3, 3e-2)
    with pytest.raises(AssertionError, match="head.qubits is not a range"):
        _ = QUBITS.ends


def test_short_names_are_the_last_part_unless_two_factors_share_it() -> None:
    factors = (Factor("head.share_blocks", levels=(1, 2)), Factor("training.lr", levels=(1, 2)), Factor("tuning.lr", levels=(1, 2)))
    assert short_names(factors) == ["share blocks", "training lr", "tuning lr"]
    assert [factor.path for factor in shortly_named(factors)] == short_names(factors)


def test_values_are_written_as_in_a_study_file() -> None:
    assert [value_text(value) for value in (True, 3, 0.123456, "mean")] == ["true", "3", "0.1235", "mean"]
    assert (level_label(MERGE, 1.0), level_label(QUBITS, 1.0)) == ("concatenate", "10")
