"""The definitive screening design: main effects clear of interactions and curvature in 2k + 1 rows or a few more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from hadamard.orchestrator.design.base import ExtendableDesign, Point, UnsuitableKindError, points_at
from hadamard.orchestrator.design.factors import Factor

if TYPE_CHECKING:
    from hadamard.orchestrator.design.columns import Matrix

LEAST_THREE_LEVEL_FACTORS = 3


class DefinitiveScreening(ExtendableDesign):
    """Three levels, main effects clear of two-factor interactions and curvature in 2k + 1 rows or a few more."""

    takes_in_words: ClassVar[str] = "numeric factors that are a range with a middle or list three levels, and any that list two"
    kind: Literal["definitive_screening"]

    @classmethod
    def takes(cls, factor: Factor) -> bool:
        """Whether the factor can be given a low, middle and high level, or lists two."""
        return _has_three_levels(factor) or len(factor.levels) == 2

    def base_points(self, factors: Sequence[Factor], seed: int) -> list[Point]:
        """Return the rows, with the columns of two-level factors where these stand."""
        three = [i for i, factor in enumerate(factors) if _has_three_levels(factor)]
        two = [i for i in range(len(factors)) if i not in three]
        if len(three) < LEAST_THREE_LEVEL_FACTORS:
            raise UnsuitableKindError(
                "definitive_screening needs at least three numeric factors that are a range or list three levels, and here are "
                f"{len(three)}{': ' + ', '.join(factors[i].path for i in three) if three else ''}. Add a third level to more of them."
            )
        matrix = definitive_screening(len(three), len(two))
        column_of = {factor: column for column, factor in enumerate(three + two)}
        return points_at(factors, matrix[:, [column_of[i] for i in range(len(factors))]])


def _has_three_levels(factor: Factor) -> bool:
    return factor.has_middle and (factor.is_range or len(factor.levels) == 3)


def definitive_screening(three_level: int, two_level: int = 0) -> Matrix:
    """Return a definitive screening design (-1, 0, 1) [rows, three_level + two_level], the two-level columns last.

    Main effects are exactly clear of two-factor interactions and squares (Jones & Nachtsheim 2011; with two-level
    columns 2013, where main effects of these correlate slightly among themselves).
    """
    import numpy as np
    import pydoe

    return np.asarray(pydoe.definitive_screening_design(three_level, two_level), dtype=np.float64)
