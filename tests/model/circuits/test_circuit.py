"""Circuits: the paper's angle counts and the order of its gates."""

from __future__ import annotations

import itertools

import pytest

from hadamard.model.circuits.circuit import Angle, Circuit, Gate, Matrix, encoder_circuit, pqc, pqc_angles, ry, second_module_circuit
from hadamard.model.heads.logistic import LogisticHead
from hadamard.model.heads.mlp import MlpHead
from hadamard.model.heads.quantum.settings import QuantumHead, encoder_and_second_module


def test_the_papers_drawing_has_28_angles() -> None:
    assert pqc_angles(4, layers=3, connectivity=2) == 28
    assert pqc_angles(4, layers=3, connectivity=2, reading="B") == 36


@pytest.mark.parametrize(("qubits", "layers", "connectivity"), list(itertools.product((3, 5, 8), (0, 1, 4), (1, 2))))
def test_angle_counts_follow_the_formula(qubits: int, layers: int, connectivity: int) -> None:
    assert pqc_angles(qubits, layers, connectivity) == qubits * (connectivity * layers + 1)
    assert pqc_angles(qubits, layers, connectivity, "B") == qubits * (connectivity * (layers + 1) + 1)


def test_a_layer_is_a_chain_of_rings_nearest_first_and_the_column_comes_after_the_first_layer() -> None:
    gates = list(pqc(4, layers=2, connectivity=2))
    cnots = [gate.qubits for gate in gates if gate.name == "CNOT"]
    layer = [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2), (1, 3), (2, 0), (3, 1)]
    assert cnots == layer + layer
    first_layer = gates[:16]
    assert [gate.name for gate in first_layer] == ["CNOT", "RY"] * 8
    assert [gate.qubits for gate in gates[16:20]] == [(0,), (1,), (2,), (3,)]
    assert [gate.name for gate in gates[16:20]] == ["RY"] * 4
    assert [gate.angle.column for gate in gates if gate.angle] == list(range(20))


def test_every_cnot_is_followed_by_a_rotation_of_its_target() -> None:
    gates = list(pqc(5, layers=3, connectivity=2))
    for gate, after in itertools.pairwise(gates):
        if gate.name == "CNOT":
            assert after.name == "RY"
            assert after.qubits == (gate.qubits[1],)


def test_second_module_reuploads_the_data_before_each_block() -> None:
    circuit = second_module_circuit(3, block_inputs=[0, 0], layers=1, connectivity=1, measured=1)
    own = pqc_angles(3, 1, 1)
    assert (circuit.weights, circuit.inputs) == (3 * own, 3)
    inputs = [position for position, gate in enumerate(circuit.gates) if gate.angle and gate.angle.of == "inputs"]
    block = 3 + 3 * 2 + 3  # encoding, one ring, the column
    assert inputs == [0, 1, 2, block, block + 1, block + 2]
    weights = [gate.angle.column for gate in circuit.gates if gate.angle and gate.angle.of == "weights"]
    assert weights == list(range(circuit.weights))


def test_blocks_may_share_weights_and_take_inputs_of_their_own() -> None:
    own = pqc_angles(3, 1, 1)
    shared = second_module_circuit(3, block_inputs=[0, 3, 0], layers=1, connectivity=1, measured=1, share_blocks=True)
    assert (shared.weights, shared.inputs) == (2 * own, 6)


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        (("RY", (0,)), "RY takes an angle"),
        (("X", (0,), Angle("weights", 0)), "X takes no angle"),
        (("CNOT", (1, 1)), "CNOT acts on 2 different qubits"),
        (("CCX", (0, 1)), "CCX is not a gate; the gates are RX"),
        (("unitary", (0,)), "unitary is not a gate"),
    ],
)
def test_a_gate_that_cannot_be_read_is_refused(gate: tuple[object, ...], expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Gate(*gate)  # type: ignore[arg-type]


@pytest.mark.parametrize("matrix", [((1, 0), (0, 2)), ((1, 0, 0), (0, 1, 0), (0, 0, 1)), ((1, 0), (1,)), ((1, 1), (1, 1))])
def test_a_matrix_that_is_not_unitary_is_refused(matrix: Matrix) -> None:
    with pytest.raises(ValueError, match="is square and unitary"):
        Gate("unitary", (0,), matrix=matrix)


@pytest.mark.parametrize(
    ("qubits", "gate", "measured", "expected"),
    [
        (2, ry(2, "weights", 0), 1, "has qubits 0 to 1"),
        (2, ry(-1, "weights", 0), 1, "has qubits 0 to 1"),
        (2, ry(0, "weights", 0), 3, "has qubits 0 to 1"),
        (2, ry(0, "weights", -1), 1, "counted from 0"),
    ],
)
def test_a_circuit_that_names_what_is_not_there_is_refused(qubits: int, gate: Gate, measured: int, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        Circuit(qubits, (gate,), measured)


def test_a_layout_of_886_parameters_at_14_qubits_exists() -> None:
    layouts = [
        QuantumHead(qubits=14, encoders=E, encoder_layers=Le, connectivity=C, reuploads=N, layers=L)
        for E, Le, C, N, L in itertools.product((1, 2, 3, 4, 6), (1, 2, 3, 4), (1, 2, 3), (1, 2, 4), (1, 2, 3, 4))
    ]
    assert any(head.parameters(768) == 886 for head in layouts)


@pytest.mark.parametrize(("hidden", "expected"), [(0, 1538), (48, 37_010), (96, 74_018), (144, 111_026), (192, 148_034)])
def test_the_papers_perceptron_sizes(hidden: int, expected: int) -> None:
    assert MlpHead(kind="mlp", hidden=hidden).parameters(768) == expected
    assert LogisticHead(kind="logistic").parameters(768) == 769


def test_concatenation_widens_the_second_module() -> None:
    _, second = encoder_and_second_module(QuantumHead(qubits=3, encoders=2, merge="concatenate"))
    assert second.qubits == 6
    assert encoder_circuit(3, 1, 1).measured == 3
