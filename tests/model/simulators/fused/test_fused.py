"""The fused simulator against dense matrices, PennyLane and the clear simulator, in values, gradients and memory."""

from __future__ import annotations

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from hadamard.model.circuits.circuit import Circuit, Gate, second_module_circuit
from hadamard.model.simulators.fused import simulator
from hadamard.model.simulators.fused.blocks import Block, plan
from hadamard.model.simulators.fused.simulator import FusedSimulator
from hadamard.model.simulators.pennylane.device import PennyLaneSimulator
from hadamard.model.simulators.reference import StateVectorSimulator
from tests.model.simulators.fused.test_blocks import rotations_and_ring
from tests.support.circuits import (
    ALL_REAL,
    assert_agree,
    circuits_with_unitaries,
    random_batch,
    random_circuits,
    values_and_gradients,
)
from tests.support.peak_bytes import PeakBytes

pytestmark = pytest.mark.usefixtures("double_precision")
SIMULATOR = FusedSimulator()


@pytest.mark.parametrize("device", ["default.qubit", "lightning.qubit"])
@given(circuit=circuits_with_unitaries(), rows=st.integers(1, 5), from_states=st.booleans(), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_values_and_gradients_agree_with_pennylane(device: str, circuit: Circuit, rows: int, from_states: bool, seed: int) -> None:
    assume(circuit.weights + circuit.inputs)
    batch = random_batch(circuit, 2, rows, seed, from_states=from_states)
    theirs = values_and_gradients(PennyLaneSimulator(device), circuit, batch)
    assert_agree(values_and_gradients(SIMULATOR, circuit, batch), theirs, value=1e-10, gradient=1e-10)
    assert_agree(values_and_gradients(SIMULATOR, circuit, batch.to(torch.float32)), theirs, value=1e-5, gradient=1e-4)


@pytest.mark.slow
@given(circuit=random_circuits(ALL_REAL, qubits=(1, 8), gates=60), rows=st.integers(1, 5), seed=st.integers(0, 2**31))
@settings(max_examples=50, deadline=None)
def test_real_circuits_agree_with_the_clear_simulator_also_in_the_states_gradient(circuit: Circuit, rows: int, seed: int) -> None:
    batch = random_batch(circuit, 3, rows, seed)
    ours, clear = (values_and_gradients(each, circuit, batch, of_states=True) for each in (SIMULATOR, StateVectorSimulator()))
    assert_agree(ours, clear, value=1e-10, gradient=1e-10)


def test_the_states_gradient_of_a_complex_circuit_is_that_of_its_real_amplitudes() -> None:
    circuit = rotations_and_ring(4, layers=1)
    batch = random_batch(circuit, 2, 3, seed=0)
    ours, theirs = (values_and_gradients(each, circuit, batch, of_states=True) for each in (SIMULATOR, PennyLaneSimulator("default.qubit")))
    # PennyLane's states were normalised on the way, which takes the part along the state out of the gradient.
    assert batch.states is not None
    along = (ours[-1] * batch.states).sum(dim=-1, keepdim=True)
    assert_agree([*ours[:-1], ours[-1] - along * batch.states], theirs, value=1e-10, gradient=1e-10)


@pytest.mark.parametrize(("trials", "rows"), [(1, 7), (3, 5), (5, 1), (2, 11)])
@pytest.mark.parametrize("chunk_bytes", [1, 600, 5000, 2**30])
def test_chunks_of_any_size_give_the_same(trials: int, rows: int, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = rotations_and_ring(4, layers=2)
    batch = random_batch(circuit, trials, rows, seed=2, from_states=True)
    whole = values_and_gradients(SIMULATOR, circuit, batch, of_states=True)
    monkeypatch.setitem(simulator.CHUNK_BYTES, "cpu", chunk_bytes)
    assert_agree(values_and_gradients(SIMULATOR, circuit, batch, of_states=True), whole, value=1e-13, gradient=1e-13)


def test_a_circuit_without_gates_or_angles_measures_its_initial_state() -> None:
    assert SIMULATOR.expectations(Circuit(2, (), 2), torch.zeros(3, 0)).tolist() == [[[1.0, 1.0]]] * 3
    assert SIMULATOR.expectations(Circuit(2, (Gate("X", (1,)),), 2), torch.zeros(1, 0)).tolist() == [[[1.0, -1.0]]]


def peak_bytes(circuit: Circuit, rows: int, from_states: bool) -> int:
    batch = random_batch(circuit, 1, rows, 0, torch.float32, from_states)
    given = sum(part.nbytes for part in (batch.weights, batch.inputs, batch.states) if part is not None)
    values_and_gradients(SIMULATOR, circuit, batch)  # so that the circuit's constants are there, once and for all
    with PeakBytes() as measured:
        values_and_gradients(SIMULATOR, circuit, batch)
    return measured.peak - given  # which `values_and_gradients` clones


@pytest.mark.slow
@pytest.mark.parametrize("real", [True, False])
@pytest.mark.parametrize("from_states", [True, False])
def test_a_step_takes_at_most_three_states_per_sample(real: bool, from_states: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    qubits = 14
    circuit = second_module_circuit(qubits, [0, 0], 2, 2, measured=qubits) if real else rotations_and_ring(qubits, layers=3)
    monkeypatch.setitem(simulator.CHUNK_BYTES, "cpu", 2**40)  # the worst case: no sharing out of rows
    per_sample = (peak_bytes(circuit, 24, from_states) - peak_bytes(circuit, 8, from_states)) / 16  # without what is there once a trial
    state_bytes = 2**qubits * (4 if real else 8)
    blocks_of_rows = [step for step in plan(circuit, from_states).steps if isinstance(step, Block) and step.of_rows]
    matrices_bytes = sum(4 ** len(block.qubits) >> block.fresh for block in blocks_of_rows) * state_bytes / 2**qubits
    # Inputs are there as their blocks' matrices, as what these are Kronecker products of, and as the matrices' gradient.
    assert per_sample <= 3 * state_bytes + 3 * matrices_bytes
    assert matrices_bytes < state_bytes / 8


def test_with_rows_shared_out_a_step_keeps_one_state_per_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    circuit = rotations_and_ring(12, layers=2)
    monkeypatch.setitem(simulator.CHUNK_BYTES, "cpu", 4 * 2**12 * 8)
    per_sample = (peak_bytes(circuit, 64, from_states=False) - peak_bytes(circuit, 16, from_states=False)) / 48
    assert per_sample < 1.6 * 2**12 * 8
