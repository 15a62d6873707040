"""Simulators: one contract for all, against dense matrices and each other, in values and gradients."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hadamard.model.circuits.circuit import Circuit, Gate, encoder_circuit, ry, second_module_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.simulators import hardware, registry
from hadamard.model.simulators.base import Simulator
from hadamard.model.simulators.registry import kind_of, open_simulator
from hadamard.model.simulators.select import resolve
from tests.support.circuits import (
    ALL_GATES,
    ALL_REAL,
    Batch,
    assert_agree,
    dense_expectations,
    random_batch,
    random_circuits,
    values_and_gradients,
)

pytestmark = pytest.mark.usefixtures("double_precision")
DEVICES = ("default.qubit", "lightning.qubit")


@pytest.fixture(params=["torch", "compiled", "fused", *DEVICES])
def simulator(request: pytest.FixtureRequest) -> Simulator:
    return open_simulator(request.param)


@given(circuit=random_circuits(ALL_REAL), seed=st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_torch_agrees_with_dense_matrices(circuit: Circuit, seed: int) -> None:
    batch = random_batch(circuit, 2, 2, seed)
    values = open_simulator("torch").expectations(circuit, batch.weights, batch.inputs, batch.states)
    for trial in range(2):
        for row in range(2):
            inputs = np.zeros(0) if batch.inputs is None else batch.inputs[trial, row].numpy()
            assert batch.states is not None
            expected = dense_expectations(circuit, batch.weights[trial].numpy(), inputs, batch.states[trial, row].numpy())
            np.testing.assert_allclose(values[trial, row].numpy(), expected, atol=1e-12)


@given(circuit=random_circuits(ALL_GATES), seed=st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_default_qubit_agrees_with_dense_matrices_for_every_gate(circuit: Circuit, seed: int) -> None:
    batch = random_batch(circuit, 1, 1, seed)
    values = open_simulator("default.qubit").expectations(circuit, batch.weights, batch.inputs, batch.states)
    assert batch.states is not None
    inputs = np.zeros(0) if batch.inputs is None else batch.inputs[0, 0].numpy()
    expected = dense_expectations(circuit, batch.weights[0].numpy(), inputs, batch.states[0, 0].numpy())
    np.testing.assert_allclose(values[0, 0].numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("device", DEVICES)
@given(circuit=random_circuits(ALL_REAL), seed=st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_pennylane_agrees_with_torch_in_values_and_gradients(device: str, circuit: Circuit, seed: int) -> None:
    batch = random_batch(circuit, 2, 2, seed)
    ours, theirs = (values_and_gradients(open_simulator(name), circuit, batch) for name in ("torch", device))
    assert_agree(ours, theirs, value=1e-10, gradient=1e-10)


def test_single_precision_keeps_the_stated_tolerances_on_the_papers_circuit() -> None:
    circuit = second_module_circuit(6, [0, 0, 0], layers=2, connectivity=2, measured=1)
    batch = random_batch(circuit, 2, 8, seed=1, from_states=False)
    single, double = (values_and_gradients(open_simulator("torch"), circuit, batch.to(dtype)) for dtype in (torch.float32, torch.float64))
    assert_agree(single, double, value=1e-5, gradient=1e-4)


class TestContract:
    def test_without_gates_that_move_it_the_zero_state_gives_one(self, simulator: Simulator) -> None:
        circuit = encoder_circuit(3, layers=1, connectivity=1)
        values = simulator.expectations(circuit, torch.zeros(2, circuit.weights))
        torch.testing.assert_close(values, torch.ones(2, 1, 3))

    @pytest.mark.parametrize(
        ("wrong", "shapes"),
        [
            (r"weights should be \[2, 13\] on cpu, not \[2, 12\] on cpu", [(2, 12), (2, 3, 4), (2, 3, 16)]),
            (r"weights should be \[2, 13\] on cpu, not \[2, 14\] on cpu", [(2, 14), (2, 3, 4), (2, 3, 16)]),
            (r"inputs should be \[2, 3, 4\] on cpu, not \[1, 3, 4\] on cpu", [(2, 13), (1, 3, 4), (2, 3, 16)]),
            (r"inputs should be \[2, 3, 4\] on cpu, not \[2, 3, 8\] on cpu", [(2, 13), (2, 3, 8), (2, 3, 16)]),
            (r"states should be \[2, 3, 16\] on cpu, not \[2, 1, 16\] on cpu", [(2, 13), (2, 3, 4), (2, 1, 16)]),
            (r"states should be \[2, 3, 16\] on cpu, not \[2, 3, 32\] on cpu", [(2, 13), (2, 3, 4), (2, 3, 32)]),
            (r"the circuit takes inputs, \[2, rows, 4\]", [(2, 13), None, (2, 3, 16)]),
        ],
    )
    def test_a_tensor_of_another_shape_is_refused(self, simulator: Simulator, wrong: str, shapes: list[tuple[int, ...] | None]) -> None:
        gates = [ry(0, "weights", 12), *(ry(qubit, "inputs", qubit) for qubit in range(4))]
        weights, inputs, states = (None if shape is None else torch.full(shape, 0.25) for shape in shapes)
        assert weights is not None
        with pytest.raises(ValueError, match=wrong):
            simulator.expectations(Circuit(4, tuple(gates), measured=1), weights, inputs, states)

    def test_a_tensor_on_another_device_is_refused(self, simulator: Simulator) -> None:
        circuit = Circuit(1, (ry(0, "inputs", 0),), measured=1)
        with pytest.raises(ValueError, match=r"inputs should be \[1, 2, 1\] on cpu, not \[1, 2, 1\] on meta"):
            simulator.expectations(circuit, torch.zeros(1, 0), torch.zeros(1, 2, 1, device="meta"))

    def test_precision_is_that_of_the_weights(self, simulator: Simulator) -> None:
        circuit = encoder_circuit(2, layers=1, connectivity=1)
        for dtype in (torch.float32, torch.float64):
            batch = random_batch(circuit, 2, 2, 0, dtype)
            assert simulator.expectations(circuit, batch.weights, states=batch.states).dtype == dtype

    def test_trials_and_rows_do_not_see_each_other(self, simulator: Simulator) -> None:
        circuit = second_module_circuit(3, [0, 0], layers=1, connectivity=2, measured=2)
        batch = random_batch(circuit, 3, 4, 3)
        assert batch.inputs is not None
        together = simulator.expectations(circuit, batch.weights, batch.inputs)
        for trial in range(3):
            for row in range(4):
                alone = simulator.expectations(circuit, batch.weights[trial : trial + 1], batch.inputs[trial : trial + 1, row : row + 1])
                torch.testing.assert_close(together[trial, row], alone[0, 0], atol=1e-12, rtol=0)

    def test_amplitudes_that_are_left_out_are_zero(self, simulator: Simulator) -> None:
        circuit = encoder_circuit(3, layers=1, connectivity=2)
        batch = random_batch(circuit, 2, 3, 6)
        assert batch.states is not None
        some = torch.nn.functional.normalize(batch.states[:, :, :5], dim=-1)
        ours = values_and_gradients(simulator, circuit, Batch(batch.weights, None, some))
        padded = values_and_gradients(open_simulator("torch"), circuit, Batch(batch.weights, None, torch.nn.functional.pad(some, (0, 3))))
        assert_agree(ours, padded, value=1e-10, gradient=1e-10)

    def test_a_weight_that_several_gates_share_gathers_their_gradients(self, simulator: Simulator) -> None:
        shared = second_module_circuit(3, [0, 0], layers=1, connectivity=1, measured=1, share_blocks=True)
        batch = random_batch(shared, 1, 2, 5)
        ours, clear = (values_and_gradients(each, shared, batch) for each in (simulator, open_simulator("torch")))
        assert_agree(ours, clear, value=1e-10, gradient=1e-10)


def test_torch_differentiates_the_state_and_lightning_says_that_it_does_not() -> None:
    circuit = encoder_circuit(2, layers=1, connectivity=1)
    batch = random_batch(circuit, 1, 2, 0)
    *_, gradient = values_and_gradients(open_simulator("torch"), circuit, batch, of_states=True)
    assert gradient.abs().max() > 0.01
    with pytest.raises(SettingsError, match="gives no gradient for the initial state"):
        values_and_gradients(open_simulator("lightning.qubit"), circuit, batch, of_states=True)


def test_a_simulator_of_real_states_refuses_a_complex_gate() -> None:
    circuit = Circuit(1, (Gate("S", (0,)),), measured=1)
    with pytest.raises(SettingsError, match="keeps real amplitudes and has no gate S; `simulator: fused` has"):
        open_simulator("torch").expectations(circuit, torch.zeros(1, 0))


def test_a_device_that_is_not_installed_is_refused_with_a_way_out() -> None:
    with pytest.raises(SettingsError, match=r"lightning.gpu cannot be opened here.*simulator: auto"):
        open_simulator("lightning.gpu")


class TestChoice:
    real, complex_ = encoder_circuit(4, 1, 1), Circuit(2, (Gate("S", (0,)),), measured=1)

    def test_a_name_is_taken_at_its_word(self) -> None:
        assert resolve("lightning.qubit", [self.real]).reason == "lightning.qubit, asked for by name"

    def test_auto_takes_the_compiled_one_for_real_circuits_on_a_cpu(self) -> None:
        choice = resolve("auto", [self.real])
        assert choice.name == "compiled"
        assert choice.reason == "compiled, chosen by auto: real circuits of up to 4 qubits, on the CPU"

    def test_auto_takes_fused_for_complex_gates_and_where_nothing_was_compiled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "complex circuits of up to 4 qubits" in resolve("auto", [self.real, self.complex_]).reason
        monkeypatch.setattr(hardware, "is_installed", lambda kind: kind.name != "compiled")
        choice = resolve("auto", [self.real])
        assert choice.name == "fused"
        assert "compiled is not installed, see `hadamard doctor`" in choice.reason
        monkeypatch.setattr(registry, "is_installed", hardware.is_installed)
        with pytest.raises(SettingsError, match="install a C.. compiler"):
            open_simulator("compiled")

    def test_auto_goes_to_the_gpu_in_sight(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(hardware, "gpu_in_sight", lambda: True)
        assert resolve("auto", [self.real]).name == "triton"
        assert resolve("auto", [encoder_circuit(15, 1, 1)]).name == "fused"
        assert resolve("auto", [encoder_circuit(14, 1, 1)], "float64").name == "fused"

    @pytest.mark.parametrize(
        ("said", "seen"),
        [
            ({}, True),
            ({"CUDA_VISIBLE_DEVICES": ""}, False),
            ({"HIP_VISIBLE_DEVICES": "-1"}, False),
            ({"ROCR_VISIBLE_DEVICES": "0"}, True),
            ({"SLURM_JOB_ID": "7"}, False),
            ({"SLURM_JOB_ID": "7", "SLURM_GPUS_ON_NODE": "1"}, True),
            ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "0"}, True),
        ],
    )
    def test_a_gpu_that_is_hidden_or_that_the_job_was_not_given_is_none(
        self, said: dict[str, str], seen: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Path, "exists", lambda path: True)  # as if there were a driver
        for mask in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
            monkeypatch.delenv(mask, raising=False)
        for name, value in said.items():
            monkeypatch.setenv(name, value)
        assert hardware.gpu_in_sight() == seen
        assert hardware.runs_on_gpu(kind_of("fused")) == seen
        assert not hardware.runs_on_gpu(kind_of("compiled"))
