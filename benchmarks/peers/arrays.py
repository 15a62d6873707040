"""Circuits as arrays, for peers that take angles by position and measure from amplitudes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hadamard.model.circuits.circuit import Circuit
from hadamard.orchestrator.timing.paper_head import Array


def z_signs(qubits: int) -> Array:
    """Return [2**qubits, qubits]: the eigenvalue of each qubit's Z in each basis state, qubit 0 the most significant bit."""
    bits = (np.arange(2**qubits)[:, None] >> (qubits - 1 - np.arange(qubits))) & 1
    return (1 - 2 * bits).astype(np.float64)


def angle_columns(circuit: Circuit) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return for each rotation, in the order of the gates, the column of its angle, and whether that is one of the inputs."""
    angles = [gate.angle for gate in circuit.gates if gate.angle is not None]
    return np.array([angle.column for angle in angles]), np.array([angle.of == "inputs" for angle in angles])
