"""The Sobol design: rows spread over the whole region by a scrambled Sobol sequence, which can be continued."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from hadamard.orchestrator.design.base import DesignSettings, Point, points_at_fractions
from hadamard.orchestrator.design.factors import Factor

if TYPE_CHECKING:
    from hadamard.orchestrator.design.columns import Matrix


class Sobol(DesignSettings):
    """Rows spread over the whole region by a scrambled Sobol sequence: doubling the rows keeps the earlier ones."""

    kind: Literal["sobol"]
    rows: Annotated[int, Field(ge=2, le=10**5)]
    """A power of two: other sizes leave the sequence unbalanced."""

    @field_validator("rows")
    @classmethod
    def _power_of_two(cls, rows: int) -> int:
        below = 1 << (rows.bit_length() - 1)
        if rows != below:
            raise ValueError(f"a Sobol design needs a power of two as its rows, not {rows}; the nearest are {below} and {2 * below}")
        return rows

    def base_points(self, factors: Sequence[Factor], seed: int) -> list[Point]:
        """Return the rows, scrambled by the seed."""
        return points_at_fractions(factors, sobol(self.rows, len(factors), seed))


def sobol(rows: int, factors: int, seed: int) -> Matrix:
    """Return the first `rows` (a power of two) points of a scrambled Sobol sequence in the unit cube [rows, factors]."""
    import numpy as np
    from scipy.stats import qmc

    sampler = qmc.Sobol(factors, rng=np.random.default_rng(seed))
    return np.asarray(sampler.random_base2(rows.bit_length() - 1))
