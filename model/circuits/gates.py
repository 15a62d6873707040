"""The matrices of gates, as constants from which the matrix at any angle is a sum of three. Gates are listed in circuit.py."""

from __future__ import annotations

import numpy as np

from hadamard.model.circuits.circuit import Gate

PAULI = {"X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}
FIXED = {
    **PAULI,
    "H": (PAULI["X"] + PAULI["Z"]) / 2**0.5,
    "S": np.diag([1, 1j]),
    "T": np.diag([1, np.exp(0.25j * np.pi)]),
    "CNOT": np.eye(4)[[0, 1, 3, 2]],
    "CZ": np.diag([1, 1, 1, -1]),
    "SWAP": np.eye(4)[[0, 2, 1, 3]],
}


def terms(gate: Gate) -> np.ndarray:
    """Return A, B and C of the gate's matrix A + cos(t/2) B + sin(t/2) C at angle t: [3, d, d], complex.

    A rotation about the Pauli matrix P is cos(t/2) - i sin(t/2) P; its controlled form does so where the control is 1.
    For a gate without an angle, B and C are zero.
    """
    if gate.angle is None:
        matrix = np.array(gate.matrix if gate.name == "unitary" else FIXED[gate.name])
        return np.stack([matrix, 0 * matrix, 0 * matrix]).astype(complex)
    rotation = np.stack([np.zeros((2, 2)), np.eye(2), -1j * PAULI[gate.name[-1]]])
    if len(gate.qubits) == 1:
        return rotation
    controlled = np.kron(np.diag([0, 1]), rotation)
    controlled[0] += np.diag([1, 1, 0, 0])
    return controlled


def is_monomial(gate: Gate) -> bool:
    """Whether the gate only permutes amplitudes and changes their phases: one nonzero entry per row of its matrix."""
    return gate.angle is None and bool(((terms(gate)[0] != 0).sum(axis=1) == 1).all())


def embed(matrices: np.ndarray, qubits: tuple[int, ...], within: tuple[int, ...]) -> np.ndarray:
    """Extend matrices on `qubits` to matrices on all the qubits `within`, the first of each tuple the most significant.

    Args:
        matrices: [n, 2**len(qubits), 2**len(qubits)].
        qubits: The qubits they act on.
        within: A superset of `qubits`, in any order.

    Returns:
        [n, 2**len(within), 2**len(within)].
    """
    width = len(within)
    rest = [qubit for qubit in within if qubit not in qubits]
    wide = np.kron(matrices, np.eye(2 ** len(rest))).reshape(-1, *(2,) * (2 * width))
    positions = [[*qubits, *rest].index(qubit) for qubit in within]
    axes = [0, *(1 + position for position in positions), *(1 + width + position for position in positions)]
    return wide.transpose(axes).reshape(-1, 2**width, 2**width)
