"""Gates: their matrices as sums of three terms, and on more qubits than their own."""

from __future__ import annotations

import numpy as np
import pytest

from hadamard.model.circuits.circuit import GATE_QUBITS, ROTATIONS, Angle, Gate, GateName
from hadamard.model.circuits.gates import embed, is_monomial, terms
from tests.support.circuits import ALL_GATES, full_matrix


def gate(name: GateName, *qubits: int) -> Gate:
    return Gate(name, qubits or tuple(range(GATE_QUBITS[name])), Angle("weights", 0) if name in ROTATIONS else None)


@pytest.mark.parametrize("name", ALL_GATES)
def test_the_three_terms_make_the_gates_matrix_at_any_angle(name: GateName) -> None:
    for angle in (0.0, 0.7, -3.0, 9.0):
        matrix = np.tensordot([1, np.cos(angle / 2), np.sin(angle / 2)], terms(gate(name)), axes=1)
        np.testing.assert_allclose(matrix, full_matrix(GATE_QUBITS[name], gate(name), angle), atol=1e-15)


def test_a_unitary_is_its_own_matrix() -> None:
    matrix = ((0, 1j), (1, 0))
    np.testing.assert_array_equal(terms(Gate("unitary", (0,), matrix=matrix))[0], matrix)


@pytest.mark.parametrize("qubits", [(0, 1), (2, 0), (1, 2), (3, 1)])
@pytest.mark.parametrize("name", ["CRY", "CNOT"])
def test_embedding_agrees_with_dense_matrices(name: GateName, qubits: tuple[int, int]) -> None:
    wide = embed(terms(gate(name, *qubits)), qubits, (0, 1, 2, 3))
    matrix = np.tensordot([1, np.cos(0.4), np.sin(0.4)], wide, axes=1)
    np.testing.assert_allclose(matrix, full_matrix(4, gate(name, *qubits), 0.8), atol=1e-15)


def test_the_first_of_the_qubits_embedded_in_is_the_most_significant() -> None:
    control_is_the_last_bit = embed(terms(gate("CNOT", 0, 1)), (0, 1), (1, 0))[0]
    np.testing.assert_array_equal(control_is_the_last_bit, np.eye(4)[[0, 3, 2, 1]])


def test_monomial_gates_are_those_without_superpositions() -> None:
    assert {name for name in ALL_GATES if is_monomial(gate(name))} == {"X", "Y", "Z", "S", "T", "CNOT", "CZ", "SWAP"}
    assert is_monomial(Gate("unitary", (0,), matrix=((0, 1j), (1, 0))))
