"""The paper's head as a benchmark case: its circuits at one width, its data, and what a training step computes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from hadamard.model.circuits.circuit import Circuit, Gate, encoder_circuit, pqc, pqc_angles, ry

Array: TypeAlias = NDArray[np.float64]
Step: TypeAlias = Callable[[], tuple[Any, Any, Any]]
"""Computes a case once: values [rows], and the gradients by the encoder's and the second module's weights, in any array type."""

CONNECTIVITY = 2
ENCODER_LAYERS = 3
BLOCK_LAYERS = (1, 1)
"""Layers of each re-uploading block's PQC 1."""
LAST_LAYERS = 2
"""Layers of PQC 2."""
ANGLE_SCALE = math.pi
FEWEST_QUBITS = CONNECTIVITY + 1
STATE_BYTES_PER_AMPLITUDE = 32
"""Of the inputs while they are drawn, and of three states at least."""
REFERENCE_STATES_PER_GATE = 3
"""What the reference keeps of a row, in states of float64, for its gradient; seen: a little above 2."""


@dataclass(frozen=True)
class Case:
    """One training step of the paper's head: E = 1, C = 2, amplitude input of full length, N = 2, <Z_0>.

    A step: z = <Z_q> of the encoder on `states`; values = <Z_0> of the second module on ANGLE_SCALE * z;
    then the gradients of sum(cotangent * values) by both modules' weights.

    Attributes:
        encoder: Measures every qubit.
        second: Two blocks of [angle encoding, PQC 1], then PQC 2; measures qubit 0.
        states: [rows, 2**qubits] real amplitudes of norm 1.
        encoder_weights: [encoder.weights] in radians.
        second_weights: [second.weights] in radians.
        cotangent: [rows], what each value counts for in the loss.
    """

    encoder: Circuit
    second: Circuit
    states: Array
    encoder_weights: Array
    second_weights: Array
    cotangent: Array

    def rows(self, chosen: slice) -> Case:
        """Return the case of some of the rows."""
        return replace(self, states=self.states[chosen], cotangent=self.cotangent[chosen])


def circuits(qubits: int) -> tuple[Circuit, Circuit]:
    """Return the encoder and the second module."""
    return encoder_circuit(qubits, ENCODER_LAYERS, CONNECTIVITY), second_module(qubits)


def paper_head(qubits: int, rows: int) -> Case:
    """Return the case at one width; the same numbers at every call.

    Args:
        qubits: At least 3, the rings being of distance 1 and 2.
        rows: Size of the batch.
    """
    generator = np.random.default_rng([qubits, rows])
    encoder, second = circuits(qubits)
    states = generator.standard_normal((rows, 2**qubits))
    return Case(
        encoder,
        second,
        states / np.linalg.norm(states, axis=1, keepdims=True),
        generator.uniform(-math.pi, math.pi, encoder.weights),
        generator.uniform(-math.pi, math.pi, second.weights),
        np.cos(np.arange(rows)),
    )


def in_parts(case: Case, rows: int, prepare: Callable[[Case], Step]) -> Step:
    """Return a step that takes this many rows of the case at a time, to hold less memory."""
    steps = [prepare(case.rows(slice(first, first + rows))) for first in range(0, len(case.states), rows)]

    def step() -> tuple[Array, Array, Array]:
        values, encoder, second = zip(*([np.asarray(part) for part in step()] for step in steps), strict=True)
        return np.concatenate(values), np.sum(encoder, axis=0), np.sum(second, axis=0)

    return step if len(steps) > 1 else steps[0]


def least_bytes(qubits: int, rows: int) -> int:
    """Return the memory that a case takes at least: the batch, and one row in the reference."""
    return STATE_BYTES_PER_AMPLITUDE * rows * (1 << qubits) + reference_row_bytes(qubits)


def reference_row_bytes(qubits: int) -> int:
    """Return what the reference keeps of one row for the gradient, in bytes."""
    return 8 * REFERENCE_STATES_PER_GATE * (1 << qubits) * sum(len(circuit.gates) for circuit in circuits(qubits))


def second_module(
    qubits: int, connectivity: int = CONNECTIVITY, block_layers: Sequence[int] = BLOCK_LAYERS, last_layers: int = LAST_LAYERS
) -> Circuit:
    """Return blocks of their own depth and PQC 2 of another, which a study's `head.layers` cannot say."""

    def gates() -> Iterator[Gate]:
        first = 0
        for layers in block_layers:
            yield from (ry(qubit, "inputs", qubit) for qubit in range(qubits))
            yield from pqc(qubits, layers, connectivity, first=first)
            first += pqc_angles(qubits, layers, connectivity)
        yield from pqc(qubits, last_layers, connectivity, first=first)

    return Circuit(qubits, tuple(gates()), measured=1)
