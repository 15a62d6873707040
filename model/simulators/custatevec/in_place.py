"""A plan of blocks for states that are changed where they lie, one contiguous state for each row.

The plan's order of qubits (fused/blocks.py) is followed without moving amplitudes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.simulators.fused.blocks import Block, Shuffle, plan


@dataclass(frozen=True)
class Apply:
    """A block's matrix on some bits of the state's index.

    Attributes:
        number: Which of the blocks, in the order of the plan.
        qubits: How many it acts on.
        offset: Bits of the index before the first of its own, counted from the most significant; past the last, they go on at the front.
        of_rows: Whether every row has its own matrix.
    """

    number: int
    qubits: int
    offset: int
    of_rows: bool

    def targets(self, index_bits: int) -> list[int]:
        """Return its bits as cuStateVec numbers them: the matrix's least significant first, each from the index's least significant, 0."""
        places = [(self.offset + place) % index_bits for place in range(self.qubits)]
        return [index_bits - 1 - place for place in reversed(places)]


@dataclass(frozen=True, eq=False)
class Gather:
    """Amplitudes exchanged and turned: the new amplitude i is phase[i] times the old amplitude source[i]; as in `blocks.Shuffle`."""

    source: np.ndarray
    phase: np.ndarray | None


@dataclass(frozen=True, eq=False)
class InPlace:
    """What to do, in order, with states that have all qubits from the beginning.

    `signs` are those of `blocks.Plan`, for amplitudes as they lie at the end.
    """

    steps: tuple[Apply | Gather, ...]
    signs: np.ndarray


@functools.lru_cache(maxsize=128)
def in_place(circuit: Circuit) -> InPlace:
    """Return the steps of a circuit's plan.

    The plan has a block of weights on the leading bits; one of rows takes the leading bits and leaves them as the trailing ones. Where
    nothing moves, that makes the plan's first bit the state's bit number `offset`, until a shuffle puts everything where it belongs.
    """
    chosen, qubits = plan(circuit, True), circuit.qubits
    steps: list[Apply | Gather] = []
    offset = number = 0
    for step in chosen.steps:
        if isinstance(step, Block):
            steps.append(Apply(number, len(step.qubits), offset, step.of_rows))
            number += 1
            offset = (offset + len(step.qubits)) % qubits if step.of_rows else offset
        elif isinstance(step, Shuffle):
            lies = np.arange(2**qubits).reshape(2**offset, -1).T.ravel()  # for each index of the plan, the state's
            steps.append(Gather(lies[step.source], step.phase))
            offset = 0
    signs = chosen.signs.reshape(-1, 2 ** (qubits - offset), 2**offset).transpose(0, 2, 1).reshape(chosen.signs.shape)
    return InPlace(tuple(steps), signs)
