"""The benchmark's case: the paper's head at one width, its data, and what one training step has to compute.

Owns the circuits, the data and the count of useful operations. Does not own how anybody computes the step, nor the clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from model.circuit import Circuit, Gate, encoder_circuit, pqc, pqc_angles, ry

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
FLOP_PER_AMPLITUDE = 11
"""Of one fused gate, a CNOT with the RY after it or an RY alone: 3 forward, 8 for the adjoint sweep (un-apply state and cotangent, take
the gradient)."""


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

    @property
    def flop(self) -> int:
        """Operations that a step cannot do without, on the circuit as written."""
        amplitudes: int = len(self.states) * 2**self.encoder.qubits
        return FLOP_PER_AMPLITUDE * amplitudes * (fused_gates(self.encoder) + fused_gates(self.second))


def paper_head(qubits: int, rows: int) -> Case:
    """Return the case at one width; the same numbers at every call.

    Args:
        qubits: At least 3, the rings being of distance 1 and 2.
        rows: Size of the batch.
    """
    generator = np.random.default_rng([qubits, rows])
    encoder, second = encoder_circuit(qubits, ENCODER_LAYERS, CONNECTIVITY), _second_module(qubits)
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
    """Return a step that takes so many rows of the case at a time, to hold less memory."""
    steps = [prepare(case.rows(slice(first, first + rows))) for first in range(0, len(case.states), rows)]

    def step() -> tuple[Array, Array, Array]:
        values, encoder, second = zip(*([np.asarray(part) for part in step()] for step in steps), strict=True)
        return np.concatenate(values), np.sum(encoder, axis=0), np.sum(second, axis=0)

    return step if len(steps) > 1 else steps[0]


def fused_gates(circuit: Circuit) -> int:
    """Return the gates of a circuit of CNOT and RY, where a CNOT and the RY after it on its target count as one."""
    alone = [
        gate
        for before, gate in zip((None, *circuit.gates), circuit.gates, strict=False)
        if not (gate.name == "RY" and before is not None and before.name == "CNOT" and before.qubits[1] == gate.qubits[0])
    ]
    return len(alone)


def _second_module(qubits: int) -> Circuit:
    """Return blocks of their own depth and PQC 2 of another, which a study's `head.layers` cannot say."""

    def gates() -> Iterator[Gate]:
        first = 0
        for layers in BLOCK_LAYERS:
            yield from (ry(qubit, "inputs", qubit) for qubit in range(qubits))
            yield from pqc(qubits, layers, CONNECTIVITY, first=first)
            first += pqc_angles(qubits, layers, CONNECTIVITY)
        yield from pqc(qubits, LAST_LAYERS, CONNECTIVITY, first=first)

    return Circuit(qubits, tuple(gates()), measured=1)
