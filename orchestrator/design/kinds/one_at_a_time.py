"""One factor at a time: the first level of every factor, then each other level by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from hadamard.orchestrator.design.base import DesignSettings, Point
from hadamard.orchestrator.design.factors import Factor


class OneAtATime(DesignSettings):
    """The first level of every factor, then each other level by itself; cheap to read, blind to interactions."""

    kind: Literal["one_at_a_time"]

    def base_points(self, factors: Sequence[Factor], seed: int) -> list[Point]:
        """Return the first row, and one for each other level."""
        first = tuple(factor.choices[0] for factor in factors)
        return [first] + [(*first[:i], level, *first[i + 1 :]) for i, factor in enumerate(factors) for level in factor.choices[1:]]
