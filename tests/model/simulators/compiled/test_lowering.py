"""Lowering: the program of a circuit gives the circuit's values, and leaves out what cannot reach a measured qubit."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hadamard.model.circuits.circuit import Angle, Circuit, Gate, encoder_circuit, ry, second_module_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.simulators.compiled.lowering import Program, lower
from hadamard.model.simulators.reference import StateVectorSimulator
from tests.support.circuits import ALL_REAL, random_batch, random_circuits


def as_circuit(program: Program) -> Circuit:
    """Write a program back as RY and CNOT gates; each rotation's angle becomes an input column of its own."""
    gates: list[Gate] = []
    for column, rotation in enumerate(program.rotations):
        if rotation.control is not None:
            gates.append(Gate("CNOT", (rotation.control, rotation.target)))
        gates.append(Gate("RY", (rotation.target,), Angle("inputs", column)))
    return Circuit(program.qubits, tuple(gates), measured=program.qubits)


def run(program: Program, weights: torch.Tensor, inputs: torch.Tensor | None, states: torch.Tensor) -> torch.Tensor:
    rows = states.shape[1]
    columns = []
    for rotation in program.rotations:
        angle = torch.full((len(weights), rows), rotation.offset, dtype=weights.dtype)
        for term in rotation.terms:
            angle = angle + term.scale * (weights[:, None, term.column] if term.of == "weights" else inputs[:, :, term.column])  # type: ignore[index]
        columns.append(angle)
    angles = torch.stack(columns, dim=-1) if columns else weights.new_zeros(len(weights), rows, 0)
    values = StateVectorSimulator().expectations(as_circuit(program), weights[:, :0], angles, states)
    return values[..., list(program.measured)] * torch.tensor(program.signs)


@given(circuit=random_circuits(ALL_REAL), seed=st.integers(0, 2**31))
@settings(max_examples=150, deadline=None)
def test_the_program_gives_the_circuits_values(circuit: Circuit, seed: int) -> None:
    batch = random_batch(circuit, 2, 2, seed)
    assert batch.states is not None
    expected = StateVectorSimulator().expectations(circuit, batch.weights, batch.inputs, batch.states)
    torch.testing.assert_close(run(lower(circuit), batch.weights, batch.inputs, batch.states), expected, atol=1e-12, rtol=0)


def test_every_cnot_of_the_papers_circuit_is_fused_with_a_rotation() -> None:
    circuit = encoder_circuit(5, layers=3, connectivity=2)
    program = lower(circuit)
    assert sum(rotation.control is not None for rotation in program.rotations) == 5 * 2 * 3
    # The column's RY of the ring's last targets, 0 and 1, follow directly on their own and merge with them.
    assert len(program.rotations) == circuit.weights - 2


def test_the_column_of_one_block_merges_with_the_encoding_of_the_next() -> None:
    circuit = second_module_circuit(4, [0, 0], layers=1, connectivity=1, measured=4)
    merged = [rotation for rotation in lower(circuit).rotations if {term.of for term in rotation.terms} == {"weights", "inputs"}]
    assert len(merged) == 4


@pytest.mark.parametrize(("connectivity", "removed"), [(1, 0), (2, 3), (3, 5)])
def test_the_light_cone_removes_what_the_measured_qubit_cannot_feel(connectivity: int, removed: int) -> None:
    one, all_ = (second_module_circuit(6, [0], layers=2, connectivity=connectivity, measured=measured) for measured in (1, 6))
    assert len(lower(all_).rotations) - len(lower(one).rotations) == removed


def test_a_cnot_that_only_controls_leaves_the_measured_z_alone() -> None:
    circuit = Circuit(2, (ry(0, "weights", 0), Gate("CNOT", (0, 1)), ry(1, "weights", 1)), measured=1)
    assert [rotation.target for rotation in lower(circuit).rotations] == [0]


def test_a_complex_gate_is_refused() -> None:
    with pytest.raises(SettingsError, match="has no gate RX; `simulator: auto` takes one that has"):
        lower(Circuit(1, (Gate("RX", (0,), Angle("weights", 0)),), measured=1))
