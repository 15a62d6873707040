"""Columns of the linear model: one for each step between levels, and products of those for interactions."""

from __future__ import annotations

import numpy as np

from hadamard.orchestrator.design.candidates import MOST_CANDIDATES, coded_rows, combinations
from hadamard.orchestrator.design.columns import interaction_columns, main_effect_columns
from hadamard.orchestrator.design.factors import Factor
from tests.support.designs import BATCH, LR, MERGE, QUBITS


def test_ordered_factors_have_their_coded_values_and_others_sum_to_zero() -> None:
    coded = np.array([[-1.0, 0.0], [1.0, 1.0], [0.5, 2.0]])
    terms, columns = main_effect_columns((LR, MERGE), coded)
    assert [(term.factor, term.label) for term in terms] == [(0, "training.lr"), (1, "head.merge[mean]"), (1, "head.merge[concatenate]")]
    assert columns.tolist() == [[-1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.5, -1.0, -1.0]]


def test_interactions_are_products_of_columns_of_different_factors() -> None:
    coded = np.array([[-1.0, 0.0], [1.0, 1.0], [0.5, 2.0]])
    interactions, columns = interaction_columns((LR, MERGE), coded)
    assert [interaction.label for interaction in interactions] == [
        "training.lr x head.merge[mean]",
        "training.lr x head.merge[concatenate]",
    ]
    assert columns.tolist() == [[-1.0, 0.0], [0.0, 1.0], [-0.5, -0.5]]


def test_a_full_factorial_has_orthogonal_columns_of_different_factors() -> None:
    factors = (QUBITS, MERGE, BATCH)
    coded = coded_rows(factors, combinations([factor.levels for factor in factors], 0))
    terms, columns = main_effect_columns(factors, coded)
    products = columns.T @ columns
    different = np.array([[first.factor != second.factor for second in terms] for first in terms])
    assert not products[different].any()
    assert not columns.sum(axis=0).any()


def test_combinations_change_the_first_factor_fastest() -> None:
    assert combinations([(1, 2), ("a", "b", "c")], 0) == [(1, "a"), (2, "a"), (1, "b"), (2, "b"), (1, "c"), (2, "c")]


def test_of_very_many_combinations_some_are_drawn_the_same_for_the_same_seed() -> None:
    levels = [(0, 1, 2)] * 10
    drawn = combinations(levels, 1)
    assert len(drawn) == MOST_CANDIDATES < 3**10
    assert drawn == combinations(levels, 1) != combinations(levels, 2)
    assert {value for point in drawn for value in point} == {0, 1, 2}


def test_coded_rows_are_those_of_each_factor() -> None:
    factors = (QUBITS, MERGE, Factor("x", low=1.0, high=100.0, scale="log"))
    assert coded_rows(factors, [(6, "blocks", 10.0), (10, "mean", 100.0)]).tolist() == [[-1.0, 2.0, 0.0], [1.0, 0.0, 1.0]]
