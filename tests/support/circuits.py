"""Random circuits and batches, a simulator by dense matrices, and comparisons of values and gradients: what tests of simulators share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from hypothesis import strategies as st

from hadamard.model.circuits.circuit import GATE_QUBITS, REAL_GATES, ROTATIONS, Angle, Circuit, Gate, GateName, Matrix
from hadamard.model.simulators.base import Simulator

PAULI = {"X": np.array([[0, 1], [1, 0]]), "Y": np.array([[0, -1j], [1j, 0]]), "Z": np.diag([1, -1])}
FIXED = {**PAULI, "H": (PAULI["X"] + PAULI["Z"]) / 2**0.5, "S": np.diag([1, 1j]), "T": np.diag([1, np.exp(0.25j * np.pi)])}
PAPER_GATES: tuple[GateName, ...] = ("RY", "CNOT")
ALL_REAL: tuple[GateName, ...] = tuple(sorted(REAL_GATES))
ALL_GATES: tuple[GateName, ...] = tuple(sorted(GATE_QUBITS))


@dataclass(frozen=True)
class Batch:
    """Weights, inputs and states for a circuit; None where it takes none."""

    weights: torch.Tensor
    inputs: torch.Tensor | None
    states: torch.Tensor | None

    def to(self, *args: torch.dtype | torch.device) -> Batch:
        """Convert as `torch.Tensor.to` does."""
        inputs, states = (None if part is None else part.to(*args) for part in (self.inputs, self.states))
        return Batch(self.weights.to(*args), inputs, states)


@st.composite
def random_circuits(
    draw: st.DrawFn, names: tuple[GateName, ...] = PAPER_GATES, qubits: tuple[int, int] = (1, 5), gates: int = 24
) -> Circuit:
    """Draw a circuit whose gates share some of their weights and inputs."""
    width = draw(st.integers(*qubits))
    chosen = [name for name in names if width > 1 or GATE_QUBITS[name] == 1]
    columns = st.builds(Angle, st.sampled_from(["weights", "inputs"]), st.integers(0, 5))
    drawn: list[Gate] = []
    for _ in range(draw(st.integers(1, gates))):
        name = draw(st.sampled_from(chosen))
        places = tuple(draw(st.permutations(range(width)))[: GATE_QUBITS[name]])
        drawn.append(Gate(name, places, draw(columns) if name in ROTATIONS else None))
    return Circuit(width, tuple(drawn), measured=draw(st.integers(1, width)))


@st.composite
def circuits_with_unitaries(draw: st.DrawFn, qubits: tuple[int, int] = (1, 6), gates: int = 30) -> Circuit:
    """Draw a circuit of any gates, and put random unitaries of one and two qubits among them."""
    circuit = draw(random_circuits(ALL_GATES, qubits, gates))
    chosen = list(circuit.gates)
    for _ in range(draw(st.integers(0, 4))):
        places = tuple(draw(st.permutations(range(circuit.qubits)))[: draw(st.integers(1, min(2, circuit.qubits)))])
        unitary = Gate("unitary", places, matrix=random_unitary(len(places), draw(st.integers(0, 99))))
        chosen.insert(draw(st.integers(0, len(chosen))), unitary)
    return replace(circuit, gates=tuple(chosen))


def random_unitary(qubits: int, seed: int) -> Matrix:
    generator = np.random.default_rng(seed)
    q, _ = np.linalg.qr(generator.normal(size=(2**qubits, 2**qubits)) + 1j * generator.normal(size=(2**qubits, 2**qubits)))
    return tuple(tuple(complex(entry) for entry in row) for row in q)


def random_batch(
    circuit: Circuit, trials: int, rows: int, seed: int, dtype: torch.dtype = torch.float64, from_states: bool = True
) -> Batch:
    """Return angles of a few radians and, if asked for, random states."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)

    weights, inputs = 2 * normal(trials, circuit.weights), 2 * normal(trials, rows, circuit.inputs)
    states = torch.nn.functional.normalize(normal(trials, rows, 2**circuit.qubits), dim=-1) if from_states else None
    return Batch(weights, inputs if circuit.inputs or not from_states else None, states)


def values_and_gradients(simulator: Simulator, circuit: Circuit, batch: Batch, of_states: bool = False) -> list[torch.Tensor]:
    """Return the expectations, and the gradients of a fixed weighted sum of them by weights, inputs and, if asked for, states."""
    leaves = [batch.weights.clone().requires_grad_()]
    inputs = None if batch.inputs is None else batch.inputs.clone().requires_grad_()
    states = None if batch.states is None else batch.states.clone().requires_grad_(of_states)
    leaves += [part for part in (inputs, states) if part is not None and part.requires_grad]
    values = simulator.expectations(circuit, leaves[0], inputs, states)
    cotangent = torch.cos(torch.arange(values.numel(), dtype=values.dtype)).view_as(values)
    if values.requires_grad:  # a circuit may have no angles
        (values * cotangent.to(values.device)).sum().backward()  # type: ignore[no-untyped-call]
    return [values.detach(), *(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves)]


class DenseSimulator:
    """Multiplies complex states by full matrices, differentiated by autograd: slow, obvious, and independent of every simulator."""

    device = torch.device("cpu")
    description = "full matrices in complex128, on cpu"

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z> of the measured qubits, [trials, rows, measured]; see `base.Simulator`."""
        rows = next((tensor.shape[1] for tensor in (inputs, states) if tensor is not None), 1)
        if states is None:
            states = torch.ones(len(weights), rows, 1)
        state = torch.nn.functional.pad(states, (0, 2**circuit.qubits - states.shape[2])).to(torch.complex128)
        columns = {"weights": weights[:, None], "inputs": inputs}
        for gate in circuit.gates:
            angle = None
            if gate.angle is not None:
                source = columns[gate.angle.of]
                assert source is not None
                angle = source[..., gate.angle.column]
            state = (matrices(circuit.qubits, gate, angle) @ state[..., None])[..., 0]
        z = [torch.from_numpy(_on(circuit.qubits, {qubit: PAULI["Z"]}).diagonal().copy()) for qubit in range(circuit.measured)]
        values = [(torch.view_as_real(state).square().sum(-1) * signs).sum(-1) for signs in z]
        return torch.stack(values, dim=-1).to(weights.dtype)


def matrices(qubits: int, gate: Gate, angle: torch.Tensor | None) -> torch.Tensor:
    """Return a gate's matrices on all qubits: a rotation's are A + cos(t/2) B + sin(t/2) C, known from those at 0, pi and 2 pi."""
    at_zero, at_pi, at_two_pi = (torch.from_numpy(full_matrix(qubits, gate, t).astype(complex)) for t in (0, np.pi, 2 * np.pi))
    if angle is None:
        return at_zero
    constant, half = (at_zero + at_two_pi) / 2, angle.double()[..., None, None] / 2
    return constant + torch.cos(half) * (at_zero - at_two_pi) / 2 + torch.sin(half) * (at_pi - constant)


def full_matrix(qubits: int, gate: Gate, angle: float) -> np.ndarray:
    if gate.name == "SWAP":
        first, second = gate.qubits
        paulis = sum(_on(qubits, {first: pauli, second: pauli}) for pauli in PAULI.values())
        return (np.eye(2**qubits) + paulis) / 2
    if gate.name == "unitary":
        matrix = np.array(gate.matrix)
        if len(gate.qubits) == 1:
            return _on(qubits, {gate.qubits[0]: matrix})
        first, second = gate.qubits
        units = [np.eye(4)[[row]].T @ np.eye(4)[[column]] for row in range(4) for column in range(4)]
        parts = []
        for unit, entry in zip(units, matrix.reshape(-1), strict=True):
            row, column = np.argwhere(unit)[0]
            left = np.outer(np.eye(2)[row >> 1], np.eye(2)[column >> 1])
            right = np.outer(np.eye(2)[row & 1], np.eye(2)[column & 1])
            parts.append(entry * _on(qubits, {first: left, second: right}))
        return np.sum(parts, axis=0)
    *control, target = gate.qubits
    matrix = _rotation(gate.name[-1], angle) if gate.angle is not None else FIXED[gate.name.replace("CNOT", "X").removeprefix("C")]
    if not control:
        return _on(qubits, {target: matrix})
    return _on(qubits, {control[0]: np.diag([1, 0])}) + _on(qubits, {control[0]: np.diag([0, 1]), target: matrix})


def _rotation(axis: str, angle: float) -> np.ndarray:
    return np.cos(angle / 2) * np.eye(2) - 1j * np.sin(angle / 2) * PAULI[axis]


def _on(qubits: int, operators: dict[int, np.ndarray]) -> np.ndarray:
    full: np.ndarray = np.eye(1)
    for qubit in range(qubits):
        full = np.kron(full, operators.get(qubit, np.eye(2)))
    return full


def assert_agree(ours: list[torch.Tensor], theirs: list[torch.Tensor], value: float, gradient: float) -> None:
    """Compare what `values_and_gradients` returned, in absolute terms."""
    bounds: list[float] = [value, *[gradient] * (len(theirs) - 1)]
    check: Callable[..., None] = torch.testing.assert_close
    for mine, other, bound in zip(ours, theirs, bounds, strict=True):
        check(mine.double().cpu(), other.double().cpu(), atol=bound, rtol=0)
