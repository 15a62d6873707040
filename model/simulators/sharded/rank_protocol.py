"""Simulation on all ranks of a program: rank 0 calls as any simulator is called, the others follow its calls.

What followers are told, which rows each group takes, and the sum over all ranks; how ranks join is in model/mpi/ranks.py.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from hadamard.model.mpi.ranks import Ranks
from hadamard.model.simulators.registry import open_parts
from hadamard.model.simulators.sharded.part import Backward, Forward, Part, Parts

MOST_ROWS_AT_ONCE = 16
AT_ONCE_BYTES = 2**28
"""Of shards, where no gradient is asked for: memory grows neither with the number of rows nor beyond what a step takes."""


@dataclass(frozen=True)
class _Kept:
    rows: slice
    part: Part


class RankSimulator:
    """One rank's side of the calls; rank 0 plays its own, too."""

    def __init__(self, ranks: Ranks, parts: Parts) -> None:
        self.ranks, self.parts = ranks, parts
        self._kept: dict[int, _Kept] = {}

    def forward(self, call: Forward) -> list[np.ndarray]:
        """Do this rank's part of a call; on rank 0, return [the values]."""
        for number in call.forgotten:
            if kept := self._kept.pop(number, None):
                kept.part.release()
        values = np.zeros((len(call.weights), call.rows, call.circuit.measured), call.weights.dtype)
        mine = self._rows(call.rows)
        shard = call.weights.itemsize * (1 if call.circuit.real else 2) * 2**call.circuit.qubits // self.ranks.shards
        at_once = max(1, mine.stop - mine.start) if call.keep else rows_at_once(len(call.weights), shard)
        for first in range(mine.start, mine.stop, at_once):
            rows = slice(first, min(first + at_once, mine.stop))
            inputs, states = (None if array is None else array[:, rows] for array in (call.inputs, call.states))
            part = self.parts(call.circuit, call.weights, inputs, rows.stop - rows.start)
            values[:, rows] = part.forward(states, call.keep)
            if call.keep:
                self._kept[call.number] = _Kept(rows, part)
        return self._sum([values])

    def backward(self, call: Backward) -> list[np.ndarray]:
        """Do this rank's part of a gradient; on rank 0, return those by weights, inputs and initial amplitudes."""
        trials, rows, _ = call.cotangent.shape
        shapes = [(trials, call.weights), (trials, rows, call.inputs), (trials, rows, call.amplitudes)]
        gradients = [np.zeros(shape, call.cotangent.dtype) for shape in shapes]
        if kept := self._kept.pop(call.number, None):  # none, where a group has no row
            of_weights, *of_rows = kept.part.backward(call.cotangent[:, kept.rows], call.amplitudes)
            gradients[0] += of_weights
            for gradient, own in zip(gradients[1:], of_rows, strict=True):
                if own is not None:
                    gradient[:, kept.rows] = own
        return self._sum(gradients)

    def _rows(self, rows: int) -> slice:
        """Return the rows of this rank's group."""
        number, groups = self.ranks.number, self.ranks.groups
        return slice(rows * number // groups, rows * (number + 1) // groups)

    def _sum(self, arrays: list[np.ndarray]) -> list[np.ndarray]:
        """Add up arrays over all ranks, in one message; only rank 0 has the sums."""
        flat = np.concatenate([array.ravel() for array in arrays])
        total = np.empty_like(flat) if self.ranks.leads else None
        self.ranks.world.Reduce(flat, total, root=0)
        if total is None:
            return []
        ends = np.cumsum([array.size for array in arrays])
        return [part.reshape(array.shape) for part, array in zip(np.split(total, ends[:-1]), arrays, strict=True)]


def rows_at_once(trials: int, shard_bytes: int) -> int:
    """Return how many rows of each trial a group takes at once where no gradient is wanted, by the bytes of a shard."""
    return max(1, min(MOST_ROWS_AT_ONCE, AT_ONCE_BYTES // (trials * shard_bytes)))


@contextmanager
def all_or_none(ranks: Ranks) -> Iterator[None]:
    """End all ranks if this one of several fails: the others would wait for its messages for ever."""
    try:
        yield
    except Exception as error:
        if ranks.world.size == 1:
            raise
        traceback.print_exc()
        sys.stderr.flush()
        ranks.end_all(error)


def follow(ranks: Ranks) -> None:
    """Take part in the calls of rank 0 until it dismisses the others."""
    players: dict[str, RankSimulator] = {}
    with all_or_none(ranks):
        while (told := ranks.world.bcast(None)) is not None:
            simulator, call = told
            if simulator not in players:
                players[simulator] = RankSimulator(ranks, open_parts(simulator, ranks))
            play(players[simulator], call)


def dismiss(ranks: Ranks) -> None:
    """Let the followers go: rank 0's last word."""
    ranks.world.bcast(None)


def play(player: RankSimulator, call: Forward | Backward) -> list[np.ndarray]:
    """Do one rank's part of a call."""
    return player.forward(call) if isinstance(call, Forward) else player.backward(call)
