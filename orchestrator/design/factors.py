"""A factor of a study: a setting by its dotted path, and the levels a design may give it.

Owns the translation between coded and real values, and how factors and levels are written. Does not own which combinations are run.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Value = float | int | str | bool


@dataclass(frozen=True)
class Factor:
    """One factor, either listed (`levels`, in the order given) or a range (`low`, `high`).

    Examples:
        Factor("head.qubits", levels=(6, 10))                              # numeric, two levels
        Factor("head.merge", levels=("mean", "concatenate", "blocks"))     # categorical, three levels
        Factor("training.lr", low=3e-3, high=3e-2, scale="log")            # range
    """

    path: str
    levels: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None
    scale: Literal["linear", "log"] = "linear"
    steps: int = 2
    """Of a range: how many levels a factorial design gives it, evenly spaced on the scale."""
    integer: bool = False
    """Of a range: whether the setting only takes whole numbers."""

    @property
    def is_range(self) -> bool:
        """Whether the factor was given as `{low, high}` and so can take any value between."""
        return self.low is not None

    @property
    def is_numeric(self) -> bool:
        """Whether the levels have an order and a distance, so that a linear effect means something."""
        return self.is_range or all(isinstance(level, (int, float)) and not isinstance(level, bool) for level in self.levels)

    @property
    def is_unordered(self) -> bool:
        """Whether there are more than two levels without an order: then no single step from low to high says it all."""
        return not self.is_numeric and len(self.levels) > 2

    @property
    def choices(self) -> tuple[Value, ...]:
        """The levels a factorial design uses: the listed ones, or `steps` of the range."""
        if not self.is_range:
            return self.levels
        return tuple(self.at(-1 + 2 * i / (self.steps - 1)) for i in range(self.steps))

    def at(self, coded: float) -> Value:
        """Return the real value at a coded position in [-1, 1].

        A range is interpolated on its scale; listed levels sit evenly over [-1, 1] and the nearest one is taken.
        """
        if self.low is None or self.high is None:
            position = (coded + 1) / 2 * (len(self.levels) - 1)
            return self.levels[math.floor(position + 0.5)]
        part = (coded + 1) / 2
        if self.scale == "log":
            value = math.exp(math.log(self.low) + part * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + part * (self.high - self.low)
        return round(value) if self.integer else float(f"{value:.12g}")

    def __str__(self) -> str:
        """Return path and levels, as used in plans."""
        return f"{self.path}: {levels_text(self)}"


def short_names(factors: Sequence[Factor]) -> list[str]:
    """Return the last part of each path, or the last two where that would name two factors alike."""
    tails = [factor.path.split(".")[-1] for factor in factors]
    found = [tail if tails.count(tail) == 1 else " ".join(factor.path.split(".")[-2:]) for factor, tail in zip(factors, tails, strict=True)]
    return [name.replace("_", " ") for name in found]


def shortly_named(factors: Sequence[Factor]) -> list[Factor]:
    """Return the factors with their short names as paths, as people read of them."""
    return [replace(factor, path=name) for factor, name in zip(factors, short_names(factors), strict=True)]


def value_text(value: Value) -> str:
    """Return the value of a setting as a study file writes it, fractions to four digits."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def level_label(factor: Factor, coded: float) -> str:
    """Return the text of a coded level; for unordered levels the code is the place in the list."""
    return value_text(factor.levels[round(coded)] if factor.is_unordered else factor.at(coded))


def levels_text(factor: Factor) -> str:
    """Return a factor's levels in words; of a range the number of levels only where they are more than its ends."""
    if not factor.is_range:
        return ", ".join(map(value_text, factor.levels))
    parts = {
        f" in {factor.steps} levels": factor.steps > 2,
        ", log scale": factor.scale == "log",
        ", whole numbers": factor.integer,
    }
    return f"{factor.low:g} to {factor.high:g}" + "".join(part for part, holds in parts.items() if holds)
