"""The Plackett-Burman design: main effects of two-level factors in about as many rows as there are factors."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from hadamard.orchestrator.design.base import Point, TwoLevelDesign, points_at
from hadamard.orchestrator.design.factors import Factor

if TYPE_CHECKING:
    from hadamard.orchestrator.design.columns import Matrix


class PlackettBurman(TwoLevelDesign):
    """Two levels, main effects in about as many rows as there are factors; interactions spread over all of them."""

    kind: Literal["plackett_burman"]

    def base_points(self, factors: Sequence[Factor], seed: int) -> list[Point]:
        """Return the rows of the smallest such design."""
        return points_at(factors, plackett_burman(len(factors)))


def plackett_burman(factors: int) -> Matrix:
    """Return an orthogonal two-level design (-1, 1) [next available multiple of 4, factors].

    pyDOE lacks the sizes that are not a power of two times 1, 12 or 20 (28, 36, 44, 52, ...) and raises ValueError for
    them; the next larger design with its last columns dropped is still orthogonal and balanced.
    """
    import numpy as np
    import pydoe

    for columns in itertools.count(factors):
        try:
            return np.asarray(pydoe.pbdesign(columns), dtype=np.float64)[:, :factors]
        except ValueError:
            continue
    raise AssertionError("a Plackett-Burman design exists for every power of two")
