"""Parameterised quantum circuits as lists of gates, and the paper's circuits. Matrices of gates are in gates.py."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Reading = Literal["A", "B"]
GateName = Literal["RY", "CNOT", "X", "Z", "H", "CZ", "SWAP", "CRY", "RX", "RZ", "CRX", "CRZ", "Y", "S", "T", "unitary"]
Matrix: TypeAlias = tuple[tuple[complex, ...], ...]

ROTATIONS = frozenset({"RX", "RY", "RZ", "CRX", "CRY", "CRZ"})
"""The gates that take an angle."""
REAL_GATES = frozenset({"RY", "CNOT", "X", "Z", "H", "CZ", "SWAP", "CRY"})
"""The gates whose matrix is real: a circuit of these alone keeps a real state real."""
GATE_QUBITS: dict[GateName, int] = {
    "RX": 1, "RY": 1, "RZ": 1, "X": 1, "Y": 1, "Z": 1, "H": 1, "S": 1, "T": 1,
    "CNOT": 2, "CZ": 2, "SWAP": 2, "CRX": 2, "CRY": 2, "CRZ": 2,
}  # fmt: skip
"""How many qubits each gate acts on; a `unitary` says so by its matrix."""


@dataclass(frozen=True)
class Angle:
    """The source of a rotation's angle: a column of the trial's weights, or of the row's inputs."""

    of: Literal["weights", "inputs"]
    column: int


@dataclass(frozen=True)
class Gate:
    """One gate on one or two qubits.

    Attributes:
        name: RX, RY, RZ are exp(-i t P / 2) with a Pauli matrix P; a leading C marks a controlled gate.
        qubits: The qubits it acts on, control first; qubit 0 is the most significant bit of a basis state's index.
        angle: Of a rotation; None for every other gate.
        matrix: Of a `unitary`, 2 x 2 or 4 x 4, its first qubit the most significant bit; None for every other gate.
    """

    name: GateName
    qubits: tuple[int, ...]
    angle: Angle | None = None
    matrix: Matrix | None = None

    def __post_init__(self) -> None:
        """Check that the gate is one that simulators know.

        Raises:
            ValueError: The name is unknown, or qubits, angle or matrix do not go with it.
        """
        expected = len(self.matrix or ()).bit_length() - 1 if self.name == "unitary" else GATE_QUBITS.get(self.name)
        if expected not in (1, 2):
            known = ", ".join([*GATE_QUBITS, "unitary (of 1 or 2 qubits)"])
            raise ValueError(f"{self.name} is not a gate; the gates are {known}")
        if len(self.qubits) != expected or len(set(self.qubits)) != expected:
            raise ValueError(f"{self.name} acts on {expected} different qubits, not on {self.qubits}")
        if (self.name in ROTATIONS) != (self.angle is not None):
            raise ValueError(f"{self.name} takes {'an' if self.name in ROTATIONS else 'no'} angle")
        if self.matrix is not None and not _is_unitary(self.matrix, 2**expected):
            raise ValueError(f"the matrix of a {self.name} on {expected} qubits is square and unitary, not {self.matrix}")


def _is_unitary(matrix: Matrix, size: int) -> bool:
    """Whether a matrix is size x size and its rows are orthonormal to 1e-6."""
    square = len(matrix) == size and all(len(row) == size for row in matrix)
    pairs = itertools.product(enumerate(matrix), repeat=2)
    return square and all(abs(sum(a * b.conjugate() for a, b in zip(x, y, strict=True)) - (i == j)) < 1e-6 for (i, x), (j, y) in pairs)


@dataclass(frozen=True)
class Circuit:
    """Gates in order, then a measurement of Pauli-Z on the first `measured` qubits.

    Attributes:
        weights: How many columns of weights the gates take: angles that are trained, the same for all rows of a trial.
        inputs: How many columns of inputs the gates take: angles that differ from row to row.
        real: Whether every gate is real, so that a real initial state stays real.
    """

    qubits: int
    gates: tuple[Gate, ...]
    measured: int
    weights: int = field(init=False)
    inputs: int = field(init=False)
    real: bool = field(init=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Count the columns, and check that qubits and columns exist.

        Raises:
            ValueError: A gate or the measurement names a qubit outside the circuit, or an angle a negative column.
        """
        if not 0 <= self.measured <= self.qubits or not all(0 <= qubit < self.qubits for gate in self.gates for qubit in gate.qubits):
            raise ValueError(
                f"a circuit of {self.qubits} qubits has qubits 0 to {self.qubits - 1}; its gates or its measurement name others"
            )
        if any(gate.angle is not None and gate.angle.column < 0 for gate in self.gates):
            raise ValueError("columns of weights and inputs are counted from 0")
        for of in ("weights", "inputs"):
            columns = [gate.angle.column for gate in self.gates if gate.angle is not None and gate.angle.of == of]
            object.__setattr__(self, of, max(columns, default=-1) + 1)
        object.__setattr__(self, "real", all(gate.name in REAL_GATES for gate in self.gates))
        object.__setattr__(self, "_hash", hash((self.qubits, self.gates, self.measured)))

    def __hash__(self) -> int:
        """Return the hash, computed once: simulators look circuits up in their caches at every step."""
        return self._hash


def ry(qubit: int, of: Literal["weights", "inputs"], column: int) -> Gate:
    """Return RY on a qubit, [[cos t/2, -sin t/2], [sin t/2, cos t/2]]."""
    return Gate("RY", (qubit,), Angle(of, column))


def pqc_angles(qubits: int, layers: int, connectivity: int, reading: Reading = "A") -> int:
    """Return the number of angles of one PQC: Q(CL+1), or Q(C(L+1)+1) in reading B (paper.md, "The PQC")."""
    return sum(gate.name == "RY" for gate in pqc(qubits, layers, connectivity, reading))


def pqc(qubits: int, layers: int, connectivity: int, reading: Reading = "A", first: int = 0, entangling: bool = True) -> Iterator[Gate]:
    """Yield the gates of the paper's PQC, its weights numbered from `first` in the order of the gates.

    A layer is the rings of distance 1..C. Reading A: one layer, an RY on every qubit (the RY column), the other L-1 layers; with 0 layers
    only the RY column. Reading B: one layer, the RY column, then L layers. Not `entangling`: the same without CNOTs.
    """
    before_column = 1 if reading == "B" else min(layers, 1)
    after_column = layers if reading == "B" else max(layers - 1, 0)
    column = [("column", 0)]
    rings = [("ring", distance) for distance in range(1, connectivity + 1)]
    for part, distance in before_column * rings + column + after_column * rings:
        for control in range(qubits):
            target = (control + distance) % qubits if part == "ring" else control
            if part == "ring" and entangling:
                yield Gate("CNOT", (control, target))
            yield ry(target, "weights", first)
            first += 1


def encoder_circuit(qubits: int, layers: int, connectivity: int, reading: Reading = "A", entangling: bool = True) -> Circuit:
    """Return an encoder: a PQC that acts on an amplitude-encoded state, then Pauli-Z on every qubit."""
    return Circuit(qubits, tuple(pqc(qubits, layers, connectivity, reading, entangling=entangling)), measured=qubits)


def second_module_circuit(
    qubits: int,
    block_inputs: Iterable[int],
    layers: int,
    connectivity: int,
    measured: int,
    reading: Reading = "A",
    share_blocks: bool = False,
    entangling: bool = True,
) -> Circuit:
    """Return the second module: re-uploading blocks of [RY angle encoding, PQC 1], then PQC 2, then Pauli-Z on the measured qubits.

    Args:
        qubits: Width of the circuit.
        block_inputs: For each block, the first of the `qubits` input columns that it encodes; blocks may share columns.
        layers: Layers of each PQC.
        connectivity: C of each PQC.
        measured: How many qubits are measured.
        reading: Of the paper's PQC; see `pqc`.
        share_blocks: Whether all blocks share the weights of one PQC 1.
        entangling: Whether PQCs have CNOTs.

    Returns:
        The circuit; weights are numbered block by block, those of PQC 2 last.
    """
    gates: list[Gate] = []
    angles = pqc_angles(qubits, layers, connectivity, reading)
    first = 0
    for block, block_input in enumerate(block_inputs):
        first = 0 if share_blocks else block * angles
        gates += [ry(qubit, "inputs", block_input + qubit) for qubit in range(qubits)]
        gates += pqc(qubits, layers, connectivity, reading, first, entangling)
        first += angles
    gates += pqc(qubits, layers, connectivity, reading, first, entangling)
    return Circuit(qubits, tuple(gates), measured)
