"""How what a sentence takes grows with the qubits: a line through logarithms, and the band in which a further measurement would lie.

Owns the model, the range that it is fitted on, and its band. Does not own measurements, nor what they are of.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

DOMINATED, FEWEST_SIZES = 8.0, 4
"""Work dominates where a gate takes at least so many times what it takes at the simulator's best size: what does not grow with the state,
calls above all, is then less than an eighth of it. With fewer sizes than four, the band would say nothing."""
LEVEL = 0.95


@dataclass(frozen=True)
class Fit:
    """log2(value / gates) = intercept + slope Q: a gate's cost doubles every 1 / slope qubits.

    Attributes:
        sizes: Qubits that it was fitted on.
        gates: For each qubit.
        intercept: At the middle of the sizes.
        slope: Per qubit; 1 where only the number of amplitudes matters.
        sd: Of a measurement around the line, in doublings, on len(sizes) - 2 degrees of freedom.
    """

    sizes: tuple[int, ...]
    gates: float
    intercept: float
    slope: float
    sd: float

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
    slope = float(np.sum((x - x.mean()) * (y - y.mean())) / np.sum((x - x.mean()) ** 2))
    left = y - y.mean() - slope * (x - x.mean())
    return Fit(tuple(map(int, x)), gates, float(y.mean()), slope, float(np.sqrt(np.sum(left**2) / (len(x) - 2))))
