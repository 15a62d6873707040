"""Simulators: one contract for all, against each other, a dense-matrix oracle and each other's gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.circuit import Circuit, Gate, encoder_circuit, second_module_circuit
from model.errors import SettingsError
from model.simulators import Simulator, choose, reason

VALUE_TOLERANCE, GRADIENT_TOLERANCE = 1e-6, 1e-5
DEVICES = ("default.qubit", "lightning.qubit")


@pytest.fixture(params=["torch", *DEVICES])
def simulator(request: pytest.FixtureRequest) -> Simulator:
    return choose(request.param)


def dense_expectations(circuit: Circuit, angles: np.ndarray, state: np.ndarray) -> np.ndarray:
    """Multiply out full matrices: slow, obvious, and independent of every simulator."""
    identity, x, z = np.eye(2), np.array([[0, 1], [1, 0]]), np.diag([1, -1])

    def on(operators: dict[int, np.ndarray]) -> np.ndarray:
        full = np.eye(1)
        for qubit in range(circuit.qubits):
            full = np.kron(full, operators.get(qubit, identity))
        return full

    for gate in circuit.gates:
        if gate.name == "CNOT":
            control, target = gate.qubits
            state = on({control: np.diag([1, 0])}) @ state + on({control: np.diag([0, 1]), target: x}) @ state
        else:
            half = angles[gate.angle] / 2
            state = on({gate.qubits[0]: np.array([[np.cos(half), -np.sin(half)], [np.sin(half), np.cos(half)]])}) @ state
    return np.array([state @ on({qubit: z}) @ state for qubit in range(circuit.measured)])


@st.composite
def random_circuits(draw: st.DrawFn) -> Circuit:
    qubits = draw(st.integers(2, 5))
    gates: list[Gate] = []
    for angle in range(draw(st.integers(1, 12))):
        control, target = draw(st.permutations(range(qubits)))[:2]
        gates += [Gate("CNOT", (control, target)), Gate("RY", (draw(st.integers(0, qubits - 1)),), angle)]
    return Circuit(qubits, tuple(gates), measured=draw(st.integers(1, qubits)))


def random_batch(circuit: Circuit, rows: int, seed: int, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    angles = torch.randn(rows, circuit.angles, generator=generator, dtype=dtype)
    states = torch.randn(rows, 2**circuit.qubits, generator=generator, dtype=dtype)
    return angles, torch.nn.functional.normalize(states, dim=1)


@given(circuit=random_circuits(), seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_torch_agrees_with_dense_matrices(circuit: Circuit, seed: int) -> None:
    angles, states = random_batch(circuit, 3, seed)
    values = choose("torch").expectations(circuit, angles, states)
    for row in range(3):
        expected = dense_expectations(circuit, angles[row].numpy(), states[row].numpy())
        np.testing.assert_allclose(values[row].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("device", DEVICES)
@given(circuit=random_circuits(), seed=st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_pennylane_agrees_with_torch_in_values_and_gradients(device: str, circuit: Circuit, seed: int) -> None:
    angles, states = random_batch(circuit, 2, seed)
    weights = torch.linspace(0.5, 1.5, circuit.measured, dtype=torch.float64)
    results = []
    for name in ("torch", device):
        mine = angles.clone().requires_grad_()
        values = choose(name).expectations(circuit, mine, states)
        (values @ weights).sum().backward()  # type: ignore[no-untyped-call]
        results.append((values.detach(), mine.grad))
    (values, gradients), (other_values, other_gradients) = results
    torch.testing.assert_close(values, other_values, atol=VALUE_TOLERANCE, rtol=0)
    torch.testing.assert_close(gradients, other_gradients, atol=GRADIENT_TOLERANCE, rtol=0)


def test_single_precision_keeps_the_stated_tolerances_on_the_papers_circuit() -> None:
    circuit = second_module_circuit(6, reuploads=3, layers=2, connectivity=2, measured=1)
    angles, _ = random_batch(circuit, 8, seed=1)
    gradients, values = [], []
    for dtype in (torch.float32, torch.float64):
        mine = angles.to(dtype).requires_grad_()
        value = choose("torch").expectations(circuit, mine)
        value.sum().backward()  # type: ignore[no-untyped-call]
        values.append(value.detach().double())
        assert mine.grad is not None
        gradients.append(mine.grad.double())
    torch.testing.assert_close(values[0], values[1], atol=VALUE_TOLERANCE, rtol=0)
    torch.testing.assert_close(gradients[0], gradients[1], atol=GRADIENT_TOLERANCE, rtol=0)


class TestContract:
    def test_without_gates_that_move_it_the_zero_state_gives_one(self, simulator: Simulator) -> None:
        circuit = encoder_circuit(3, layers=1, connectivity=1)
        values = simulator.expectations(circuit, torch.zeros(2, circuit.angles))
        torch.testing.assert_close(values, torch.ones(2, 3))

    def test_precision_is_that_of_the_angles(self, simulator: Simulator) -> None:
        circuit = encoder_circuit(2, layers=1, connectivity=1)
        for dtype in (torch.float32, torch.float64):
            angles, states = random_batch(circuit, 2, 0, dtype)
            assert simulator.expectations(circuit, angles, states).dtype == dtype

    def test_rows_do_not_see_each_other(self, simulator: Simulator) -> None:
        circuit = encoder_circuit(3, layers=2, connectivity=2)
        angles, states = random_batch(circuit, 4, 3)
        together = simulator.expectations(circuit, angles, states)
        alone = torch.cat([simulator.expectations(circuit, angles[row : row + 1], states[row : row + 1]) for row in range(4)])
        torch.testing.assert_close(together, alone, atol=1e-12, rtol=0)


def test_torch_differentiates_the_state_and_lightning_says_that_it_does_not() -> None:
    circuit = encoder_circuit(2, layers=1, connectivity=1)
    angles, states = random_batch(circuit, 2, 0)
    states.requires_grad_()
    choose("torch").expectations(circuit, angles, states).sum().backward()  # type: ignore[no-untyped-call]
    assert states.grad is not None
    assert states.grad.abs().max() > 0.01
    with pytest.raises(SettingsError, match="gives no gradient for the initial state"):
        choose("lightning.qubit").expectations(circuit, angles, states)


def test_a_device_that_is_not_installed_is_refused_with_a_way_out() -> None:
    with pytest.raises(SettingsError, match=r"lightning.gpu cannot be opened here.*simulator: auto"):
        choose("lightning.gpu")


def test_the_choice_gives_its_reason() -> None:
    assert "chosen by auto" in reason("auto")
    assert "asked for by name" in reason("lightning.qubit")
