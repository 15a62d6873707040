"""Models of one inference's energy on a QPU and on GPUs, the qubits at which they cross, and what moves that."""

from __future__ import annotations

import math
from collections.abc import Callable

from hadamard.model.settings import Settings

FEWEST_QUBITS, MOST_QUBITS, STEP = 1.0, 100.0, 0.25
"""Where a crossover is looked for, and how far apart before it is refined."""
PRECISION = 1e-9
"""Of a crossover, in qubits."""
ENERGY = "E_QPU = P S (n2 t2 + n1 t1 + t_ov)", "E_GPU = (P_GPU / BW) 2 b 2^Q (n1 + n2) / f"
"""The two models in the paper's letters."""


class Inputs(Settings):
    """Everything that a crossover depends on; letters are those of the models."""

    qpu_power_w: float
    """P, of the whole QPU while it runs."""
    shots: float
    """S, runs of the circuit for one expectation."""
    two_qubit_gate_s: float
    """t2; gates run one after the other."""
    one_qubit_gate_s: float
    """t1."""
    shot_overhead_s: float
    """t_ov, cooling, preparation and readout of a run."""
    two_qubit_gates: float
    """n2 / Q."""
    one_qubit_gates: float
    """n1 / Q."""
    gpu_power_w: float
    """P_GPU."""
    bandwidth_bytes_s: float
    """BW."""
    amplitude_bytes: float
    """b."""
    gates_per_pass: float
    """f, gates applied while the state is read and written once."""

    @property
    def gates(self) -> float:
        """Gates for each qubit."""
        return self.two_qubit_gates + self.one_qubit_gates


def qpu_s(inputs: Inputs, qubits: float) -> float:
    """Return the seconds of one inference on the QPU."""
    gates_s = inputs.two_qubit_gates * inputs.two_qubit_gate_s + inputs.one_qubit_gates * inputs.one_qubit_gate_s
    return inputs.shots * (qubits * gates_s + inputs.shot_overhead_s)


def qpu_j(inputs: Inputs, qubits: float) -> float:
    """Return the joules of one inference on the QPU."""
    return inputs.qpu_power_w * qpu_s(inputs, qubits)


def gpu_s(inputs: Inputs, qubits: float) -> float:
    """Return the seconds of one inference on as many GPUs as hold the state, times their number: reading and writing it is all they do."""
    passes = qubits * inputs.gates / inputs.gates_per_pass
    return 2 * inputs.amplitude_bytes * math.exp2(qubits) * passes / inputs.bandwidth_bytes_s


def gpu_j(inputs: Inputs, qubits: float) -> float:
    """Return the joules of one inference on GPUs."""
    return inputs.gpu_power_w * gpu_s(inputs, qubits)


def crossover(inputs: Inputs) -> float | None:
    """Return the qubits, not rounded, from which the QPU takes less energy than the GPU; None where there is no such number."""
    return crossing(lambda qubits: gpu_j(inputs, qubits), lambda qubits: qpu_j(inputs, qubits))


def crossing(simulation_j: Callable[[float], float], device_j: Callable[[float], float]) -> float | None:
    """Return the qubits at which a simulation first takes as much energy as a device, having taken less with fewer qubits.

    Args:
        simulation_j: Joules by qubits.
        device_j: Likewise.

    Returns:
        None where one of them always takes less, between 1 and 100 qubits.
    """

    def ahead(qubits: float) -> float:
        return math.log2(device_j(qubits)) - math.log2(simulation_j(qubits))

    low = FEWEST_QUBITS
    while low < MOST_QUBITS and not (ahead(low) > 0 >= ahead(low + STEP)):
        low += STEP
    if low >= MOST_QUBITS:
        return None
    high = low + STEP
    while high - low > PRECISION:
        middle = (low + high) / 2
        low, high = (middle, high) if ahead(middle) > 0 else (low, middle)
    return low


class Shift(Settings):
    """What halving and doubling one input does to a crossover, in qubits; None where none is left."""

    name: str
    """The input's, a field of `Inputs`."""
    value: float
    """What it is halved and doubled from."""
    halved: float | None
    doubled: float | None

    @property
    def size(self) -> float:
        """The larger of both shifts, infinite where a crossover goes away."""
        return max(math.inf if shift is None else abs(shift) for shift in (self.halved, self.doubled))


def shifts(inputs: Inputs) -> list[Shift]:
    """Return the shifts of every input, the largest first; none where there is no crossover to shift."""
    at = crossover(inputs)
    if at is None:
        return []

    def shift(name: str, factor: float) -> float | None:
        moved = crossover(inputs.model_copy(update={name: factor * getattr(inputs, name)}))
        return None if moved is None else moved - at

    every = [Shift(name=name, value=value, halved=shift(name, 0.5), doubled=shift(name, 2.0)) for name, value in inputs]
    return sorted(every, key=lambda shift: -shift.size)
