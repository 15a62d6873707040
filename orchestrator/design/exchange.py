"""The choice of rows for a D-optimal design, by Fedorov's exchange."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hadamard.orchestrator.design.columns import Matrix

Indices = NDArray[np.int64]

_STARTS = 5
_EXCHANGES = 1000
_RIDGE = 1e-6


def d_optimal(candidates: Matrix, rows: int, seed: int) -> Indices:
    """Return the indices of the candidates [rows] (sorted, repeats allowed) that make the determinant of X'X largest.

    Args:
        candidates: Model matrix [candidates, columns], intercept included.
        rows: At least as many as there are columns.
        seed: Of the random starts.

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
