"""Designs whose main effects cannot be told apart: what is said, and that the rows proposed are enough and the best."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from hadamard.orchestrator.design.base import DesignError
from hadamard.orchestrator.design.columns import main_effect_columns
from hadamard.orchestrator.design.design import build
from hadamard.orchestrator.design.estimable import rows_to_add
from hadamard.orchestrator.design.factors import Factor, Value
from tests.support.designs import BATCH, LAYERS, LR, MERGE, MIXED, QUBITS, SHARED, settings_of, two_level
from tests.support.published_designs import design_of

TOGETHER: list[tuple[Value, ...]] = [(6, 1, False), (10, 5, False), (6, 1, True), (10, 5, True)]


def refusal(factors: tuple[Factor, ...], points: list[tuple[Any, ...]]) -> str:
    rows = [{factor.path: value for factor, value in zip(factors, point, strict=True)} for point in points]
    with pytest.raises(DesignError) as caught:
        build(settings_of("explicit", rows=rows), factors, 0)
    return str(caught.value)


def rank(factors: tuple[Factor, ...], points: list[tuple[Any, ...]]) -> int:
    columns = main_effect_columns(factors, design_of(factors, points).coded)[1]
    return int(np.linalg.matrix_rank(np.column_stack([np.ones(len(points)), columns])))


def test_the_whole_refusal_says_what_where_why_and_what_to_add() -> None:
    assert refusal((QUBITS, LAYERS, SHARED), TOGETHER) == (
        "the 4 rows of this explicit design cannot tell all main effects apart: head.qubits and head.layers always change together. "
        "Add {head.qubits: 10, head.layers: 1, head.share_blocks: false}. Or take out factors or levels."
    )


@pytest.mark.parametrize(
    ("factors", "points", "text"),
    [
        ((QUBITS, SHARED), [(6, False), (6, True), (6, True)], "head.qubits is 6 in every row"),
        ((MERGE, QUBITS), list(itertools.product(("mean", "concatenate"), (6, 10))), "head.merge is never blocks"),
        ((MERGE, QUBITS), [("mean", 6), ("mean", 10)] * 3, "head.merge is mean in every row"),
        ((LR, QUBITS), list(itertools.product((3e-3, 3.01e-3), (6, 10))), "training.lr hardly changes"),
        (two_level(3), [(-1, -1, -1), (1, 1, -1), (1, -1, 1)] * 2, "A, B and C cannot be told apart"),
        ((QUBITS, LAYERS, *two_level(2)), [(6, 1, -1, -1), (10, 5, -1, -1), (6, 1, 1, 1), (10, 5, 1, 1)] * 2, "; A and B always change"),
        ((QUBITS, BATCH), [(6, 8), (10, 32)], "explicit has 2 rows, but the mean and the main effects of 2 factors need 3"),
    ],
)  # fmt: skip
def test_what_is_mixed_up_is_named(factors: tuple[Factor, ...], points: list[tuple[Any, ...]], text: str) -> None:
    found = refusal(factors, points)
    assert text in found
    assert "Add {" in found


def test_kinds_without_a_list_of_rows_say_which_setting_helps() -> None:
    with pytest.raises(DesignError, match=r"sobol has 4 rows.*need 8.*Ask for more rows or take another seed; missing are rows such as \{"):
        build(settings_of("sobol", rows=4), MIXED, 0)


@pytest.mark.parametrize("seed", range(5))
def test_rows_added_make_every_main_effect_estimable_and_none_is_too_many(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points: list[tuple[Any, ...]] = [tuple(rng.choice(factor.choices).item() for factor in MIXED) for _ in range(3)]
    points = [points[0], *points]
    coded = design_of(MIXED, points).coded
    added = rows_to_add(MIXED, coded, 0)
    assert rank(MIXED, points + added) == 8
    assert len(added) == 8 - rank(MIXED, points)


def test_of_rows_that_would_do_the_one_with_the_largest_determinant_is_proposed() -> None:
    factors = (*two_level(3), Factor("D", levels=(0, 1, 2, 3)))
    points: list[tuple[Any, ...]] = [(-1, -1, -1, 0), (1, 1, -1, 0), (1, -1, 1, 0), (-1, 1, 1, 0), (1, 1, 1, 0)]
    (added,) = rows_to_add(factors, design_of(factors, points).coded, 0)

    def determinant(point: tuple[Any, ...]) -> float:
        coded = np.array([[factor.coded(value) for factor, value in zip(factors, one, strict=True)] for one in [*points, point]])
        model = np.column_stack([np.ones(len(coded)), coded])
        return float(np.linalg.det(model.T @ model))

    every = itertools.product(*(factor.choices for factor in factors))
    assert determinant(added) == pytest.approx(max(map(determinant, every)))


def test_many_factors_get_rows_drawn_from_their_combinations() -> None:
    factors = two_level(16)
    added = rows_to_add(factors, np.ones((1, 16)), 3)
    assert len(added) == 16
    assert rank(factors, [(1,) * 16, *added]) == 17
