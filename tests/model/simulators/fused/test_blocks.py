"""Plans of blocks: what is grouped, what is left out, and that a plan does what its circuit does."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hadamard.model.circuits.circuit import Angle, Circuit, Gate, encoder_circuit, ry, second_module_circuit
from hadamard.model.simulators.fused.blocks import WIDEST, WIDEST_OF_ROWS, Block, Shuffle, Turn, light_cone, plan
from tests.support.circuits import ALL_GATES, random_circuits


def blocks(circuit: Circuit, from_states: bool = False) -> list[Block]:
    return [step for step in plan(circuit, from_states).steps if isinstance(step, Block)]


def rotations_and_ring(qubits: int, layers: int) -> Circuit:
    """Re-uploads, rotations on all qubits, a ring of CNOTs and one of CZs, as general circuits have them."""
    gates = []
    for layer in range(layers):
        gates += [ry(qubit, "inputs", qubit) for qubit in range(qubits)]
        for qubit in range(qubits):
            gates += [Gate(axis, (qubit,), Angle("weights", 2 * (layer * qubits + qubit) + n)) for n, axis in enumerate(("RY", "RZ"))]
        gates += [Gate("CNOT", (qubit, (qubit + 1) % qubits)) for qubit in range(qubits)]
        gates += [Gate("CZ", (qubit, (qubit + 2) % qubits)) for qubit in range(qubits)]
    return Circuit(qubits, tuple(gates), qubits)


@given(circuit=random_circuits(ALL_GATES, qubits=(1, 7), gates=40), from_states=st.booleans())
@settings(max_examples=60, deadline=None)
def test_every_gate_is_in_one_step_and_blocks_keep_their_width(circuit: Circuit, from_states: bool) -> None:
    chosen = plan(circuit, from_states)
    in_blocks = Counter(gate for step in chosen.steps if isinstance(step, Block) for chain in step.chains for gate in chain.gates)
    kept = Counter(light_cone(circuit))
    assert in_blocks <= kept
    assert all(gate.angle is None for gate in kept - in_blocks), "only fixed gates are shuffled"
    for step in chosen.steps:
        if isinstance(step, Block):
            assert len(step.qubits) <= max(2, WIDEST_OF_ROWS if step.of_rows else WIDEST)
            inputs = [gate for chain in step.chains for gate in chain.gates if gate.angle is not None and gate.angle.of == "inputs"]
            assert bool(inputs) == step.of_rows
        if isinstance(step, Shuffle):
            assert sorted(step.source) == list(range(len(step.source)))


def test_a_ring_between_rotations_is_one_shuffle_and_the_last_one_none() -> None:
    steps = plan(rotations_and_ring(8, layers=2), from_states=False).steps
    assert sum(isinstance(step, Shuffle) for step in steps) == 1
    assert sum(isinstance(step, Turn) for step in steps) == 4
    assert all(step.of_rows for step in steps if isinstance(step, Block)), "weights ride along with the inputs on their qubits"


def test_the_papers_rings_of_cnots_and_rotations_go_into_blocks() -> None:
    circuit = encoder_circuit(10, layers=3, connectivity=2)
    assert len(circuit.gates) >= 6 * len(blocks(circuit, from_states=True)), "at least six gates a block"


def test_qubits_join_with_the_block_that_first_moves_them() -> None:
    circuit = second_module_circuit(6, [0, 0], layers=1, connectivity=1, measured=6)
    chosen = plan(circuit, from_states=False)
    assert chosen.started == 0
    assert sum(block.fresh for block in blocks(circuit)) == 6
    assert plan(circuit, from_states=True).started == 6


def test_a_qubit_that_a_monomial_gate_meets_first_is_there_from_the_beginning() -> None:
    circuit = Circuit(2, (ry(0, "weights", 0), Gate("X", (1,)), Gate("CNOT", (1, 0)), ry(1, "weights", 1), ry(0, "weights", 2)), 2)
    assert plan(circuit, from_states=False).started in (0, 1)


def test_gates_that_reach_no_measured_qubit_are_left_out() -> None:
    circuit = Circuit(3, (ry(0, "weights", 0), ry(1, "weights", 1), Gate("CNOT", (1, 0)), ry(1, "weights", 2), ry(2, "weights", 3)), 1)
    assert light_cone(circuit) == list(circuit.gates[:3])
    assert sum(block.fresh for block in blocks(circuit)) == 2, "qubit 2 never joins"


@pytest.mark.parametrize("from_states", [False, True])
def test_signs_are_those_of_the_measured_qubits_after_the_last_shuffle(from_states: bool) -> None:
    circuit = Circuit(2, (ry(0, "weights", 0), ry(1, "weights", 1), Gate("CNOT", (0, 1))), 2)
    chosen = plan(circuit, from_states)
    # Basis states 00, 01, 10, 11 become 00, 01, 11, 10: Z of qubit 1 is then the product of both.
    np.testing.assert_array_equal(chosen.signs[1], [1, -1, -1, 1])


def test_a_plan_takes_seconds_at_most() -> None:
    began = time.process_time()
    plan(second_module_circuit(14, [0] * 2, layers=2, connectivity=2, measured=1), from_states=False)
    assert time.process_time() - began < 5
