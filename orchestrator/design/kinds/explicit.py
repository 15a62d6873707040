"""The explicit design: rows written out by hand."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field

from hadamard.orchestrator.design.base import DesignError, DesignSettings, Point
from hadamard.orchestrator.design.factors import Factor, Value, levels_text


class Explicit(DesignSettings):
    """Rows written out by hand."""

    kind: Literal["explicit"]
    rows: Annotated[list[dict[str, Value]], Field(min_length=1)]
    """A value for every factor, by its dotted path. A row may set other settings, too, the same ones in every row: they change
    along with the factors, as layers that make up for qubits do, and get no effect of their own."""

    def base_points(self, factors: Sequence[Factor], seed: int) -> list[Point]:
        """Return the rows; a value that a factor does not have is refused."""
        return [_point(i, row, factors) for i, row in enumerate(self.rows)]

    def written_rows(self) -> Sequence[Mapping[str, Value]]:
        """Return the rows as the study file writes them."""
        return self.rows


def _point(index: int, row: Mapping[str, Value], factors: Sequence[Factor]) -> Point:
    paths = [factor.path for factor in factors]
    if missing := [path for path in paths if path not in row]:
        others = [f"{path}{_did_you_mean(path, missing)}" for path in row if path not in paths]
        named = f", though it names {', '.join(others)}" if others else ""
        raise DesignError(
            f"row {index} of the explicit design has no value for {', '.join(missing)}{named}. "
            f"Every row gives these factors a value: {', '.join(paths)}."
        )
    return tuple(_factor_value(index, factor, row[factor.path]) for factor in factors)


def _did_you_mean(path: str, paths: Sequence[str]) -> str:
    close = difflib.get_close_matches(path, paths, n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def _factor_value(index: int, factor: Factor, value: Value) -> Value:
    """Return the factor's own value that equals this one."""
    if factor.is_range and isinstance(value, int | float) and not isinstance(value, bool):
        low, high = factor.ends
        if low <= value <= high and (not factor.integer or value == round(value)):
            return round(value) if factor.integer else float(value)
    for level in factor.levels:
        if level == value and isinstance(level, bool) == isinstance(value, bool):
            return level
    raise DesignError(
        f"row {index} of the explicit design gives {factor.path} the value {value!r}, which the factor does not have. "
        f"It may be: {levels_text(factor)}."
    )
