"""The budget of a study: the time, node-hours, joules and trials that all of its runs together may use.

`execution/budget_guard.py` enforces it while a study runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field

from hadamard.model.settings import Settings

SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
JOULES = {"J": 1.0, "kJ": 1e3, "MJ": 1e6, "Wh": 3600.0, "kWh": 3.6e6}
NAMES = ("wall", "node_hours", "energy", "trials")
_QUANTITY = re.compile(r"\s*(\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*([A-Za-z]+)\s*")


def _in(units: Mapping[str, float]) -> BeforeValidator:
    """Return a validator that turns `2 h` into its number in the first of these units; a number alone is in that unit."""

    def convert(value: object) -> object:
        if not isinstance(value, str):
            return value
        quantity = _QUANTITY.fullmatch(value)
        if quantity is None or quantity[2] not in units:
            raise ValueError(f"is a number with a unit: {', '.join(units)}, such as `2 {list(units)[-2]}`; not {value!r}")
        return float(quantity[1]) * units[quantity[2]]

    return BeforeValidator(convert)


class Budget(Settings):
    """What a study may use; None: no limit."""

    wall: Annotated[float, _in(SECONDS), Field(gt=0)] | None = None
    """Time by the clock while it runs, as `90 min` or `2 h`; a number without a unit is seconds."""
    node_hours: Annotated[float, Field(gt=0)] | None = None
    """Hours of all nodes together."""
    energy: Annotated[float, _in(JOULES), Field(gt=0)] | None = None
    """Gross energy of its packs by the nodes' meters, as `2 kWh` or `500 kJ`; a number without a unit is joules. Needs meters."""
    trials: Annotated[int, Field(ge=1, le=10**9)] | None = None
    """Trials that end."""

    @property
    def is_set(self) -> bool:
        """Whether anything is limited."""
        return any(getattr(self, name) is not None for name in NAMES)


@dataclass(frozen=True)
class Used:
    """What was used, or is expected to be used; None: not known."""

    wall_s: float | None
    node_hours: float | None
    energy_j: float | None
    trials: int

    def amounts(self) -> dict[str, float | None]:
        """Return the amounts by the budget's names."""
        return dict(zip(NAMES, (self.wall_s, self.node_hours, self.energy_j, self.trials), strict=True))


def passed(budget: Budget, used: Used) -> list[str]:
    """Return the names of the limits that are used up."""
    limits = {name: getattr(budget, name) for name in NAMES}
    return [name for name, amount in used.amounts().items() if limits[name] is not None and amount is not None and amount >= limits[name]]
