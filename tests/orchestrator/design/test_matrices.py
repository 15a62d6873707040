"""Standard matrices: against published tables, and by brute force."""

from __future__ import annotations

import itertools

import numpy as np
import pydoe
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hadamard.orchestrator.design.aliases import aliases
from hadamard.orchestrator.design.exchange import d_optimal
from hadamard.orchestrator.design.kinds.definitive_screening import definitive_screening
from hadamard.orchestrator.design.kinds.fractional_factorial import fractional_factorial
from hadamard.orchestrator.design.kinds.latin_hypercube import latin_hypercube
from hadamard.orchestrator.design.kinds.plackett_burman import plackett_burman
from tests.support.designs import two_level, words


@pytest.mark.parametrize("factors", range(1, 64))
def test_plackett_burman_is_balanced_and_orthogonal(factors: int) -> None:
    matrix = plackett_burman(factors)
    rows = len(matrix)
    assert set(np.unique(matrix)) == {-1, 1}
    assert rows % 4 == 0
    assert rows > factors
    model = np.column_stack([np.ones(rows), matrix])
    assert np.array_equal(model.T @ model, rows * np.eye(factors + 1))


def test_plackett_burman_sizes() -> None:
    """The paper of 1946 has every multiple of 4 to 100 but 92; those that pyDOE lacks are replaced by the next larger."""
    sizes = {factors: len(plackett_burman(factors)) for factors in (3, 7, 11, 15, 19, 23, 24, 27, 31, 32, 35, 39, 43, 47, 48)}
    assert sizes == {3: 4, 7: 8, 11: 12, 15: 16, 19: 20, 23: 24, 24: 32, 27: 32, 31: 32, 32: 40, 35: 40, 39: 40, 43: 48, 47: 48, 48: 64}


def test_plackett_burman_of_12_rows_is_the_published_one() -> None:
    """First row + + - + + + - - - + - (Plackett & Burman 1946), shifted ten times, and a row of -; up to reversal and sign."""
    first = np.array([1, 1, -1, 1, 1, 1, -1, -1, -1, 1, -1])
    published = np.vstack([*(np.roll(first, shift) for shift in range(11)), -np.ones(11)])
    assert {tuple(row) for row in -published[:, ::-1]} == {tuple(row) for row in plackett_burman(11)}


PUBLISHED_SIZES = {  # NIST/SEMATECH e-Handbook, table 5.3.3.4.7
    (3, 3): 4,
    (4, 4): 8,
    (5, 3): 8,
    (5, 5): 16,
    (6, 3): 8,
    (6, 4): 16,
    (6, 6): 32,
    (7, 3): 8,
    (7, 4): 16,
    (7, 7): 64,
    (8, 4): 16,
    (8, 5): 64,
    (9, 3): 16,
    (9, 4): 32,
    (9, 6): 128,
    (10, 5): 128,
    (11, 4): 32,
    (11, 5): 128,
    (15, 3): 16,
}


@pytest.mark.parametrize(("factors", "resolution"), PUBLISHED_SIZES)
def test_fractional_factorial_has_the_published_number_of_rows(factors: int, resolution: int) -> None:
    assert len(fractional_factorial(factors, resolution)) == PUBLISHED_SIZES[factors, resolution]


@settings(deadline=None, max_examples=30)
@given(factors=st.integers(1, 9), resolution=st.integers(3, 8))
def test_fractional_factorial_has_the_resolution_asked_for(factors: int, resolution: int) -> None:
    matrix = fractional_factorial(factors, resolution)
    assert np.array_equal(matrix.T @ matrix, len(matrix) * np.eye(factors))
    assert not matrix.sum(axis=0).any()
    found = words(matrix)
    assert min(found, default=99) >= resolution
    assert aliases(two_level(factors), matrix).resolution == min(found, default=None)


def test_saturated_fraction_has_the_published_words() -> None:
    """The 2^(7-4) of resolution III is unique: 7 words of length three, 7 of four and 1 of seven (Montgomery, chapter 8)."""
    assert words(fractional_factorial(7, 3)) == {3: 7, 4: 7, 7: 1}


@pytest.mark.parametrize("three", range(3, 13))
@pytest.mark.parametrize("two", range(4))
def test_definitive_screening_keeps_main_effects_clear_of_second_order(three: int, two: int) -> None:
    factors = three + two
    matrix = definitive_screening(three, two)
    assert set(np.unique(matrix[:, :three])) == {-1, 0, 1}
    assert set(np.unique(matrix[:, three:])) <= {-1, 1}
    second = np.column_stack([matrix[:, i] * matrix[:, j] for i in range(factors) for j in range(i, factors)])
    assert not (matrix.T @ second).any()
    assert np.linalg.matrix_rank(np.column_stack([np.ones(len(matrix)), matrix])) == 1 + factors
    gram = matrix.T @ matrix
    assert two or np.array_equal(gram, np.diag(np.diag(gram)))
    if two == 0 and three in (4, 6, 8, 10, 12):
        assert len(matrix) == 2 * three + 1


@pytest.mark.parametrize("rows", [6, 7, 8, 10])
def test_d_optimal_finds_the_best_of_all_designs(rows: int) -> None:
    """Brute force over every multiset of the 3 x 3 grid, for the full quadratic model."""
    x, y = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=2))).T
    candidates = np.column_stack([np.ones(9), x, y, x * y, x**2, y**2])
    every = np.array(list(itertools.combinations_with_replacement(range(9), rows)))
    best = np.linalg.det(np.swapaxes(candidates[every], 1, 2) @ candidates[every]).max()
    chosen = candidates[d_optimal(candidates, rows, seed=0)]
    assert np.linalg.det(chosen.T @ chosen) == pytest.approx(best, rel=1e-9)


def test_d_optimal_is_no_worse_than_pydoe() -> None:
    grid = np.array(list(itertools.product((-1.0, 1.0), repeat=6)))
    terms = np.column_stack([grid, *(grid[:, i] * grid[:, j] for i, j in itertools.combinations(range(6), 2))])
    theirs, _ = pydoe.optimal_design(terms, 26, 1, "D", "modified_fedorov", alpha=1e-3)
    model = np.column_stack([np.ones(len(grid)), terms])
    ours = model[d_optimal(model, 26, seed=0)]
    peer = np.column_stack([np.ones(26), theirs])
    assert np.linalg.slogdet(ours.T @ ours)[1] >= np.linalg.slogdet(peer.T @ peer)[1] - 1e-9


@pytest.mark.slow
@settings(deadline=None, max_examples=12)
@given(rows=st.integers(2, 30), factors=st.integers(1, 6), seed=st.integers(0, 2**32))
def test_latin_hypercube_has_one_point_in_every_slice(rows: int, factors: int, seed: int) -> None:
    points = latin_hypercube(rows, factors, seed)
    for axis in range(factors):
        assert sorted(np.floor(points[:, axis] * rows)) == list(range(rows))
