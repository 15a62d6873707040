"""The D-optimal design: the rows that estimate a stated model best, for any mix of factors and any number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from hadamard.orchestrator.design.base import DesignError, DesignSettings, Point
from hadamard.orchestrator.design.factors import Factor, Value

if TYPE_CHECKING:
    from hadamard.orchestrator.design.columns import Matrix


class DOptimal(DesignSettings):
    """The rows that estimate a stated model best (largest determinant of X'X), for any mix of factors and any number of rows."""

    kind: Literal["d_optimal"]
    rows: Annotated[int, Field(ge=2, le=10**5)]
    model: Literal["main", "interactions", "quadratic"] = "main"
    """`interactions` adds all two-factor interactions to the main effects; `quadratic` also the squares of numeric factors
    that are a range or have three levels or more."""

    def base_points(self, factors: Sequence[Factor], seed: int) -> list[Point]:
        """Return the best rows that an exchange from random starts finds."""
        import numpy as np

        from hadamard.orchestrator.design.candidates import coded_rows, combinations
        from hadamard.orchestrator.design.exchange import d_optimal

        candidates = combinations([self._levels(factor) for factor in factors], seed)
        model = self._model_matrix(factors, coded_rows(factors, candidates))
        needed = model.shape[1]
        if self.rows < needed:
            raise DesignError(
                f"d_optimal with {self.rows} rows cannot estimate the `{self.model}` model of these factors, which has {needed} "
                f"coefficients. Set rows to {needed} or more (a few more give residual degrees of freedom), or choose a smaller model."
            )
        chosen = d_optimal(model, self.rows, seed)
        if np.linalg.matrix_rank(model[chosen]) < needed:
            raise DesignError(
                f"d_optimal found no {self.rows} rows that can estimate all {needed} coefficients of the `{self.model}` model. "
                "Give it more rows or choose a smaller model."
            )
        return [candidates[i] for i in chosen]

    def _levels(self, factor: Factor) -> tuple[Value, ...]:
        if self.model == "quadratic" and factor.is_range and len(factor.choices) == 2:
            return tuple(dict.fromkeys((factor.at(-1), factor.at(0), factor.at(1))))
        return factor.choices

    def _model_matrix(self, factors: Sequence[Factor], coded: Matrix) -> Matrix:
        """Return the columns of the model to estimate, intercept first [candidates, columns]."""
        import numpy as np

        from hadamard.orchestrator.design.columns import interaction_columns, main_effect_columns

        columns = [np.ones((len(coded), 1)), main_effect_columns(factors, coded)[1]]
        if self.model != "main":
            columns.append(interaction_columns(factors, coded)[1])
        if self.model == "quadratic":
            curved = [i for i, factor in enumerate(factors) if factor.is_numeric and len(self._levels(factor)) > 2]
            columns.append(coded[:, curved] ** 2)
        return np.hstack(columns)
