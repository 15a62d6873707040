"""Designs as study files ask for them, and the factors and oracles that tests of designs share."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hadamard.orchestrator.design.base import DesignSettings
from hadamard.orchestrator.design.factors import Factor
from hadamard.orchestrator.design.registry import design_settings

Matrix = NDArray[np.float64]


def settings_of(kind: str, **settings: Any) -> DesignSettings:
    """Return the settings of a design of this kind as a study file writes them."""
    return design_settings({"kind": kind, **settings})


QUBITS = Factor("head.qubits", levels=(6, 10))
LR = Factor("training.lr", low=3e-3, high=3e-2, scale="log")
MERGE = Factor("head.merge", levels=("mean", "concatenate", "blocks"))
SHARED = Factor("head.share_blocks", levels=(False, True))
LAYERS = Factor("head.layers", low=1, high=5, integer=True)
BATCH = Factor("training.batch", levels=(8, 16, 32))
ON_A_GRID = (QUBITS, MERGE, SHARED, LAYERS, BATCH)
MIXED = (QUBITS, LR, MERGE, SHARED, LAYERS, BATCH)


def two_level(count: int) -> tuple[Factor, ...]:
    return tuple(Factor(chr(ord("A") + i), levels=(-1, 1)) for i in range(count))


def wide(count: int) -> tuple[Factor, ...]:
    return tuple(Factor(f"f{i}", levels=(0, 1)) for i in range(count))


def ranges(count: int) -> tuple[Factor, ...]:
    return tuple(Factor(chr(ord("A") + i), low=-1.0, high=1.0) for i in range(count))


def generated(base: int, *words: str) -> Matrix:
    """Return the textbook fraction whose further columns are the given products of the base factors A, B, C, ..."""
    rows = np.array(list(itertools.product((-1.0, 1.0), repeat=base)))[:, ::-1]
    return np.column_stack([rows, *(np.prod(rows[:, ["ABCDEFG".index(letter) for letter in word]], axis=1) for word in words)])


def words(matrix: Matrix) -> Counter[int]:
    """Return how many sets of each size have a constant product, by trying all of them."""
    sets = itertools.chain.from_iterable(itertools.combinations(range(matrix.shape[1]), n) for n in range(1, matrix.shape[1] + 1))
    return Counter(len(chosen) for chosen in sets if len(set(np.prod(matrix[:, chosen], axis=1))) == 1)


EVERY_KIND: list[DesignSettings] = [
    settings_of("full_factorial"),
    settings_of("latin_hypercube", rows=18),
    settings_of("sobol", rows=16),
    settings_of("d_optimal", rows=14),
    settings_of("d_optimal", rows=40, model="quadratic"),
    settings_of("one_at_a_time"),
]
