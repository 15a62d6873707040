"""Candidate rows: the combinations of levels from which a design, or a proposal of further rows, chooses."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hadamard.orchestrator.design.base import Point
from hadamard.orchestrator.design.columns import Matrix
from hadamard.orchestrator.design.factors import Factor

MOST_CANDIDATES = 4096


def combinations(levels: Sequence[Point], seed: int) -> list[Point]:
    """Return all combinations of these levels of each factor, the first changing fastest; of more than 4,096, as many drawn at random."""
    counts = [len(choices) for choices in levels]
    if math.prod(counts) > MOST_CANDIDATES:
        grid = np.random.default_rng([seed, 2]).integers(0, counts, size=(MOST_CANDIDATES, len(counts)))
    else:
        grid = np.indices(counts[::-1]).reshape(len(counts), -1)[::-1].T
    return [tuple(choices[i] for choices, i in zip(levels, row, strict=True)) for row in grid]


def coded_rows(factors: Sequence[Factor], points: Sequence[Point]) -> Matrix:
    """Return the coded values of rows [rows, factors]."""
    return np.array([[factor.coded(value) for factor, value in zip(factors, point, strict=True)] for point in points])
