"""A factor of a study: a setting by its dotted path, the levels a design may give it, and its coded and real values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

Value = float | int | str | bool


@dataclass(frozen=True)
class Factor:
    """One factor, either listed (`levels`, in their order) or a range (`low`, `high`).

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
        """Whether the factor is written as `{low, high}`, so that it can take any value between."""
        return self.low is not None

    @property
    def is_numeric(self) -> bool:
        """Whether the levels have an order and a distance, so that a linear effect means something."""
        return self.is_range or all(isinstance(level, (int, float)) and not isinstance(level, bool) for level in self.levels)

    @property
    def is_unordered(self) -> bool:
        """Whether there are more than two levels without an order, so that no single step from low to high describes the effect."""
        return not self.is_numeric and len(self.levels) > 2

    @property
    def ends(self) -> tuple[float, float]:
        """The low and high end of a range."""
        if self.low is None or self.high is None:
            raise AssertionError(f"{self.path} is not a range")
        return self.low, self.high

    @property
    def has_middle(self) -> bool:
        """Whether there is a value halfway between the ends, other than these."""
        if self.is_range:
            return self.at(-1) != self.at(0) != self.at(1)
        return self.is_numeric and len(self.levels) % 2 == 1

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
        if not self.is_range:
            position = (coded + 1) / 2 * (len(self.levels) - 1)
            return self.levels[math.floor(position + 0.5)]
        (low, high), part, on_log_scale = self.ends, (coded + 1) / 2, self.scale == "log"
        value = math.exp(math.log(low) + part * (math.log(high) - math.log(low))) if on_log_scale else low + part * (high - low)
        return round(value) if self.integer else float(f"{value:.12g}")

    def at_fraction(self, fraction: float) -> Value:
        """Return the value at a fraction in [0, 1), where levels, and whole numbers on a linear scale, get equal shares."""
        if not self.is_range:
            return self.levels[int(fraction * len(self.levels))]
        low, high = self.ends
        if self.integer and self.scale == "linear":
            return round(low) + int(fraction * (round(high) - round(low) + 1))
        return self.at(2 * fraction - 1)

    def coded(self, value: Value) -> float:
        """Return the coded value of a level, or of a value of a range: see `Row.coded`.

        The inverse of `at`, except where that rounds to whole numbers.
        """
        if not self.is_range:
            index = self.levels.index(value)
            return float(index) if self.is_unordered else 2.0 * index / (len(self.levels) - 1) - 1
        low, high = self.ends
        number = float(value)
        if self.scale == "log":
            low, high, number = math.log(low), math.log(high), math.log(number)
        # Eight decimals: real values carry twelve digits, and ends and middles must be exactly -1, 0 and 1.
        return round(min(max(2 * (number - low) / (high - low) - 1, -1.0), 1.0), 8) + 0.0

    def __str__(self) -> str:
        """Return path and levels, as used in plans."""
        return f"{self.path}: {levels_text(self)}"


def short_names(factors: Sequence[Factor]) -> list[str]:
    """Return the last part of each path, or the last two where that would name two factors alike."""
    tails = [factor.path.split(".")[-1] for factor in factors]
    names = [tail if tails.count(tail) == 1 else " ".join(factor.path.split(".")[-2:]) for factor, tail in zip(factors, tails, strict=True)]
    return [name.replace("_", " ") for name in names]


def shortly_named(factors: Sequence[Factor]) -> list[Factor]:
    """Return the factors with their short names as paths, for tables and figures."""
    return [replace(factor, path=name) for factor, name in zip(factors, short_names(factors), strict=True)]


def value_text(value: Value) -> str:
    """Return the value of a setting as a study file writes it, fractions to four digits."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def level_label(factor: Factor, coded: float) -> str:
    """Return the text of a coded level; the code of an unordered level is its index."""
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
