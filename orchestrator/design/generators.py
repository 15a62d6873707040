"""Matrices of standard designs, from pyDOE and SciPy, with their traps closed.

Owns rows as numbers only (coded levels, level indices, points of the unit cube). Does not own factors, real values or run order.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pydoe
from numpy.typing import NDArray
from scipy.stats import qmc

from hadamard.orchestrator.design.columns import Matrix

Indices = NDArray[np.int64]

_STARTS = 5
_EXCHANGES = 1000
_RIDGE = 1e-6


def full_factorial(levels: Sequence[int]) -> Indices:
    """Return every combination of level indices [product of levels, factors], the first factor changing fastest."""
    return np.asarray(pydoe.fullfact(list(levels)), dtype=np.int64)


def fractional_factorial(factors: int, resolution: int) -> Matrix:
    """Return the smallest regular two-level design (-1, 1) of at least this resolution [rows, factors].

    Raises:
        ValueError: there is none within pyDOE's search limits.
    """
    if factors == 1:
        return np.array([[-1.0], [1.0]])
    return np.asarray(pydoe.fracfact_by_res(factors, resolution), dtype=np.float64)


def plackett_burman(factors: int) -> Matrix:
    """Return an orthogonal two-level design (-1, 1) [next available multiple of 4, factors].

    pyDOE lacks the sizes that are not a power of two times 1, 12 or 20 (28, 36, 44, 52, ...) and raises ValueError for
    them; the next larger design with its last columns dropped is still orthogonal and balanced.
    """
    for columns in itertools.count(factors):
        try:
            return np.asarray(pydoe.pbdesign(columns), dtype=np.float64)[:, :factors]
        except ValueError:
            continue
    raise AssertionError("a Plackett-Burman design exists for every power of two")


def definitive_screening(three_level: int, two_level: int = 0) -> Matrix:
    """Return a definitive screening design (-1, 0, 1) [rows, three_level + two_level], the two-level columns last.

    Main effects are exactly clear of two-factor interactions and squares (Jones & Nachtsheim 2011; with two-level
    columns 2013, where main effects of these correlate slightly among themselves).
    """
    return np.asarray(pydoe.definitive_screening_design(three_level, two_level), dtype=np.float64)


def latin_hypercube(rows: int, factors: int, seed: int) -> Matrix:
    """Return points of the unit cube [rows, factors], one in each of `rows` slices along every axis, spread for low discrepancy."""
    sampler = qmc.LatinHypercube(factors, optimization="random-cd", rng=np.random.default_rng(seed))
    return np.asarray(sampler.random(rows))


def sobol(rows: int, factors: int, seed: int) -> Matrix:
    """Return the first `rows` (a power of two) points of a scrambled Sobol sequence in the unit cube [rows, factors]."""
    sampler = qmc.Sobol(factors, rng=np.random.default_rng(seed))
    return np.asarray(sampler.random_base2(rows.bit_length() - 1))


def d_optimal(candidates: Matrix, rows: int, seed: int) -> Indices:
    """Return which candidates [rows] (sorted, repeats allowed) make the determinant of X'X largest.

    Args:
        candidates: model matrix [candidates, columns], intercept included.
        rows: at least as many as there are columns.
        seed: of the random starts.

    Fedorov's exchange (1972): swap the pair of rows that multiplies the determinant most, until none does. Not pyDOE's
    `optimal_design`, which ignores the seed, never repeats a row, needs minutes where this takes a second, and starts from
    a singular design where it may stay.
    """
    rng = np.random.default_rng(seed)
    best, best_score = np.zeros(rows, dtype=np.int64), -np.inf
    for _ in range(_STARTS):
        chosen = _exchange(candidates, rng.choice(len(candidates), rows, replace=rows > len(candidates)))
        score = float(np.linalg.slogdet(_information(candidates[chosen]))[1])
        if score > best_score + 1e-9:
            best, best_score = np.sort(chosen), score
    return best


def _exchange(candidates: Matrix, chosen: Indices) -> Indices:
    for _ in range(_EXCHANGES):
        scaled = candidates @ np.linalg.inv(_information(candidates[chosen]))
        variance = np.einsum("ij,ij->i", scaled, candidates)
        ratio = np.outer(1 + variance, 1 - variance[chosen]) + (scaled @ candidates[chosen].T) ** 2
        # Rounded, so that ties fall alike on machines whose last bits differ.
        new, old = np.unravel_index(np.argmax(np.round(ratio, 6)), ratio.shape)
        if ratio[new, old] < 1 + 1e-6:
            break
        chosen[old] = new
    return chosen


def _information(rows: Matrix) -> Matrix:
    # The ridge lets the exchange climb out of singular starts.
    return rows.T @ rows + _RIDGE * np.eye(rows.shape[1])
