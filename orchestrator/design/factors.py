"""A factor of a study: a setting by its dotted path, and the levels a design may give it.

Owns the translation between coded and real values. Does not own which combinations are run: that is the design.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
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
        """Return the short form used in plans and messages."""
        if self.is_range:
            return f"{self.path}: {self.low:g} to {self.high:g} ({self.scale})"
        return f"{self.path}: {', '.join(map(str, self.levels))}"
