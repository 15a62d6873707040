"""Noise: Pauli trajectories against density matrices, exactly where all errors can be listed, else within sampling error."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pennylane as qml
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hadamard.model.circuits.circuit import Circuit, Gate, encoder_circuit, ry, second_module_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.heads.quantum.noise import error_flips, noisy_expectations, per_rotation, rotation_angles, sample_flips
from hadamard.model.heads.quantum.settings import Noise, QuantumHead
from hadamard.model.simulators.hardware import is_installed
from hadamard.model.simulators.registry import kind_of, open_simulator
from tests.support.circuits import PAULI, Batch, assert_agree, random_batch, random_circuits, values_and_gradients
from tests.support.noisy import NoisySimulator, noise_rngs

LOUD = Noise(one_qubit_error=0.03, two_qubit_error=0.08, readout_error=0.02)
"""Errors large enough that leaving one of them out would be seen within sampling error."""


def on(qubits: int, places: tuple[int, ...], matrix: np.ndarray) -> np.ndarray:
    """Return the full matrix of a gate on one qubit or two."""
    identity, axes = np.eye(2**qubits).reshape((2,) * (2 * qubits)), tuple(range(len(places)))
    moved = np.moveaxis(identity, places, axes)
    applied = (matrix @ moved.reshape(len(matrix), -1)).reshape(moved.shape)
    return np.moveaxis(applied, axes, places).reshape(2**qubits, 2**qubits)


def gate_matrix(circuit: Circuit, gate: Gate, angle: float) -> np.ndarray:
    c, s = np.cos(angle / 2), np.sin(angle / 2)
    matrix = np.array([[c, -s], [s, c]]) if gate.name == "RY" else np.eye(4)[[0, 1, 3, 2]]
    return on(circuit.qubits, gate.qubits, matrix)


def mixed_expectations(circuit: Circuit, angles: np.ndarray, noise: Noise) -> np.ndarray:
    """Evolve a density matrix: every channel by its definition, (1-p) rho + p (I/d x the rest of rho)."""
    qubits, columns = circuit.qubits, iter(angles)
    rho = np.zeros((2**qubits, 2**qubits))
    rho[0, 0] = 1
    for gate in circuit.gates:
        unitary = gate_matrix(circuit, gate, next(columns) if gate.angle else 0.0)
        rho = unitary @ rho @ unitary.T
        p = noise.one_qubit_error if len(gate.qubits) == 1 else noise.two_qubit_error
        rho = (1 - p) * rho + p * forget(rho, qubits, gate.qubits)
    diagonal = np.diagonal(rho).reshape((2,) * qubits)
    z = [np.moveaxis(diagonal, qubit, 0).reshape(2, -1).sum(axis=1) @ (1, -1) for qubit in range(circuit.measured)]
    return (1 - 2 * noise.readout_error) * np.array(z)


def forget(rho: np.ndarray, qubits: int, places: tuple[int, ...]) -> np.ndarray:
    """Trace the qubits out and put the maximally mixed state in their place."""
    lost, d = len(places), 2 ** len(places)
    axes_of_both = (*places, *(place + qubits for place in places))
    tensor = np.moveaxis(rho.reshape((2,) * (2 * qubits)), axes_of_both, range(2 * lost))
    rest = np.trace(tensor.reshape(d, d, -1)).reshape(tensor.shape[2 * lost :])
    mixed = np.multiply.outer(np.eye(d).reshape((2,) * (2 * lost)) / d, rest)
    return np.moveaxis(mixed, range(2 * lost), axes_of_both).reshape(rho.shape)


def pennylane_circuit(circuit: Circuit, noise: Noise, gradients: bool = False) -> qml.QNode:
    """Return the same run on default.mixed: PennyLane's channels put each error other than the identity with the same probability."""
    pairs = [np.kron(first, second) for first, second in itertools.product([np.eye(2), *PAULI.values()], repeat=2)]
    p = noise.two_qubit_error
    kraus = [np.sqrt((1 - p if not index else 0) + p / 16) * pair for index, pair in enumerate(pairs)]

    @qml.qnode(qml.device("default.mixed", wires=circuit.qubits), diff_method="backprop" if gradients else None)
    def run(angles: torch.Tensor) -> list[qml.measurements.ExpectationMP]:
        rotation = 0
        for gate in circuit.gates:
            if gate.name == "RY":
                qml.RY(angles[rotation], wires=gate.qubits)
                qml.DepolarizingChannel(0.75 * noise.one_qubit_error, wires=gate.qubits)
                rotation += 1
            else:
                qml.CNOT(wires=gate.qubits)
                qml.QubitChannel(kraus, wires=gate.qubits)
        for qubit in range(circuit.measured):
            qml.BitFlip(noise.readout_error, wires=qubit)
        return [qml.expval(qml.PauliZ(qubit)) for qubit in range(circuit.measured)]

    return run


def angles_of(circuit: Circuit, batch: Batch) -> torch.Tensor:
    assert batch.inputs is not None
    return rotation_angles(circuit, batch.weights, batch.inputs)


def estimate(circuit: Circuit, batch: Batch, noise: Noise, first_seed: int = 0) -> torch.Tensor:
    return NoisySimulator(noise, first_seed=first_seed).expectations(circuit, batch.weights, batch.inputs)


class TestExactly:
    @given(circuit=random_circuits(qubits=(1, 3), gates=3), seed=st.integers(0, 2**31))
    @settings(max_examples=30, deadline=None)
    def test_all_patterns_of_errors_weighted_by_their_probability_are_the_density_matrix(self, circuit: Circuit, seed: int) -> None:
        angles = angles_of(circuit, random_batch(circuit, 1, 1, seed, from_states=False))
        rotations = angles.shape[-1]
        flips, probabilities = every_pattern(circuit, LOUD)
        signs = 1 - 2 * torch.from_numpy(flips).to(angles)
        values = open_simulator("torch").expectations(per_rotation(circuit), angles.new_empty(1, 0), angles * signs[None, :, :rotations])
        mean = torch.from_numpy(probabilities) @ (values[0] * signs[:, rotations:])
        expected = mixed_expectations(circuit, angles[0, 0].numpy(), LOUD)
        np.testing.assert_allclose((1 - 2 * LOUD.readout_error) * mean.numpy(), expected, atol=1e-12)
        assert probabilities.sum() == pytest.approx(1, abs=1e-12)

    def test_each_single_error_of_the_papers_circuit_flips_what_the_table_says(self) -> None:
        circuit = second_module_circuit(4, [0, 0], layers=2, connectivity=2, measured=4)
        angles = angles_of(circuit, random_batch(circuit, 1, 1, seed=3, from_states=False))
        states, expected, flips = zero_state(circuit), [], []
        tables = [iter(table) for table in error_flips(circuit)]
        rest = [gate_matrix(circuit, gate, angle) for gate, angle in zip(circuit.gates, every_angle(circuit, angles), strict=True)]
        after = [np.eye(2**circuit.qubits)]  # what the gates from each one on do together, last first
        for matrix in reversed(rest):
            after.append(after[-1] @ matrix)
        for position, gate in enumerate(circuit.gates):
            states = rest[position] @ states
            one, *others = [np.eye(2), PAULI["Z"], PAULI["X"], PAULI["X"] @ PAULI["Z"]]  # Y but for its phase
            errors = list(itertools.product((one, *others), repeat=len(gate.qubits)))[1:]
            for error, row in zip(errors, next(tables[len(gate.qubits) - 1]), strict=True):
                matrix = error[0] if len(error) == 1 else np.kron(*error)
                final = after[len(rest) - 1 - position] @ on(circuit.qubits, gate.qubits, matrix) @ states
                expected.append(z_expectations(circuit, final))
                flips.append(row)
        signs = 1 - 2 * torch.from_numpy(np.array(flips)).to(angles)
        rotations = angles.shape[-1]
        values = open_simulator("torch").expectations(per_rotation(circuit), angles.new_empty(1, 0), angles * signs[None, :, :rotations])
        np.testing.assert_allclose((values[0] * signs[:, rotations:]).numpy(), np.array(expected), atol=1e-12)

    @pytest.mark.parametrize("qubits", [1, 2, 3, 4])
    def test_our_density_matrix_means_what_pennylane_means(self, qubits: int) -> None:
        layers, connectivity = (1, 1) if qubits > 1 else (0, 0)
        circuit = second_module_circuit(qubits, [0, 0], layers, connectivity, measured=qubits)
        angles = angles_of(circuit, random_batch(circuit, 1, 1, seed=qubits, from_states=False))[0, 0]
        theirs = np.array([float(value) for value in pennylane_circuit(circuit, LOUD)(angles)])
        np.testing.assert_allclose(mixed_expectations(circuit, angles.numpy(), LOUD), theirs, atol=1e-10)

    def test_a_gate_that_always_fails_leaves_nothing(self) -> None:
        circuit = encoder_circuit(1, layers=0, connectivity=0)
        angles = torch.zeros(1, 0), torch.zeros(1, 1, 0)
        always = Noise(one_qubit_error=1.0, trajectories=4000)
        values = noisy_expectations(open_simulator("torch"), circuit, angles[0].new_zeros(1, 1), angles[1], always, noise_rngs(1))
        assert abs(values.item()) < 5 / 4000**0.5

    def test_readout_error_alone_is_a_factor(self) -> None:
        circuit = second_module_circuit(3, [0], layers=1, connectivity=1, measured=2)
        batch = random_batch(circuit, 2, 3, seed=1, from_states=False)
        clean, misread = (estimate(circuit, batch, Noise(readout_error=error)) for error in (0.0, 0.1))
        torch.testing.assert_close(misread, 0.8 * clean)


def every_pattern(circuit: Circuit, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
    """Return what each combination of errors after the gates flips, and its probability."""
    one, two = error_flips(circuit)
    tables = [(table, noise.one_qubit_error) for table in one] + [(table, noise.two_qubit_error) for table in two]
    flips, probabilities = np.zeros((1, one.shape[-1]), np.uint8), np.ones(1)
    for table, p in tables:
        with_identity = np.concatenate([np.zeros((1, table.shape[-1]), np.uint8), table])
        chances = np.full(len(with_identity), p / len(with_identity))
        chances[0] += 1 - p
        flips = (flips[:, None] ^ with_identity).reshape(-1, table.shape[-1])
        probabilities = np.outer(probabilities, chances).reshape(-1)
    return flips, probabilities


def every_angle(circuit: Circuit, angles: torch.Tensor) -> list[float]:
    """Return an angle for every gate, 0 where it takes none."""
    columns = iter(angles[0, 0].tolist())
    return [next(columns) if gate.angle else 0.0 for gate in circuit.gates]


def zero_state(circuit: Circuit) -> np.ndarray:
    return np.eye(2**circuit.qubits)[0]


def z_expectations(circuit: Circuit, state: np.ndarray) -> list[float]:
    return [float(state @ on(circuit.qubits, (qubit,), np.diag([1, -1])) @ state) for qubit in range(circuit.measured)]


@pytest.mark.parametrize("qubits", [4, 6])
def test_trajectories_agree_with_default_mixed_in_values_and_gradients_within_sampling_error(qubits: int) -> None:
    """40 trials of the same weights with draws of their own tell the standard error of their mean."""
    circuit = second_module_circuit(qubits, [0, 0], layers=1, connectivity=2, measured=1)
    one = random_batch(circuit, 1, 1, seed=qubits, from_states=False)
    assert one.inputs is not None
    exact = angles_of(circuit, one)[0, 0].clone().requires_grad_()
    truth = pennylane_circuit(circuit, LOUD, gradients=True)(exact)[0]
    truth.backward()

    weights, inputs = one.weights.repeat(40, 1).requires_grad_(), one.inputs.repeat(40, 1, 1).requires_grad_()
    noisy = LOUD.model_copy(update={"trajectories": 100})
    values = noisy_expectations(open_simulator("torch"), circuit, weights, inputs, noisy, noise_rngs(40))
    values.sum().backward()  # type: ignore[no-untyped-call]
    assert weights.grad is not None
    assert inputs.grad is not None
    assert exact.grad is not None
    of_weights = torch.stack([exact.grad[place] for place in places(circuit, "weights")])
    of_inputs = torch.stack([exact.grad[place] for place in places(circuit, "inputs")])

    assert_within_errors(values.detach().reshape(40, 1), truth.detach().reshape(1), 4)
    assert_within_errors(weights.grad, of_weights.reshape(len(one.weights[0]), -1).sum(dim=1), 5)
    assert_within_errors(inputs.grad[:, 0], of_inputs.reshape(2, qubits).sum(dim=0), 5)
    clean = open_simulator("torch").expectations(circuit, one.weights, one.inputs).item()
    assert abs(clean - truth.item()) > 20 * values.detach().std().item() / 40**0.5  # so the test can tell


def places(circuit: Circuit, of: str) -> list[int]:
    """Return which rotations take their angle from the weights, or from the inputs."""
    angles = [gate.angle for gate in circuit.gates if gate.angle is not None]
    return [place for place, angle in enumerate(angles) if angle.of == of]


def assert_within_errors(drawn: torch.Tensor, truth: torch.Tensor, errors: float) -> None:
    """Compare the mean over the first axis with the truth, in standard errors of that mean."""
    standard_error = drawn.std(dim=0) / len(drawn) ** 0.5
    distance = (drawn.mean(dim=0) - truth).abs()
    assert (distance <= errors * standard_error + 1e-12).all(), (distance / standard_error).max()


def test_every_pattern_of_errors_is_drawn_as_often_as_it_should_be() -> None:
    circuit = Circuit(2, (ry(0, "weights", 0), Gate("CNOT", (0, 1)), ry(1, "weights", 1)), measured=2)
    runs, noise = 1_000_000, Noise(one_qubit_error=0.4, two_qubit_error=0.6)
    drawn = Counter(map(bytes, sample_flips(circuit, noise, runs, np.random.default_rng(0))))
    expected: Counter[bytes] = Counter()
    for flips, probability in zip(*every_pattern(circuit, noise), strict=True):
        expected[bytes(flips)] += probability  # type: ignore[assignment]
    assert drawn.keys() <= expected.keys()
    for flips, probability in expected.items():  # type: ignore[assignment]
        assert abs(drawn[flips] / runs - probability) < 4 * (probability / runs) ** 0.5  # type: ignore[index]


class TestEstimate:
    circuit = second_module_circuit(3, [0, 0], layers=1, connectivity=2, measured=2)

    def test_without_noise_it_is_the_simulators_own_answer(self) -> None:
        batch = random_batch(self.circuit, 2, 3, seed=0, from_states=False)
        assert torch.equal(
            estimate(self.circuit, batch, Noise()), open_simulator("torch").expectations(self.circuit, batch.weights, batch.inputs)
        )

    @pytest.mark.parametrize(
        "noise",
        [
            LOUD,
            Noise(shots=50),
            LOUD.model_copy(update={"shots": 50}),
            LOUD.model_copy(update={"shots": 50, "gradient": "parameter-shift"}),
        ],
        ids=["trajectories", "shots", "both", "parameter-shift"],
    )
    def test_a_trial_gets_the_same_alone_and_beside_others(self, noise: Noise) -> None:
        batch = random_batch(self.circuit, 3, 2, seed=0, from_states=False)
        assert batch.inputs is not None
        weights, inputs = batch.weights.requires_grad_(), batch.inputs.requires_grad_()
        together = estimate(self.circuit, batch, noise)
        together.sum().backward()  # type: ignore[no-untyped-call]
        for trial in range(3):
            only = Batch(*(part[trial : trial + 1].detach().requires_grad_() for part in (weights, inputs)), None)
            alone = estimate(self.circuit, only, noise, first_seed=trial)
            alone.sum().backward()  # type: ignore[no-untyped-call]
            assert torch.equal(alone[0], together[trial])
            for mine, ours in ((only.weights, weights), (only.inputs, inputs)):
                assert mine is not None
                assert mine.grad is not None
                assert ours.grad is not None
                torch.testing.assert_close(mine.grad[0], ours.grad[trial], atol=1e-12, rtol=0)

    @pytest.mark.parametrize("name", ["compiled", "fused", "default.qubit", "lightning.qubit"])
    @pytest.mark.usefixtures("double_precision")
    def test_every_simulator_serves(self, name: str) -> None:
        if not is_installed(kind_of(name)):
            pytest.skip(f"{name} is not installed")
        batch = random_batch(self.circuit, 1, 2, seed=0, from_states=False)
        for noise in (LOUD.model_copy(update={"trajectories": 3}), Noise(gradient="parameter-shift")):
            ours, theirs = (
                values_and_gradients(NoisySimulator(noise, open_simulator(each)), self.circuit, batch) for each in ("torch", name)
            )
            assert_agree(ours, theirs, value=1e-10, gradient=1e-10)

    def test_single_precision_stays_single(self) -> None:
        batch = random_batch(self.circuit, 1, 2, seed=0, dtype=torch.float32, from_states=False)
        assert estimate(self.circuit, batch, LOUD.model_copy(update={"shots": 64})).dtype == torch.float32

    def test_a_gate_that_errors_cannot_pass_is_named(self) -> None:
        with pytest.raises(ValueError, match="not past H"):
            error_flips(Circuit(1, (Gate("H", (0,)),), measured=1))


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (Noise(gradient="parameter-shift"), r"shots = exact.*number, or set head.noise.gradient: exact-backward"),
        (Noise(shots=8, one_qubit_error=0.1), "shots = 8 cannot be spread over head.noise.trajectories = 16.*fewer trajectories or more"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(noise: Noise, expected: str) -> None:
    with pytest.raises(SettingsError, match=expected):
        QuantumHead(qubits=4, noise=noise).check(16, 435)


def test_settings_that_a_factor_would_meet_are_not_refused() -> None:
    """Levels without errors or shots stand beside levels with them in one design."""
    for noise in (Noise(trajectories=50), Noise(shots=1), Noise(shots=50, two_qubit_error=0.01)):
        QuantumHead(qubits=4, noise=noise).check(16, 435)


def test_rows_of_the_second_module_count_trajectories_and_shifted_angles() -> None:
    head = QuantumHead(qubits=4, reuploads=2, layers=1, connectivity=1)
    rotations = 2 * (4 + 8) + 8
    for noise, training, evaluation in [
        (Noise(), 1, 1),
        (Noise(shots=100), 1, 1),
        (Noise(two_qubit_error=0.01, trajectories=5), 5, 5),
        (Noise(shots=100, gradient="parameter-shift"), 1 + 2 * rotations, 1),
        (Noise(shots=100, one_qubit_error=0.01, trajectories=5, gradient="parameter-shift"), 5 * (1 + 2 * rotations), 5),
    ]:
        encoder, second = head.model_copy(update={"noise": noise}).circuits()
        assert (encoder.training_rows, encoder.evaluation_rows) == (1, 1)
        assert (second.training_rows, second.evaluation_rows) == (training, evaluation)
