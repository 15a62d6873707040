"""The full factorial design: every combination of the factors' levels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Literal

from hadamard.orchestrator.design.base import ExtendableDesign, Point, check_number_of_rows
from hadamard.orchestrator.design.factors import Factor


class FullFactorial(ExtendableDesign):
    """Every combination of the factors' levels."""

    kind: Literal["full_factorial"]

    def base_points(self, factors: Sequence[Factor], seed: int) -> list[Point]:
        """Return every combination of levels, the first factor changing fastest."""
        choices = [factor.choices for factor in factors]
        check_number_of_rows(self.kind, math.prod(map(len, choices)))
        return [point[::-1] for point in itertools.product(*reversed(choices))]
