"""A line through logarithms of what a sentence takes against qubits, and the band in which a further measurement would lie."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from hadamard.model.settings import Settings

DOMINATED, FEWEST_SIZES = 8.0, 4
"""Work dominates where a gate takes at least this many times what it takes at the simulator's best size: what does not grow with the state,
calls above all, is then less than an eighth of it. With fewer sizes than four, the band would say nothing."""
LEVEL = 0.95


class Fit(Settings):
    """log2(value / gates) = intercept + slope Q: a gate's cost doubles every 1 / slope qubits."""

    sizes: tuple[int, ...]
    """Qubits that it was fitted on."""
    gates: float
    """For each qubit."""
    intercept: float
    """At the middle of the sizes."""
    slope: float
    """Per qubit; 1 where only the number of amplitudes matters."""
    sd: float
    """Of a measurement around the line, in doublings, on len(sizes) - 2 degrees of freedom."""

    def value(self, qubits: float) -> float:
        """Return what the line says for one sentence."""
        return self._at(qubits, 0.0)

    def low(self, qubits: float) -> float:
        """Return the lower edge of the band in which a measurement would lie with 95 % probability, if the line holds."""
        return self._at(qubits, -self._margin(qubits))

    def high(self, qubits: float) -> float:
        """Return its upper edge."""
        return self._at(qubits, self._margin(qubits))

    def _at(self, qubits: float, doublings: float) -> float:
        return self.gates * qubits * math.exp2(self.intercept + self.slope * (qubits - self._middle) + doublings)

    def _margin(self, qubits: float) -> float:
        """Return half the prediction interval at a size, in doublings (of a further observation; Montgomery et al., Linear Regression)."""
        count, middle = len(self.sizes), self._middle
        leverage = 1 / count + (qubits - middle) ** 2 / sum((size - middle) ** 2 for size in self.sizes)
        return _quantile(count - 2) * self.sd * math.sqrt(1 + leverage)

    @property
    def _middle(self) -> float:
        return sum(self.sizes) / len(self.sizes)


@functools.cache
def _quantile(freedom: int) -> float:
    """Return half the width of a band, in standard deviations: of Student's t."""
    return float(stats.t.ppf((1 + LEVEL) / 2, freedom))


def fit(sizes: Sequence[int], values: Sequence[float], gates: float) -> Fit | None:
    """Return the line through what one sentence took, where work dominates; None where that is at fewer than four sizes.

    Args:
        sizes: Qubits, in order.
        values: Seconds or joules at each.
        gates: Of the circuit, for each qubit.
    """
    each = np.asarray(values) / (gates * np.asarray(sizes))
    work = each >= DOMINATED * each.min()
    if work.sum() < FEWEST_SIZES:
        return None
    x, y = np.asarray(sizes)[work], np.log2(each[work])
    line = stats.linregress(x, y)
    sd = float(np.sqrt(np.sum((y - line.intercept - line.slope * x) ** 2) / (len(x) - 2)))
    middle = float(line.intercept + line.slope * x.mean())
    return Fit(sizes=tuple(map(int, x)), gates=gates, intercept=middle, slope=float(line.slope), sd=sd)
