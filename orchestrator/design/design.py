"""The design: which rows are run, coded and in real values, and in which random order.

Owns rows and run order. Does not own how the rows of each kind come about (points), nor what they confound (aliases).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hadamard.orchestrator.design.columns import Matrix
from hadamard.orchestrator.design.estimable import check_estimable
from hadamard.orchestrator.design.factors import Factor, Value
from hadamard.orchestrator.design.kinds import DesignSettings
from hadamard.orchestrator.design.points import beside, check_factors, coded_value, points


@dataclass(frozen=True)
class Row:
    """One line of the design."""

    index: int
    """From 0 in standard order."""
    coded: tuple[float, ...]
    """One per factor. Numeric: in [-1, 1]. Categorical: -1 and 1 for two levels, else the level's index."""
    values: dict[str, Value]
    """Real values by dotted path."""
    beside: dict[str, Value] = field(default_factory=dict)
    """Other settings of a row of an explicit design, which change along with its factors and have no effect of their own."""

    @property
    def name(self) -> str:
        """The row's name in keys and tables, such as `r07`."""
        return f"r{self.index:02d}"


@dataclass(frozen=True)
class Design:
    """Rows in standard order, and the random order in which to run them."""

    kind: str
    factors: tuple[Factor, ...]
    rows: tuple[Row, ...]
    run_order: tuple[int, ...]

    @property
    def coded(self) -> Matrix:
        """Coded values [rows, factors]."""
        return np.array([row.coded for row in self.rows])


def build(settings: DesignSettings, factors: tuple[Factor, ...], seed: int) -> Design:
    """Return the design of this kind over these factors; the same for the same seed.

    Standard order is the base design, centre points, the fold-over, then axial points, so each is added without renumbering those before.
    Coded values follow the real ones, also where those had to be rounded to whole numbers.

    Raises:
        DesignError: the factors do not suit the kind, or the rows cannot tell their main effects apart.
    """
    check_factors(settings, factors)
    rows = tuple(
        Row(
            i,
            tuple(map(coded_value, factors, point)),
            {f.path: v for f, v in zip(factors, point, strict=True)},
            beside(settings, factors, i),
        )
        for i, point in enumerate(points(settings, factors, seed))
    )
    order = np.random.default_rng([seed, 1]).permutation(len(rows))
    design = Design(settings.kind, factors, rows, tuple(int(i) for i in order))
    check_estimable(settings.kind, factors, design.coded, seed)
    return design
