"""The contract of simulators: every entry of the registry keeps it as its capabilities say; deviations are in one table."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hadamard.model.circuits.circuit import REAL_GATES, ROTATIONS, Angle, Circuit, Gate, encoder_circuit, ry, second_module_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.lazy import load
from hadamard.model.mpi.ranks import ALONE
from hadamard.model.simulators import registry
from hadamard.model.simulators.base import Simulator, SimulatorKind
from hadamard.model.simulators.custatevec.library import Library
from hadamard.model.simulators.custatevec.simulator import CuStateVecSimulator
from hadamard.model.simulators.hardware import runs_on_gpu
from hadamard.model.simulators.registry import SIMULATORS, check_simulator, kind_of, open_parts, open_simulator
from hadamard.model.simulators.triton.simulator import TritonSimulator
from tests.support.circuits import (
    ALL_GATES,
    ALL_REAL,
    Batch,
    DenseSimulator,
    assert_agree,
    circuits_with_unitaries,
    random_batch,
    random_circuits,
    random_unitary,
    values_and_gradients,
)
from tests.support.custatevec_fake import FakeBindings
from tests.support.peak_bytes import PeakBytes

pytestmark = pytest.mark.usefixtures("double_precision")
TOLERANCES = {torch.float32: (1e-5, 1e-4), torch.float64: (1e-10, 1e-10)}
"""Bounds of values and gradients."""


@dataclass(frozen=True)
class Deviation:
    """How an entry is tested, or what it does, other than its neighbours.

    Attributes:
        open: Opens it here; None: by its name.
        lacks: Why it cannot be opened here; "" if it can.
        examples: How many random circuits; fewer where each takes long.
        fewest_qubits: Of circuits that it takes.
        gradient_once: Whether a gradient uses up the states that were kept for it.
        wrong_second_derivative: Whether it lacks a part without saying so, as of PennyLane's adjoint devices; of others it is right or
            refused.
        normalises_states: Whether initial states are normalised on the way, which takes the part along the state out of their gradient.
    """

    open: Callable[[], Simulator] | None = None
    lacks: str = ""
    examples: int = 15
    fewest_qubits: int = 1
    gradient_once: bool = False
    wrong_second_derivative: bool = False
    normalises_states: bool = False


DEVIATIONS = {
    "triton": Deviation(open=TritonSimulator, examples=6),  # in Triton's interpreter, unless there is a GPU
    "fused": Deviation(gradient_once=True),
    "custatevec": Deviation(
        open=lambda: CuStateVecSimulator(Library(FakeBindings(), torch.device("cpu"))), gradient_once=True
    ),  # with a library in NumPy; on a GPU, tests/model/simulators/custatevec has the real one
    "sharded": Deviation(gradient_once=True, fewest_qubits=2),  # on one rank; on several, tests/model/simulators/sharded
    "default.qubit": Deviation(normalises_states=True),
    "lightning.qubit": Deviation(wrong_second_derivative=True),
    "lightning.kokkos": Deviation(wrong_second_derivative=True),
    "lightning.gpu": Deviation(lacks="needs a GPU and pennylane-lightning-gpu"),
}
ORACLE = DenseSimulator()


def deviation(name: str) -> Deviation:
    return DEVIATIONS.get(name, Deviation())


@pytest.fixture(params=SIMULATORS)
def kind(request: pytest.FixtureRequest) -> SimulatorKind:
    if deviation(request.param).lacks:
        pytest.skip(deviation(request.param).lacks)
    return kind_of(request.param)


@pytest.fixture
def simulator(kind: SimulatorKind) -> Simulator:
    return opened(kind)


def opened(kind: SimulatorKind) -> Simulator:
    return (deviation(kind.name).open or (lambda: open_simulator(kind.name)))()


def compare(kind: SimulatorKind, circuit: Circuit, batch: Batch, dtype: torch.dtype) -> None:
    """Hold values and all gradients that the entry states against those of dense matrices."""
    simulator = opened(kind)
    of_states = kind.state_gradient and batch.states is not None
    ours = values_and_gradients(simulator, circuit, batch.to(simulator.device, dtype), of_states)
    expected = values_and_gradients(ORACLE, circuit, batch, of_states)
    if of_states and deviation(kind.name).normalises_states:
        assert batch.states is not None
        expected[-1] = expected[-1] - (expected[-1] * batch.states).sum(-1, keepdim=True) * batch.states
    value, gradient = TOLERANCES[dtype]
    scale = max(1.0, *(float(part.abs().max()) for part in expected if part.numel()))
    assert ours[0].dtype == dtype
    assert_agree(ours, expected, value, gradient * scale)


def test_deviations_are_those_of_entries() -> None:
    assert set(DEVIATIONS) <= set(SIMULATORS)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_values_and_gradients_are_those_of_dense_matrices(kind: SimulatorKind, dtype: torch.dtype) -> None:
    """Random circuits of all gates that the entry states, whatever trials, rows, inputs and initial states."""
    fewest = deviation(kind.name).fewest_qubits

    @given(
        circuit=random_circuits(ALL_REAL, (fewest, 5)) if kind.real_only else circuits_with_unitaries((fewest, 5), gates=24),
        trials=st.integers(1, 3),
        rows=st.integers(1, 3),
        from_states=st.booleans(),
        seed=st.integers(0, 2**31),
    )
    @settings(max_examples=deviation(kind.name).examples, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    def check(circuit: Circuit, trials: int, rows: int, from_states: bool, seed: int) -> None:
        assume(circuit.weights + circuit.inputs)  # PennyLane takes a batch's size from its angles
        compare(kind, circuit, random_batch(circuit, trials, rows, seed, from_states=from_states), dtype)

    check()


class TestExpectations:
    def test_without_gates_that_move_it_the_zero_state_gives_one(self, simulator: Simulator) -> None:
        circuit = encoder_circuit(3, layers=1, connectivity=1)
        values = simulator.expectations(circuit, torch.zeros(2, circuit.weights, device=simulator.device))
        torch.testing.assert_close(values.cpu(), torch.ones(2, 1, 3))

    @pytest.mark.parametrize("dtype", TOLERANCES)
    def test_precision_is_that_of_the_weights(self, simulator: Simulator, dtype: torch.dtype) -> None:
        circuit = encoder_circuit(2, layers=1, connectivity=1)
        batch = random_batch(circuit, 2, 2, 0, dtype).to(simulator.device)
        assert simulator.expectations(circuit, batch.weights, states=batch.states).dtype == dtype

    def test_trials_and_rows_do_not_see_each_other(self, simulator: Simulator) -> None:
        circuit = second_module_circuit(3, [0, 0], layers=1, connectivity=2, measured=2)
        batch = random_batch(circuit, 3, 4, 3).to(simulator.device)
        assert batch.inputs is not None
        together = simulator.expectations(circuit, batch.weights, batch.inputs)
        for trial in range(3):
            for row in range(4):
                alone = simulator.expectations(circuit, batch.weights[trial : trial + 1], batch.inputs[trial : trial + 1, row : row + 1])
                torch.testing.assert_close(together[trial, row], alone[0, 0], atol=1e-12, rtol=0)

    def test_not_a_number_stays_with_its_trial_and_its_row(self, simulator: Simulator) -> None:
        circuit = second_module_circuit(3, [0, 0], layers=1, connectivity=2, measured=1)
        batch = random_batch(circuit, 3, 4, 5, from_states=False).to(simulator.device)
        expected = simulator.expectations(circuit, batch.weights, batch.inputs)
        assert batch.inputs is not None
        batch.weights[1] = torch.nan
        batch.inputs[2, 3] = torch.nan
        values, of_weights, _ = values_and_gradients(simulator, circuit, batch)
        assert values[1].isnan().all()
        assert values[2, 3].isnan().all()
        assert of_weights[0].isfinite().all()
        torch.testing.assert_close(values[0], expected[0], atol=1e-12, rtol=0)
        torch.testing.assert_close(values[2, :3], expected[2, :3], atol=1e-12, rtol=0)

    def test_amplitudes_that_are_left_out_are_zero(self, kind: SimulatorKind) -> None:
        circuit = encoder_circuit(3, layers=1, connectivity=2)
        batch = random_batch(circuit, 2, 3, 6)
        assert batch.states is not None
        compare(kind, circuit, Batch(batch.weights, None, torch.nn.functional.normalize(batch.states[:, :, :5], dim=-1)), torch.float64)

    def test_a_weight_that_several_gates_share_gathers_their_gradients(self, kind: SimulatorKind) -> None:
        shared = second_module_circuit(3, [0, 0], layers=1, connectivity=1, measured=1, share_blocks=True)
        compare(kind, shared, random_batch(shared, 1, 2, 5), torch.float64)

    def test_what_reaches_no_measured_qubit_has_gradient_zero(self, kind: SimulatorKind) -> None:
        circuit = second_module_circuit(4, [0], layers=1, connectivity=1, measured=1)
        compare(kind, circuit, random_batch(circuit, 1, 3, 6, from_states=False), torch.float64)

    def test_tensors_need_not_be_contiguous_and_stay_as_they_are(self, simulator: Simulator) -> None:
        circuit = second_module_circuit(3, [0], layers=1, connectivity=1, measured=2)
        batch = random_batch(circuit, 2, 3, 7).to(simulator.device)
        assert batch.inputs is not None
        assert batch.states is not None
        strided = Batch(batch.weights.mT.contiguous().mT, batch.inputs.mT.contiguous().mT, batch.states.mT.contiguous().mT)
        before = [part.clone() for part in (batch.weights, batch.inputs, batch.states)]
        assert_agree(values_and_gradients(simulator, circuit, strided), values_and_gradients(simulator, circuit, batch), 1e-14, 1e-14)
        for part, was in zip((batch.weights, batch.inputs, batch.states), before, strict=True):
            assert torch.equal(part, was)

    def test_where_no_gradient_can_be_asked_for_none_is_kept(self, simulator: Simulator) -> None:
        circuit = encoder_circuit(3, layers=1, connectivity=1)
        with torch.no_grad():
            values = simulator.expectations(circuit, torch.zeros(1, circuit.weights, device=simulator.device, requires_grad=True))
        assert not values.requires_grad

    def test_a_gradient_can_be_asked_for_again_or_says_that_it_cannot(self, kind: SimulatorKind, simulator: Simulator) -> None:
        circuit = encoder_circuit(3, layers=1, connectivity=1)
        weights = random_batch(circuit, 1, 1, 0).weights.to(simulator.device).requires_grad_()
        total = simulator.expectations(circuit, weights).sum()
        (first,) = torch.autograd.grad(total, weights, retain_graph=True)
        if deviation(kind.name).gradient_once:
            with pytest.raises(RuntimeError, match="used up: the gradient of these expectations can be asked for once"):
                torch.autograd.grad(total, weights)
        else:
            torch.testing.assert_close(torch.autograd.grad(total, weights)[0], first, atol=0, rtol=0)

    def test_a_second_derivative(self, kind: SimulatorKind, simulator: Simulator) -> None:
        circuit = encoder_circuit(2, layers=1, connectivity=1)

        def curvature(own: Simulator) -> torch.Tensor:
            weights = random_batch(circuit, 1, 1, 0).weights.to(own.device).requires_grad_()
            (slope,) = torch.autograd.grad(own.expectations(circuit, weights).square().sum(), weights, create_graph=True)
            slope.sum().backward()  # type: ignore[no-untyped-call]
            assert weights.grad is not None
            return weights.grad

        try:
            ours = curvature(simulator)
        except RuntimeError as error:
            assert "differentiate twice" in str(error)  # noqa: PT017, not all raise it
        else:
            assert torch.allclose(ours, curvature(ORACLE), atol=1e-10) != deviation(kind.name).wrong_second_derivative


class TestRefusals:
    @pytest.mark.parametrize(
        ("wrong", "shapes"),
        [
            (r"weights should be \[2, 13\] on (\w+), not \[2, 12\] on \1", [(2, 12), (2, 3, 4), (2, 3, 16)]),
            (r"weights should be \[2, 13\] on (\w+), not \[2, 14\] on \1", [(2, 14), (2, 3, 4), (2, 3, 16)]),
            (r"inputs should be \[2, 3, 4\] on (\w+), not \[1, 3, 4\] on \1", [(2, 13), (1, 3, 4), (2, 3, 16)]),
            (r"inputs should be \[2, 3, 4\] on (\w+), not \[2, 3, 8\] on \1", [(2, 13), (2, 3, 8), (2, 3, 16)]),
            (r"states should be \[2, 3, 16\] on (\w+), not \[2, 1, 16\] on \1", [(2, 13), (2, 3, 4), (2, 1, 16)]),
            (r"states should be \[2, 3, 16\] on (\w+), not \[2, 3, 32\] on \1", [(2, 13), (2, 3, 4), (2, 3, 32)]),
            (r"the circuit takes inputs, \[2, rows, 4\]", [(2, 13), None, (2, 3, 16)]),
        ],
    )
    def test_a_tensor_of_another_shape(self, simulator: Simulator, wrong: str, shapes: list[tuple[int, ...] | None]) -> None:
        gates = [ry(0, "weights", 12), *(ry(qubit, "inputs", qubit) for qubit in range(4))]
        tensors = [None if shape is None else torch.full(shape, 0.25, device=simulator.device) for shape in shapes]
        weights, inputs, states = tensors
        assert weights is not None
        with pytest.raises(ValueError, match=wrong):
            simulator.expectations(Circuit(4, tuple(gates), measured=1), weights, inputs, states)

    def test_a_tensor_on_another_device(self, simulator: Simulator) -> None:
        circuit = Circuit(2, (ry(0, "inputs", 0),), measured=1)
        with pytest.raises(ValueError, match=r"inputs should be \[1, 2, 1\] on \w+, not \[1, 2, 1\] on meta"):
            simulator.expectations(circuit, torch.zeros(1, 0, device=simulator.device), torch.zeros(1, 2, 1, device="meta"))

    def test_a_simulator_that_is_not_known(self) -> None:
        with pytest.raises(SettingsError, match=r"there is no simulator 'qsim'. Choose from: compiled, .*lightning.gpu"):
            open_simulator("qsim")


class TestCapabilities:
    """What an entry states is what is seen."""

    @pytest.mark.parametrize("name", [*sorted(set(ALL_GATES) - REAL_GATES), "unitary"])
    def test_real_only(self, kind: SimulatorKind, simulator: Simulator, name: str) -> None:
        two = name.startswith("C")
        matrix = random_unitary(1, seed=0) if name == "unitary" else None
        gate = Gate(name, (0, 1) if two else (1,), Angle("weights", 0) if name in ROTATIONS else None, matrix)  # type: ignore[arg-type]
        circuit = Circuit(2, (ry(0, "weights", 1), gate), measured=2)
        batch = random_batch(circuit, 1, 2, seed=0)
        if kind.real_only:
            with pytest.raises(SettingsError, match=f"has no gate {name}; `simulator: auto` takes one that has"):
                simulator.expectations(circuit, batch.weights.to(simulator.device))
        else:
            compare(kind, circuit, batch, torch.float64)

    def test_state_gradient(self, kind: SimulatorKind, simulator: Simulator) -> None:
        circuit = encoder_circuit(2, layers=1, connectivity=1)
        batch = random_batch(circuit, 1, 2, 0).to(simulator.device)
        if kind.state_gradient:
            *_, gradient = values_and_gradients(simulator, circuit, batch, of_states=True)
            assert gradient.abs().max() > 0.01
        else:
            with pytest.raises(SettingsError, match="gives no gradient for the initial state; `simulator: auto` takes one that does"):
                values_and_gradients(simulator, circuit, batch, of_states=True)

    @pytest.mark.parametrize("dtype", TOLERANCES)
    def test_most_qubits(self, kind: SimulatorKind, simulator: Simulator, dtype: torch.dtype) -> None:
        most = (kind.most_qubits or {}).get(str(dtype).removeprefix("torch."))
        for qubits in (most or 14, (most or 14) + 1):
            circuit = Circuit(qubits, (ry(0, "weights", 0), Gate("CNOT", (0, qubits - 1))), measured=1)
            weights = torch.full((1, 1), torch.pi / 3, dtype=dtype, device=simulator.device)
            if most is None or qubits <= most:
                assert simulator.expectations(circuit, weights).item() == pytest.approx(0.5, abs=1e-6)
            else:
                with pytest.raises(SettingsError, match=f"not of {qubits} qubits in {dtype}; `simulator: auto` takes one that does"):
                    simulator.expectations(circuit, weights)

    def test_keeps_every_gate(self, kind: SimulatorKind, simulator: Simulator) -> None:
        """As far as torch's memory shows it: 48 gates more take the memory of many states more, or of none."""
        qubits, rows, peaks = 8, 4, []
        for layers in (1, 4):
            circuit = Circuit(qubits, tuple(ry(qubit, "weights", qubit) for _ in range(2 * layers) for qubit in range(qubits)), 1)
            batch = random_batch(circuit, 1, rows, 0, torch.float32).to(simulator.device)
            values_and_gradients(simulator, circuit, batch)  # so that the circuit's constants are there
            with PeakBytes() as measured:
                values_and_gradients(simulator, circuit, batch)
            peaks.append(measured.peak)
        states_more = (peaks[1] - peaks[0]) / (rows * 2**qubits * (kind.amplitude_bytes or 4))
        assert (states_more > 20) == kind.keeps_every_gate

    def test_gpu(self, kind: SimulatorKind) -> None:
        if kind.gpu == "needed" and not torch.cuda.is_available():
            with pytest.raises(SettingsError, match=r"GPU.*`simulator: auto`"):
                _without_interpreter(kind)
        else:
            assert open_simulator(kind.name).device.type == ("cuda" if runs_on_gpu(kind) else "cpu")

    def test_ranks(self, kind: SimulatorKind) -> None:
        assert (kind.ranks != "no") == (kind.parts is not None)
        if kind.ranks == "no":
            with pytest.raises(SettingsError, match=f"simulator {kind.name} runs in one process.*Choose from: .*sharded"):
                open_parts(kind.name, ALONE)
        for place in (kind.parts, kind.ranks_check):
            assert place is None or callable(load(place))

    def test_needs(self, kind: SimulatorKind, monkeypatch: pytest.MonkeyPatch) -> None:
        if kind.needs is not None:
            monkeypatch.setattr(registry, "is_installed", lambda other: other.name != kind.name)
            with pytest.raises(SettingsError, match=rf"{kind.name} cannot be opened here: {kind.needs} is missing; {re.escape(kind.fix)}"):
                check_simulator(kind.name)

    def test_what_computes_is_described(self, simulator: Simulator) -> None:
        assert simulator.description.endswith((f"on {simulator.device.type}", "on 1 ranks"))


def _without_interpreter(kind: SimulatorKind) -> Simulator:
    import triton

    before, triton.knobs.runtime.interpret = triton.knobs.runtime.interpret, False
    try:
        return open_simulator(kind.name)
    finally:
        triton.knobs.runtime.interpret = before


def test_a_device_that_is_not_installed_is_refused_with_a_way_out() -> None:
    with pytest.raises(SettingsError, match=r"lightning.gpu cannot be opened here.*simulator: auto"):
        open_simulator("lightning.gpu")
