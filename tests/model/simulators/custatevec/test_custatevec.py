"""The simulator on cuStateVec against the clear one and `fused`: its sweeps with a library in NumPy, all of it where there is a GPU."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hadamard.model.circuits.circuit import Circuit, Gate, encoder_circuit, second_module_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.simulators.custatevec.in_place import Apply, in_place
from hadamard.model.simulators.custatevec.library import Library, open_library
from hadamard.model.simulators.custatevec.simulator import CuStateVecSimulator
from hadamard.model.simulators.fused.simulator import FusedSimulator
from hadamard.model.simulators.reference import StateVectorSimulator
from hadamard.model.simulators.registry import open_simulator
from hadamard.model.simulators.select import resolve
from tests.model.simulators.fused.test_blocks import rotations_and_ring
from tests.support.circuits import (
    ALL_REAL,
    Batch,
    assert_agree,
    circuits_with_unitaries,
    random_batch,
    random_circuits,
    values_and_gradients,
)
from tests.support.custatevec_fake import FakeBindings
from tests.support.peak_bytes import PeakBytes

HERE = torch.cuda.is_available() and importlib.util.find_spec("cuquantum") is not None
LIBRARIES = [
    pytest.param(lambda: Library(FakeBindings(), torch.device("cpu")), id="numpy"),
    pytest.param(open_library, id="custatevec", marks=pytest.mark.skipif(not HERE, reason="needs a GPU, and cuquantum-python")),
]
TOLERANCES = {torch.float32: (1e-5, 1e-4), torch.float64: (1e-10, 1e-10)}


@pytest.fixture(params=LIBRARIES, scope="module")
def library(request: pytest.FixtureRequest) -> Library:
    return request.param()  # type: ignore[no-any-return]


class TestLibrary:
    """What both libraries promise."""

    @pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
    @pytest.mark.parametrize("targets", [[0], [3], [2, 0], [0, 2], [1, 3, 0]])
    @pytest.mark.parametrize("adjoint", [False, True])
    def test_each_state_is_multiplied_by_its_own_matrix(
        self, library: Library, targets: list[int], adjoint: bool, dtype: torch.dtype
    ) -> None:
        generator = torch.Generator().manual_seed(0)
        qubits, width, which = 4, len(targets), [2, 0, 0, 1, 2]
        states = torch.randn(5, 2**qubits, generator=generator, dtype=dtype)
        matrices = torch.randn(3, 2**width, 2**width, generator=generator, dtype=dtype)
        expected = torch.empty_like(states)
        for number, (state, one) in enumerate(zip(states, which, strict=True)):
            matrix = matrices[one].mH if adjoint else matrices[one]
            axes = [qubits - 1 - target for target in reversed(targets)]  # of the tensor [2, 2, 2, 2], the matrix's first bit first
            moved = state.view(*(2,) * qubits).movedim(axes, [*range(width)])
            product = (matrix @ moved.reshape(2**width, -1)).view(*(2,) * qubits)
            expected[number] = product.movedim([*range(width)], axes).reshape(-1)
        ours = states.to(library.device)
        places = torch.tensor(which, dtype=torch.int32, device=library.device)
        library.apply(ours, matrices.to(library.device), places, targets, adjoint)
        torch.testing.assert_close(ours.cpu(), expected, atol=1e-5 if dtype == torch.complex64 else 1e-12, rtol=0)

    @pytest.mark.parametrize("dtype", TOLERANCES)
    def test_the_simulator_gives_what_the_clear_one_does(self, library: Library, dtype: torch.dtype) -> None:
        simulator = CuStateVecSimulator(library)
        for circuit in (encoder_circuit(6, 2, 2), second_module_circuit(6, [0, 0], 2, 2, measured=2)):
            batch = random_batch(circuit, 2, 3, seed=1)
            ours = values_and_gradients(simulator, circuit, batch.to(library.device, dtype), of_states=True)
            assert ours[0].dtype == dtype
            assert_agree(ours, values_and_gradients(StateVectorSimulator(), circuit, batch, of_states=True), *TOLERANCES[dtype])


def like(oracle: FusedSimulator | StateVectorSimulator, circuit: Circuit, batch: Batch) -> None:
    simulator = CuStateVecSimulator(Library(FakeBindings(), torch.device("cpu")))
    of_states = batch.states is not None
    ours, theirs = (values_and_gradients(each, circuit, batch, of_states) for each in (simulator, oracle))
    assert_agree(ours, theirs, value=1e-10, gradient=1e-10)


@given(
    circuit=random_circuits(ALL_REAL, qubits=(1, 8), gates=60),
    rows=st.integers(1, 4),
    from_states=st.booleans(),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=30, deadline=None)
def test_real_circuits_agree_with_the_clear_simulator(circuit: Circuit, rows: int, from_states: bool, seed: int) -> None:
    like(StateVectorSimulator(), circuit, random_batch(circuit, 3, rows, seed, from_states=from_states))


@given(circuit=circuits_with_unitaries(), rows=st.integers(1, 4), from_states=st.booleans(), seed=st.integers(0, 2**31))
@settings(max_examples=30, deadline=None)
def test_all_gates_agree_with_fused(circuit: Circuit, rows: int, from_states: bool, seed: int) -> None:
    like(FusedSimulator(), circuit, random_batch(circuit, 2, rows, seed, from_states=from_states))


def test_blocks_of_rows_move_nothing_and_what_follows_finds_its_bits() -> None:
    """Inputs on all qubits, then a block of weights: it finds its bits behind an offset, or a gather puts them where they belong."""
    circuit = rotations_and_ring(8, layers=2)
    applied = [step for step in in_place(circuit).steps if isinstance(step, Apply)]
    assert {step.offset for step in applied if step.of_rows} == {0, 4}
    like(FusedSimulator(), circuit, random_batch(circuit, 2, 3, seed=4))


def test_targets_are_numbered_from_the_least_significant_bit_and_wrap_around() -> None:
    assert Apply(0, 3, 0, False).targets(5) == [2, 3, 4]
    assert Apply(0, 3, 3, False).targets(5) == [4, 0, 1]


def test_state_and_cotangent_are_undone_by_one_call_a_block() -> None:
    circuit = encoder_circuit(6, 2, 2)
    bindings = FakeBindings()
    values_and_gradients(CuStateVecSimulator(Library(bindings, torch.device("cpu"))), circuit, random_batch(circuit, 3, 4, seed=0))
    assert bindings.calls == 2 * sum(isinstance(step, Apply) for step in in_place(circuit).steps)


@pytest.mark.parametrize("from_states", [True, False])
def test_a_step_takes_at_most_four_states_per_sample(from_states: bool) -> None:
    qubits, rows = 12, (4, 12)
    simulator = CuStateVecSimulator(Library(FakeBindings(), torch.device("cpu")))
    circuit = rotations_and_ring(qubits, layers=2)
    peaks = []
    for each in rows:
        batch = random_batch(circuit, 1, each, 0, torch.float32, from_states)
        given = sum(part.nbytes for part in (batch.weights, batch.inputs, batch.states) if part is not None)
        values_and_gradients(simulator, circuit, batch)  # so that the circuit's constants are there
        with PeakBytes() as measured:
            values_and_gradients(simulator, circuit, batch)
        peaks.append(measured.peak - given)
    per_sample = (peaks[1] - peaks[0]) / (rows[1] - rows[0]) / (2**qubits * 8)
    of_rows = [step for step in in_place(circuit).steps if isinstance(step, Apply) and step.of_rows]
    matrices = sum(4**step.qubits for step in of_rows) / 2**qubits  # the matrices of rows, their gradients and what both are made of
    assert per_sample <= 4 + 3 * matrices


def test_a_circuit_without_gates_measures_its_initial_state() -> None:
    simulator = CuStateVecSimulator(Library(FakeBindings(), torch.device("cpu")))
    assert simulator.expectations(Circuit(2, (), 2), torch.zeros(3, 0)).tolist() == [[[1.0, 1.0]]] * 3
    assert simulator.expectations(Circuit(2, (Gate("X", (1,)),), 2), torch.zeros(1, 0)).tolist() == [[[1.0, -1.0]]]


@pytest.mark.skipif(HERE, reason="needs a GPU to be missing")
def test_where_something_is_missing_the_error_says_what(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match="needs a GPU by NVIDIA.*`simulator: auto` needs neither"):
        open_simulator("custatevec")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    with pytest.raises(SettingsError, match="No module named 'cuquantum'.*pip install cuquantum-python-cu13"):
        open_simulator("custatevec")


def test_it_is_taken_by_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hadamard.model.simulators.hardware.gpu_in_sight", lambda: True)
    circuits = [encoder_circuit(qubits, 1, 1) for qubits in (4, 20)]
    assert "custatevec" not in {resolve("auto", [circuit]).name for circuit in circuits}
    assert resolve("custatevec", circuits).reason == "custatevec, asked for by name"


def test_phases_of_gathered_gates_are_undone() -> None:
    """S and CZ between rotations are shuffled with their phases, which a cotangent meets as conjugates."""
    gates = rotations_and_ring(4, 2).gates
    circuit = Circuit(4, (*gates, Gate("S", (0,)), Gate("Y", (1,)), Gate("CNOT", (0, 2)), *gates), 4)
    assert any(
        not isinstance(step, Apply) and step.phase is not None and np.iscomplex(step.phase).any() for step in in_place(circuit).steps
    )
    like(FusedSimulator(), circuit, random_batch(circuit, 2, 2, seed=9))
