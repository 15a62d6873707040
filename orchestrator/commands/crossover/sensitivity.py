"""How far the crossover moves when one input is half or twice as large: which inputs it hangs on.

Owns the shifts. Does not own the models, nor how shifts are drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

from hadamard.orchestrator.commands.crossover.models import Inputs, crossover


@dataclass(frozen=True)
class Shift:
    """What halving and doubling one input does to a crossover, in qubits; None where none is left.

    Attributes:
        name: The input's, a field of `Inputs`.
        value: What it is halved and doubled from.
    """

    name: str
    value: float
    halved: float | None
    doubled: float | None

    @property
    def size(self) -> float:
        """The larger of both shifts, infinite where a crossover goes away."""
        return max(float("inf") if shift is None else abs(shift) for shift in (self.halved, self.doubled))


def shifts(inputs: Inputs) -> list[Shift]:
    """Return the shifts of every input, the largest first; none where there is no crossover to shift."""
    at = crossover(inputs)
    if at is None:
        return []

    def shift(name: str, factor: float) -> float | None:
        moved = crossover(replace(inputs, **{name: factor * getattr(inputs, name)}))
        return None if moved is None else moved - at

    names = [field.name for field in fields(inputs)]
    found = [Shift(name, getattr(inputs, name), shift(name, 0.5), shift(name, 2.0)) for name in names]
    return sorted(found, key=lambda one: -one.size)
