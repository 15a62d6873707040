"""The design: which rows are run, coded and in real values, and in which random order.

How the rows of each kind are made is in `kinds/`, what they confound in `aliases.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hadamard.orchestrator.design.base import DesignError, DesignSettings, Point, UnsuitableKindError, check_factors, check_number_of_rows
from hadamard.orchestrator.design.columns import Matrix
from hadamard.orchestrator.design.estimable import check_estimable
from hadamard.orchestrator.design.factors import Factor, Value, levels_text
from hadamard.orchestrator.design.registry import KINDS, kind_name


@dataclass(frozen=True)
class Row:
    """One line of the design."""

    index: int
    """From 0 in standard order."""
    coded: tuple[float, ...]
    """One per factor. Numeric: in [-1, 1]. Categorical: -1 and 1 for two levels, else the level's index."""
    values: dict[str, Value]
    """Real values of the factors by dotted path."""
    other_settings: dict[str, Value] = field(default_factory=dict)
    """What a written row sets besides its factors, by dotted path; these change along with it and have no effect of their own."""

    @property
    def name(self) -> str:
        """The row's name in keys and tables, such as `r07`."""
        return f"r{self.index:02d}"

    @property
    def settings(self) -> dict[str, Value]:
        """All that the row sets, by dotted path."""
        return {**self.values, **self.other_settings}


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
        DesignError: The factors do not suit the kind, or the rows cannot tell their main effects apart.
    """
    check_factors(factors)
    rows = tuple(_row(settings, factors, index, point) for index, point in enumerate(_points(settings, factors, seed)))
    order = np.random.default_rng([seed, 1]).permutation(len(rows))
    design = Design(settings.kind, factors, rows, tuple(int(i) for i in order))
    check_estimable(settings, factors, design.coded, seed)
    return design


def _points(settings: DesignSettings, factors: Sequence[Factor], seed: int) -> list[Point]:
    """Return all rows in real values and standard order; a refusal says which other kinds take the factors."""
    try:
        for factor in factors:
            if not settings.takes(factor):
                raise UnsuitableKindError(
                    f"{settings.kind} takes {settings.takes_in_words}; {factor.path} is not one of them: "
                    f"{levels_text(factor)}. Change its levels."
                )
        base = settings.base_points(factors, seed)
        points = [*base, *settings.added_points(factors, base)]
        check_number_of_rows(settings.kind, len(points))
    except UnsuitableKindError as error:
        suitable = [kind_name(kind) for kind in KINDS if not isinstance(settings, kind) and all(map(kind.takes, factors))]
        raise DesignError(f"{error} Or choose another kind of design: {', '.join(suitable)}.") from error
    return points


def _row(settings: DesignSettings, factors: Sequence[Factor], index: int, point: Point) -> Row:
    coded = tuple(factor.coded(value) for factor, value in zip(factors, point, strict=True))
    values = {factor.path: value for factor, value in zip(factors, point, strict=True)}
    written = settings.written_rows()
    other = {path: value for path, value in written[index].items() if path not in values} if written else {}
    return Row(index, coded, values, other)
