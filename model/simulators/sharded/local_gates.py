"""A gate as one rank of several applies it: on its local wires, by that part of its matrix which the rank's own bits select.

Matrices, their slopes, and how they mix the amplitudes of a shard.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch

from hadamard.model.circuits.circuit import Gate
from hadamard.model.circuits.gates import PAULI, terms
from hadamard.model.simulators.sharded.stages import Item, Stage, wires_of


class LocalGate:
    """An item of a stage, as a matrix of d = 1, 2 or 4 on the local ones of its wires."""

    def __init__(self, item: Item, stage: Stage, shards: int, rank: int, like: torch.Tensor) -> None:
        """Select this rank's part of the item's matrix.

        Args:
            item: It mixes no global wire, so that between amplitudes of different ranks its matrix is 0.
            stage: Where its wires lie.
            shards: Ranks that share the state.
            rank: This one; the first wire of the stage's order is its most significant bit.
            like: Of the device and type of the state.
        """
        wires, globals_ = wires_of(item), shards.bit_length() - 1
        places = [stage.order.index(wire) for wire in wires]
        self.axes = [place - globals_ for place in places if place >= globals_]
        self.width = len(stage.order) - globals_
        index = np.arange(2 ** len(wires))
        mine = index >= 0
        for at, place in enumerate(places):
            if place < globals_:
                mine &= (index >> (len(wires) - 1 - at) & 1) == (rank >> (globals_ - 1 - place) & 1)
        here = np.flatnonzero(mine)
        chosen = item_terms(item)[:, here[:, None], here]
        self.terms = torch.from_numpy(chosen if like.is_complex() else chosen.real.copy()).to(like)

    def matrices(self, angle: torch.Tensor | None) -> torch.Tensor:
        """Return the matrices [..., d, d] at angles [...]."""
        fixed, cosine, sine = self.terms.unbind()
        if angle is None:
            return fixed
        half = angle[..., None, None] / 2
        return fixed + torch.cos(half) * cosine + torch.sin(half) * sine

    def slopes(self, angle: torch.Tensor) -> torch.Tensor:
        """Return the matrices' derivatives by the angle."""
        _, cosine, sine = self.terms.unbind()
        half = angle[..., None, None] / 2
        return (torch.cos(half) * sine - torch.sin(half) * cosine) / 2

    def mix(self, state: torch.Tensor, matrices: torch.Tensor) -> None:
        """Apply matrices [trials or 1, rows or 1, d, d], or one [d, d], to states [trials, rows, amplitudes], in place."""
        parts = self._parts(state)
        entries = self._entries(matrices, parts[0])
        before = [part.clone() for part in parts] if len(parts) > 1 else parts
        for i, (part, row) in enumerate(zip(parts, entries, strict=True)):
            part.mul_(row[i])
            for k in range(len(parts)):
                if k != i:
                    part.addcmul_(row[k], before[k])

    def product(self, left: torch.Tensor, matrices: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Return the real part of left^T matrix right, [trials, rows]."""
        lefts, rights = self._parts(left), self._parts(right)
        axes = tuple(range(2, lefts[0].dim()))
        total = torch.zeros(left.shape[:2], dtype=left.dtype, device=left.device)
        for i, k in itertools.product(range(len(lefts)), repeat=2):
            total += matrices[..., i, k] * (lefts[i] * rights[k]).sum(dim=axes)
        return total.real

    def _parts(self, state: torch.Tensor) -> list[torch.Tensor]:
        """Return the views of a state in which the gate's local wires have each of their values."""
        order = sorted(self.axes)
        sizes = [2 ** (after - before - 1) for before, after in itertools.pairwise([-1, *order, self.width])]
        split = [sizes[0], *(size for width in sizes[1:] for size in (2, width))]
        view = state.view(*state.shape[:2], *split)
        parts = []
        for bits in itertools.product((0, 1), repeat=len(self.axes)):
            index: list[int | slice] = [slice(None)] * view.dim()
            for axis, bit in zip(self.axes, bits, strict=True):
                index[3 + 2 * order.index(axis)] = bit
            parts.append(view[tuple(index)])
        return parts

    @staticmethod
    def _entries(matrices: torch.Tensor, part: torch.Tensor) -> Sequence[Sequence[torch.Tensor]]:
        size, rest = matrices.shape[-1], (1,) * (part.dim() - 2)
        shaped = matrices.reshape(*matrices.shape[:-2] or (1, 1), size, size)
        return [[shaped[..., i, k].reshape(*shaped.shape[:2], *rest) for k in range(size)] for i in range(size)]


def item_terms(item: Item) -> np.ndarray:
    """Return A, B and C of an item's matrix A + cos(t/2) B + sin(t/2) C, its first wire the most significant: [3, d, d]."""
    if isinstance(item, Gate):
        return terms(item)
    before = np.eye(2) if item.control is None else terms(Gate("CNOT", (0, 1)))[0]
    turned = [np.kron(np.eye(len(before) // 2), one) @ before for one in (np.zeros((2, 2)), np.eye(2), -1j * PAULI["Y"])]
    return np.stack(turned)
