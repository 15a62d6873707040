"""Noisy expectations of the second module, with gate errors, readout errors and finite shots, by any exact simulator.

A depolarising channel applies a random Pauli operator with some probability. In a circuit of RY and CNOT such an error can be moved to the
end: RY(t) X = X RY(-t), RY(t) Z = Z RY(-t), RY(t) Y = Y RY(t), and CNOT maps Pauli operators to Pauli operators. So the errors of one run
amount to a sign for every rotation angle and one for every measured <Z>. A trajectory is another row of angles: amplitudes stay real, any
simulator can compute it, and the gradient is exact for the sampled errors. Shots are sampled in shots.py.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

import numpy as np
import torch

from hadamard.model.circuits.circuit import Angle, Circuit
from hadamard.model.heads.base import Rngs
from hadamard.model.heads.quantum import shots
from hadamard.model.heads.quantum.settings import Noise
from hadamard.model.simulators.base import Simulator


def noisy_expectations(
    simulator: Simulator,
    circuit: Circuit,
    weights: torch.Tensor,
    inputs: torch.Tensor,
    noise: Noise,
    rngs: Rngs,
) -> torch.Tensor:
    """Return unbiased estimates of <Z> of the measured qubits of noisy runs from |0...0>; without noise, the exact expectations.

    An estimate is the mean of the exact <Z> over `noise.trajectories` samples of gate errors or, with shots, the mean of `noise.shots`
    measured signs, spread evenly over the trajectories. Its gradient is the exact one of the mean over the same trajectories, or by
    parameter shift that of estimates with shots and errors of their own.

    Args:
        simulator: Computes exact expectations.
        circuit: With `parameter-shift` or gate errors, of RY and CNOT only.
        weights: [trials, circuit.weights] in radians; differentiable.
        inputs: [trials, rows, circuit.inputs] in radians; differentiable.
        noise: Shots, errors and the kind of gradient.
        rngs: One per trial, so that a trial's numbers do not depend on the other trials.

    Returns:
        [trials, rows, circuit.measured] in [-1, 1], in the precision of `weights`.
    """
    if noise.gradient == "exact-backward":
        return _estimates(simulator, circuit, weights, inputs, noise, rngs)
    rotations, no_weights = per_rotation(circuit), weights.new_empty(len(weights), 0)
    return shots.parameter_shift(
        lambda angles: _estimates(simulator, rotations, no_weights, angles, noise, rngs),
        rotation_angles(circuit, weights, inputs),
    )


def _estimates(
    simulator: Simulator,
    circuit: Circuit,
    weights: torch.Tensor,
    inputs: torch.Tensor,
    noise: Noise,
    rngs: Rngs,
) -> torch.Tensor:
    one_qubit, two_qubit, readout = noise.errors
    if noise.shots == "exact" and not one_qubit and not two_qubit and not readout:
        return simulator.expectations(circuit, weights, inputs)
    if noise.gate_errors:
        values = trajectories(simulator, circuit, weights, inputs, noise, rngs)
    else:
        values = simulator.expectations(circuit, weights, inputs)[:, :, None]
    if readout:
        values = (1 - 2 * readout) * values  # a shot of this mean is a shot of the true one, flipped with that probability
    return values.mean(dim=2) if noise.shots == "exact" else shots.sample_shots(values, noise.shots, rngs)


def trajectories(
    simulator: Simulator,
    circuit: Circuit,
    weights: torch.Tensor,
    inputs: torch.Tensor,
    noise: Noise,
    rngs: Rngs,
) -> torch.Tensor:
    """Return the exact <Z> of `noise.trajectories` runs of every row, each with its own gate errors: [trials, rows, runs, measured]."""
    angles = rotation_angles(circuit, weights, inputs)
    trials, rows, rotations = angles.shape
    flips = np.stack([sample_flips(circuit, noise, rows * noise.trajectories, rng) for rng in rngs])
    signs = 1 - 2 * torch.from_numpy(flips).to(weights).view(trials, rows, noise.trajectories, -1)
    signed = (angles[:, :, None] * signs[..., :rotations]).flatten(1, 2)
    values = simulator.expectations(per_rotation(circuit), weights.new_empty(trials, 0), signed)
    return values.view(trials, rows, noise.trajectories, -1) * signs[..., rotations:]


def sample_flips(circuit: Circuit, noise: Noise, runs: int, rng: np.random.Generator) -> np.ndarray:
    """Sample the gate errors of several runs; return which signs they flip, [runs, rotations + measured] of 0 and 1 (see `error_flips`)."""
    one_qubit_flips, two_qubit_flips = error_flips(circuit)
    flips = torch.zeros(runs, one_qubit_flips.shape[-1], dtype=torch.uint8)
    # with the given probability the channel applies one of 4 or 16 Pauli operators, the identity among them
    one_qubit, two_qubit, _ = noise.errors
    for table, probability in ((one_qubit_flips, one_qubit * 3 / 4), (two_qubit_flips, two_qubit * 15 / 16)):
        sites = runs * len(table)
        with_error = rng.choice(sites, rng.binomial(sites, probability), replace=False, shuffle=False)
        run, gate = np.divmod(with_error, max(len(table), 1))
        errors = table[gate, rng.integers(table.shape[1], size=len(with_error))]
        flips.index_add_(0, torch.from_numpy(run), torch.from_numpy(errors))
    return flips.numpy() & 1  # also right where a count has passed 255: 256 is even


@functools.lru_cache(maxsize=8)  # a table holds 15 bytes per gate and rotation
def error_flips(circuit: Circuit) -> tuple[np.ndarray, np.ndarray]:
    """Return which signs each Pauli error after each gate flips, the rest of the circuit being error-free.

    Two errors together flip the signs that one of them flips, but not both.

    Returns:
        [gates on one qubit, 3, rotations + measured] and [gates on two, 15, rotations + measured] of 0 and 1, gates in order: the
        rotations whose angle changes sign, in the order of the gates, then the measured qubits whose <Z> changes sign.

    Raises:
        ValueError: A gate is neither RY nor CNOT.
    """
    rotations = sum(gate.angle is not None for gate in circuit.gates)
    # what an X and a Z on each qubit flip from here on
    x, z = np.zeros((2, circuit.qubits, rotations + circuit.measured), dtype=np.uint8)
    x[range(circuit.measured), range(rotations, rotations + circuit.measured)] = 1
    after: dict[int, list[np.ndarray]] = {1: [], 2: []}
    rotation = rotations
    for gate in reversed(circuit.gates):
        paulis = np.stack([flips[qubit] for qubit in gate.qubits for flips in (x, z)])
        products = np.array(list(itertools.product((0, 1), repeat=len(paulis)))[1:], dtype=np.uint8)
        after[len(gate.qubits)].append(products @ paulis & 1)
        if gate.name == "RY":
            rotation -= 1
            x[gate.qubits[0], rotation] ^= 1
            z[gate.qubits[0], rotation] ^= 1
        elif gate.name == "CNOT":
            control, target = gate.qubits
            x[control] ^= x[target]  # X on the control becomes X on both, Z on the target becomes Z on both
            z[target] ^= z[control]
        else:
            raise ValueError(f"Pauli errors can be moved past RY and CNOT only, not past {gate.name}")
    one, two = (np.array(after[qubits][::-1], np.uint8).reshape(-1, 4**qubits - 1, x.shape[1]) for qubits in (1, 2))
    return one, two


@functools.lru_cache(maxsize=64)
def per_rotation(circuit: Circuit) -> Circuit:
    """Return the circuit with one input column per rotation, in the order of the gates, and no weights."""
    columns = itertools.count()
    gates = tuple(gate if gate.angle is None else dataclasses.replace(gate, angle=Angle("inputs", next(columns))) for gate in circuit.gates)
    return Circuit(circuit.qubits, gates, circuit.measured)


def rotation_angles(circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
    """Return the angle of every rotation in the order of the gates, [trials, rows, rotations]: the inputs of `per_rotation`."""
    angles = [gate.angle for gate in circuit.gates if gate.angle is not None]
    columns = [angle.column + (circuit.weights if angle.of == "inputs" else 0) for angle in angles]
    shared = weights[:, None].expand(-1, inputs.shape[1], -1)
    return torch.cat([shared, inputs], dim=-1)[..., columns]
