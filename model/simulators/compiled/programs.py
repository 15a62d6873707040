"""Programs for the compiled kernels: rotations with their bits, grouped into passes, and how rows and amplitudes share a vector.

The way from wires to bits, without torch; the grouping is in passes.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hadamard.model.simulators.compiled import native
from hadamard.model.simulators.compiled.lowering import Rotation, Term
from hadamard.model.simulators.compiled.passes import group

BLOCK_COST = 60
"""What a block of rows costs besides its vectors, in vectors."""
CACHED_BITS = 16
"""2**16 vectors of a state and as many of its cotangent (64 bytes each) just stay in a core's share of most processors' caches."""
SPILLED_COST = 0.2
"""What a vector costs more with each doubling beyond (measured: 18 to 22 qubits, 16 rows, docs/performance.md)."""


def kernel_program(
    rotations: Sequence[Rotation],
    bits: Mapping[int, int],
    qubits: int,
    lane_bits: int,
    measured: Sequence[tuple[int, int]],
    weights: int,
    inputs: int,
) -> native.Program:
    """Return the kernels' form of rotations.

    Args:
        rotations: In order.
        bits: Each wire's bit in the index of an amplitude; from `qubits` on they number the ranks that share a state.
        qubits: Of a state, or of a rank's shard of it.
        lane_bits: How many of the lowest bits lie inside a vector.
        measured: Wires and signs of the values.
        weights: Columns of weights.
        inputs: Columns of inputs.
    """

    def step(rotation: Rotation) -> tuple[Any, ...]:
        control = -1 if rotation.control is None else bits[rotation.control]
        return control, bits[rotation.target], rotation.offset, _terms(rotation.terms, "weights"), _terms(rotation.terms, "inputs")

    lane_wires = frozenset(wire for wire, bit in bits.items() if bit < lane_bits)
    far = frozenset(wire for wire, bit in bits.items() if 2 ** max(0, bit - lane_bits) >= native.cached_vectors)
    return native.Program(
        qubits,
        lane_bits,
        [step(rotation) for rotation in rotations],
        [(one.on_lanes, list(one.rotations)) for one in group(rotations, lane_wires, far)],
        [bits[wire] for wire, _ in measured],
        [sign for _, sign in measured],
        weights,
        inputs,
    )


def lane_bits_for(qubits: int, number_bytes: int, rows: int) -> int:
    """Return how many of an amplitude's bits lie inside a vector; the rest of the vector's lanes hold rows of the batch.

    None, as long as rows fill the lanes and state and cotangent of this many rows stay in the cache: gates on bits inside a vector
    cost shuffles, and every block of rows has a price of its own (docs/performance.md).
    """
    lanes = native.vector_bytes // number_bytes
    most = min(lanes.bit_length() - 1, max(qubits - 2, 0))

    def cost(bits: int) -> float:
        spilled = 1 + SPILLED_COST * max(0, qubits - bits - CACHED_BITS)
        return -(-rows // (lanes >> bits)) * (BLOCK_COST + (1 << (qubits - bits)) * (1 + 0.05 * bits) * spilled)

    return min(range(most + 1), key=cost)


def _terms(terms: tuple[Term, ...], of: str) -> list[tuple[int, float]]:
    return [(term.column, term.scale) for term in terms if term.of == of]
