"""The compiled simulator: against the clear one and lightning.qubit, whatever the batch, the widths, the threads and the angles."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hadamard.model.circuits.circuit import Angle, Circuit, Gate, encoder_circuit, ry, second_module_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.simulators.compiled import native, simulator
from hadamard.model.simulators.compiled.lowering import lower
from hadamard.model.simulators.compiled.passes import group
from hadamard.model.simulators.registry import open_simulator
from tests.model.simulators.compiled.test_lowering import as_circuit
from tests.support.circuits import ALL_REAL, Batch, assert_agree, random_batch, random_circuits, values_and_gradients

pytestmark = pytest.mark.usefixtures("double_precision")
SINGLE, DOUBLE = (1e-5, 1e-4), (1e-10, 1e-10)
"""Bounds of values and gradients in float32 and float64."""


@given(circuit=random_circuits(ALL_REAL, qubits=(1, 7)), trials=st.integers(1, 3), rows=st.integers(1, 37), seed=st.integers(0, 2**31))
@settings(max_examples=120, deadline=None)
def test_it_agrees_with_the_clear_simulator(circuit: Circuit, trials: int, rows: int, seed: int) -> None:
    batch = random_batch(circuit, trials, rows, seed)
    expected = values_and_gradients(open_simulator("torch"), circuit, batch, of_states=True)
    scale = max(1.0, *(float(part.abs().max()) for part in expected if part.numel()))
    for dtype, (value, gradient) in ((torch.float32, SINGLE), (torch.float64, DOUBLE)):
        ours = values_and_gradients(open_simulator("compiled"), circuit, batch.to(dtype), of_states=True)
        assert_agree(ours, expected, value, gradient * scale)


@pytest.mark.parametrize("qubits", range(1, 21))
def test_it_agrees_with_lightning_at_every_size(qubits: int) -> None:
    circuit = _shallow(qubits)
    batch = random_batch(circuit, 1, 3 if qubits < 15 else 1, seed=qubits)
    expected = values_and_gradients(open_simulator("lightning.qubit"), circuit, batch)
    for dtype, (value, gradient) in ((torch.float32, SINGLE), (torch.float64, DOUBLE)):
        assert_agree(values_and_gradients(open_simulator("compiled"), circuit, batch.to(dtype)), expected, value, gradient)


@pytest.mark.parametrize("qubits", [6, 10, 13])
def test_it_agrees_on_the_papers_head(qubits: int) -> None:
    for circuit in (encoder_circuit(qubits, 3, 2), second_module_circuit(qubits, [0, 0], 2, 2, measured=1)):
        batch = random_batch(circuit, 2, 5, seed=1, from_states=not circuit.inputs)
        expected = values_and_gradients(open_simulator("torch"), circuit, batch)
        for dtype, (value, gradient) in ((torch.float32, SINGLE), (torch.float64, DOUBLE)):
            assert_agree(values_and_gradients(open_simulator("compiled"), circuit, batch.to(dtype)), expected, value, gradient)


@pytest.mark.parametrize("lane_bits", range(5))
def test_however_many_amplitudes_share_a_vector(lane_bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    widest = {number_bytes: (native.vector_bytes // number_bytes).bit_length() - 1 for number_bytes in (4, 8)}
    monkeypatch.setattr(simulator, "lane_bits_for", lambda _qubits, number_bytes, _rows: min(lane_bits, widest[number_bytes]))
    simulator._program.cache_clear()
    circuit = Circuit(6, _everything(6), measured=6)
    batch = random_batch(circuit, 2, 7, seed=2)
    expected = values_and_gradients(open_simulator("torch"), circuit, batch, of_states=True)
    for dtype, (value, gradient) in ((torch.float32, SINGLE), (torch.float64, DOUBLE)):
        assert_agree(values_and_gradients(open_simulator("compiled"), circuit, batch.to(dtype), of_states=True), expected, value, gradient)
    simulator._program.cache_clear()


@pytest.mark.parametrize("angle", [math.pi, -math.pi, 3 * math.pi, math.pi - 1e-4, math.pi + 1e-7, 2 * math.pi, 40.0, 0.0])
def test_angles_at_and_around_the_pole_of_the_tangent(angle: float) -> None:
    circuit = second_module_circuit(4, [0, 0], 2, 2, measured=2)
    batch = random_batch(circuit, 1, 4, seed=3, from_states=False)
    weights = torch.full_like(batch.weights, angle)
    assert batch.inputs is not None
    steep = Batch(weights, batch.inputs, None)
    expected = values_and_gradients(open_simulator("torch"), circuit, steep)
    assert_agree(values_and_gradients(open_simulator("compiled"), circuit, steep), expected, 1e-9, 1e-9)
    assert_agree(values_and_gradients(open_simulator("compiled"), circuit, steep.to(torch.float32)), expected, *SINGLE)


def test_hundreds_of_large_rotations_neither_overflow_nor_vanish() -> None:
    gates = [ry(qubit, "weights", 0) if step % 2 else Gate("CNOT", (qubit, 1 - qubit)) for step in range(600) for qubit in (0, 1)]
    circuit = Circuit(2, tuple(gates), measured=2)
    batch = Batch(torch.tensor([[3.0]]), None, random_batch(circuit, 1, 2, 0).states)
    expected = values_and_gradients(open_simulator("torch"), circuit, batch)
    assert_agree(values_and_gradients(open_simulator("compiled"), circuit, batch), expected, 1e-9, 1e-8)
    single = values_and_gradients(open_simulator("compiled"), circuit, batch.to(torch.float32))
    torch.testing.assert_close(single[0].double(), expected[0], atol=1e-3, rtol=0)  # the angle itself is rounded 600 times over


def test_a_trials_numbers_depend_neither_on_company_nor_on_threads() -> None:
    circuit = second_module_circuit(8, [0, 0], 2, 2, measured=1)
    batch = random_batch(circuit, 5, 11, seed=4, dtype=torch.float32, from_states=False)
    assert batch.inputs is not None
    before = torch.get_num_threads()
    results = []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        results.append(values_and_gradients(open_simulator("compiled"), circuit, batch))
    torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        assert torch.equal(one, two)
    for trial in range(5):
        alone = open_simulator("compiled").expectations(circuit, batch.weights[trial : trial + 1], batch.inputs[trial : trial + 1])
        assert torch.equal(alone[0], results[0][0][trial])


@pytest.mark.parametrize(("trials", "rows"), [(2, 0), (0, 3)])
def test_nothing_gives_nothing(trials: int, rows: int) -> None:
    circuit = second_module_circuit(4, [0], 1, 1, measured=2)
    values, gradient, *_ = values_and_gradients(open_simulator("compiled"), circuit, random_batch(circuit, trials, rows, seed=1))
    assert values.shape == (trials, rows, 2)
    assert not gradient.any()


@pytest.mark.parametrize("rows", [1, 7, 20])
def test_amplitudes_that_are_left_out_have_no_gradient_and_cost_none(rows: int) -> None:
    circuit = encoder_circuit(7, 2, 2)
    batch = random_batch(circuit, 2, rows, seed=4)
    assert batch.states is not None
    some = torch.nn.functional.normalize(batch.states[:, :, :50], dim=-1)
    expected = values_and_gradients(open_simulator("torch"), circuit, Batch(batch.weights, None, some), of_states=True)
    assert expected[2].shape == (2, rows, 50)
    assert_agree(
        values_and_gradients(open_simulator("compiled"), circuit, Batch(batch.weights, None, some), of_states=True), expected, *DOUBLE
    )


def test_nothing_is_kept_where_no_gradient_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(simulator.native, "forward", lambda *given: calls.append(given))
    circuit = encoder_circuit(4, 1, 1)
    weights = torch.zeros(1, circuit.weights, requires_grad=True)
    open_simulator("compiled").expectations(circuit, weights)
    with torch.no_grad():
        open_simulator("compiled").expectations(circuit, weights)
    addresses = [given[8] for given in calls]
    assert addresses[0] != 0
    assert addresses[1] == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_what_does_not_fit_the_memory_is_an_error_and_no_abort(threads: int) -> None:
    code = f"""
import resource, torch
from hadamard.model.circuits.circuit import Circuit, ry
from hadamard.model.simulators.registry import open_simulator
torch.set_num_threads({threads})
simulator = open_simulator("compiled")
simulator.expectations(Circuit(1, (ry(0, "inputs", 0),), 1), torch.zeros(1, 0), torch.zeros(1, 1, 1))
resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))
try:
    simulator.expectations(Circuit(33, (ry(32, "inputs", 0),), 1), torch.zeros(1, 0), torch.zeros(1, 64, 1))
except MemoryError:
    print("refused")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "refused\n"), done.stderr


@pytest.mark.parametrize(("dtype", "huge"), [(torch.float32, [3e8, 1e10, 1e30]), (torch.float64, [1e18, 1e100])])
def test_an_angle_too_large_to_have_a_sine_is_not_a_number(dtype: torch.dtype, huge: list[float]) -> None:
    angles = torch.cat([torch.tensor([huge], dtype=dtype) * (1 + torch.arange(500)[:, None] / 500)]).reshape(-1, 1)
    values = open_simulator("compiled").expectations(Circuit(1, (ry(0, "weights", 0),), 1), angles)
    assert values.isnan().any()
    assert bool((values.isnan() | (values.abs() <= 1 + 1e-6)).all())


def test_what_is_kept_for_the_gradient_is_one_state_per_row() -> None:
    circuit = encoder_circuit(10, 3, 2)
    batch = random_batch(circuit, 1, 32, seed=7, dtype=torch.float32)
    kept: list[torch.Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        open_simulator("compiled").expectations(circuit, batch.weights.requires_grad_(), states=batch.states)
    elements = sum(tensor.numel() for tensor in kept)
    assert elements <= 32 * 2**10 + circuit.weights


def test_complex_gates_half_precision_and_other_devices_are_refused() -> None:
    with pytest.raises(SettingsError, match="needs its tensors on cpu, not on meta"):
        open_simulator("compiled").expectations(_shallow(2), torch.zeros(1, 2, device="meta"))
    with pytest.raises(SettingsError, match="has no gate RX"):
        open_simulator("compiled").expectations(Circuit(1, (Gate("RX", (0,), Angle("weights", 0)),), 1), torch.zeros(1, 1))
    with pytest.raises(SettingsError, match=r"float32 or float64, not in torch\.float16"):
        open_simulator("compiled").expectations(_shallow(2), torch.zeros(1, 2, dtype=torch.float16))


@pytest.mark.alone
def test_the_first_call_is_answered_within_a_second() -> None:
    code = """
import time, torch
from hadamard.model.circuits.circuit import encoder_circuit
begin = time.perf_counter()
from hadamard.model.simulators.registry import open_simulator
circuit = encoder_circuit(10, 3, 2)
open_simulator("compiled").expectations(circuit, torch.zeros(1, circuit.weights))
print(time.perf_counter() - begin)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 1.0


class TestPasses:
    @given(circuit=random_circuits(ALL_REAL, qubits=(1, 6)), lanes=st.integers(0, 3), seed=st.integers(0, 2**31))
    @settings(max_examples=60, deadline=None)
    def test_the_order_of_passes_gives_the_same_values(self, circuit: Circuit, lanes: int, seed: int) -> None:
        program = lower(circuit)
        passes = group(program.rotations, frozenset(range(circuit.qubits - lanes, circuit.qubits)))
        order = [position for one in passes for position in one.rotations]
        assert sorted(order) == list(range(len(program.rotations)))
        original = as_circuit(program)
        angles = random_batch(original, 1, 2, seed)
        in_order = {position: gates for position, gates in enumerate(_by_rotation(original))}
        shuffled = Circuit(original.qubits, tuple(gate for position in order for gate in in_order[position]), original.measured)
        values = [open_simulator("torch").expectations(each, angles.weights, angles.inputs, angles.states) for each in (original, shuffled)]
        torch.testing.assert_close(*values, atol=1e-12, rtol=0)

    def test_a_ring_fills_its_passes(self) -> None:
        passes = group(lower(encoder_circuit(9, 1, 1)).rotations, frozenset())
        assert [len(one.rotations) for one in passes][:3] == [3, 3, 3]


def _by_rotation(circuit: Circuit) -> list[list[Gate]]:
    groups: list[list[Gate]] = []
    pending: list[Gate] = []
    for gate in circuit.gates:
        pending.append(gate)
        if gate.name == "RY":
            groups.append(pending)
            pending = []
    return groups


def _everything(qubits: int) -> tuple[Gate, ...]:
    """Every pair of qubits as control and target, in both orders, with weights and inputs."""
    gates: list[Gate] = []
    for control in range(qubits):
        for target in range(qubits):
            if control != target:
                gates += [Gate("CNOT", (control, target)), ry(target, "weights", len(gates) % 7), ry(control, "inputs", len(gates) % 5)]
    return tuple(gates)


def _shallow(qubits: int) -> Circuit:
    """A circuit that lightning.qubit runs in reasonable time at 20 qubits."""
    column = [ry(qubit, "weights", qubit) for qubit in range(qubits)]
    ring = [Gate("CNOT", (qubit, (qubit + 1) % qubits)) for qubit in range(qubits) if qubits > 1]
    return Circuit(qubits, (*column, *ring, *column[::2]), measured=min(qubits, 2))
