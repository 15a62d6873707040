"""The paper's parameterised quantum circuits, as lists of gates with named parameters.

Owns which gate stands where and which angle it takes. Does not own how a circuit is simulated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Reading = Literal["A", "B"]


@dataclass(frozen=True)
class Gate:
    """RY on one qubit, or CNOT on (control, target).

    Attributes:
        name: `RY` or `CNOT`.
        qubits: The qubits acted on; qubit 0 is the most significant bit of a basis state's index.
        angle: Column of the angles that an RY takes; None for a CNOT.
    """

    name: Literal["RY", "CNOT"]
    qubits: tuple[int, ...]
    angle: int | None = None


@dataclass(frozen=True)
class Circuit:
    """Gates in order, then Pauli-Z on the first `measured` qubits.

    Every gate is real, so a real initial state stays real. RY(t) = exp(-i t Y / 2) = [[cos t/2, -sin t/2], [sin t/2, cos t/2]].
    """

    qubits: int
    gates: tuple[Gate, ...]
    measured: int
    angles: int = field(init=False)
    """How many angles the gates take in all."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "angles", sum(gate.name == "RY" for gate in self.gates))


def pqc_angles(qubits: int, layers: int, connectivity: int, reading: Reading = "A") -> int:
    """Return the number of angles of one PQC: Q(CL+1), or Q(C(L+1)+1) in reading B (paper.md, "The PQC")."""
    return sum(gate.name == "RY" for gate in pqc(qubits, layers, connectivity, reading))


def pqc(qubits: int, layers: int, connectivity: int, reading: Reading = "A") -> Iterator[Gate]:
    """Yield the gates of the paper's PQC, angles numbered from 0 in the order of the gates.

    A layer is the rings of distance 1..C. Reading A: a first layer, one RY on every qubit, the other L-1 layers;
    without any layer only the RY column. Reading B: one layer, the RY column, then L layers.
    """
    angle = 0
    before_column = 1 if reading == "B" else min(layers, 1)
    after_column = layers if reading == "B" else max(layers - 1, 0)
    column = [("column", 0)]
    rings = [("ring", distance) for distance in range(1, connectivity + 1)]
    for part, distance in before_column * rings + column + after_column * rings:
        for control in range(qubits):
            target = (control + distance) % qubits if part == "ring" else control
            if part == "ring":
                yield Gate("CNOT", (control, target))
            yield Gate("RY", (target,), angle)
            angle += 1


def encoder_circuit(qubits: int, layers: int, connectivity: int, reading: Reading = "A") -> Circuit:
    """Return an encoder: a PQC on an amplitude-encoded state, then Pauli-Z on every qubit."""
    return Circuit(qubits, tuple(pqc(qubits, layers, connectivity, reading)), measured=qubits)


def second_module_circuit(qubits: int, reuploads: int, layers: int, connectivity: int, measured: int, reading: Reading = "A") -> Circuit:
    """Return the second module: N blocks of [RY angle encoding, PQC 1], then PQC 2, then Pauli-Z on the measured qubits.

    Angle columns: for each block Q data angles and then the block's PQC angles; PQC 2's angles come last.
    """
    gates: list[Gate] = []
    angle = 0
    for block in range(reuploads + 1):
        if block < reuploads:
            gates += [Gate("RY", (qubit,), angle + qubit) for qubit in range(qubits)]
            angle += qubits
        for gate in pqc(qubits, layers, connectivity, reading):
            gates.append(gate if gate.angle is None else Gate(gate.name, gate.qubits, angle + gate.angle))
        angle += pqc_angles(qubits, layers, connectivity, reading)
    return Circuit(qubits, tuple(gates), measured)
