"""The fractional factorial design: the smallest regular fraction of a two-level factorial that has a wanted resolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hadamard.orchestrator.design.base import Point, TwoLevelDesign, UnsuitableKindError, points_at
from hadamard.orchestrator.design.factors import Factor

if TYPE_CHECKING:
    from hadamard.orchestrator.design.columns import Matrix


class FractionalFactorial(TwoLevelDesign):
    """The smallest regular fraction of the two-level factorial that has the wanted resolution."""

    kind: Literal["fractional_factorial"]
    resolution: Annotated[int, Field(ge=3, le=8)] = 4
    """3: main effects clear of each other; 4: also of two-factor interactions; 5: those also clear of each other."""

    def base_points(self, factors: Sequence[Factor], seed: int) -> list[Point]:
        """Return the rows of the fraction."""
        try:
            return points_at(factors, fractional_factorial(len(factors), self.resolution))
        except ValueError as error:
            raise UnsuitableKindError(
                f"no fractional_factorial of resolution {self.resolution} was found for {len(factors)} factors. "
                "Ask for a lower resolution or take out factors."
            ) from error


def fractional_factorial(factors: int, resolution: int) -> Matrix:
    """Return the smallest regular two-level design (-1, 1) of at least this resolution [rows, factors].

    Raises:
        ValueError: There is none within pyDOE's search limits.
    """
    import numpy as np
    import pydoe

    if factors == 1:
        return np.array([[-1.0], [1.0]])
    return np.asarray(pydoe.fracfact_by_res(factors, resolution), dtype=np.float64)
