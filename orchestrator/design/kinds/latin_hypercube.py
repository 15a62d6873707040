"""The Latin hypercube: rows spread over the whole region, evenly along every single factor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hadamard.orchestrator.design.base import DesignSettings, Point, points_at_fractions
from hadamard.orchestrator.design.factors import Factor

if TYPE_CHECKING:
    from hadamard.orchestrator.design.columns import Matrix


class LatinHypercube(DesignSettings):
    """Rows spread over the whole region, evenly along every single factor."""

    kind: Literal["latin_hypercube"]
    rows: Annotated[int, Field(ge=2, le=10**5)]

    def base_points(self, factors: Sequence[Factor], seed: int) -> list[Point]:
        """Return the rows, drawn by the seed."""
        return points_at_fractions(factors, latin_hypercube(self.rows, len(factors), seed))


def latin_hypercube(rows: int, factors: int, seed: int) -> Matrix:
    """Return points of the unit cube [rows, factors], one in each of `rows` slices along every axis, spread for low discrepancy."""
    import numpy as np
    from scipy.stats import qmc

    sampler = qmc.LatinHypercube(factors, optimization="random-cd", rng=np.random.default_rng(seed))
    return np.asarray(sampler.random(rows))
