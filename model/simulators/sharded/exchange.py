"""The all-to-all between two stages: ranks of a group exchange parts of their shards, in place, and count the bytes.

The messages and their buffers; which wires change places is decided in stages.py.

An exchange of j global with j local wires is 2**j - 1 rounds, in each of which a rank swaps one part of its shard with one partner: the
bytes of an all-to-all, with buffers of a piece instead of a second shard.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from hadamard.model.simulators.sharded.stages import Exchange

if TYPE_CHECKING:
    from mpi4py import MPI


class Exchanger:
    """A rank's messages to the others of its group.

    Attributes:
        sent_bytes: What this process has sent so far, by all its exchangers.
        piece_bytes: Most of a message: what is packed stays in a core's cache until it is sent (docs/performance.md).
    """

    sent_bytes = 0
    piece_bytes = 2**19

    def __init__(self, group: MPI.Comm) -> None:
        self.group = group
        self.wires = group.size.bit_length() - 1
        self._memory = np.empty((2, 0), np.uint8)

    def swap(self, shards: Sequence[np.ndarray], exchange: Exchange) -> None:
        """Have wires change places, in all of these shards alike.

        Args:
            shards: Each [items, amplitudes, rows], contiguous; those of state and cotangent travel together.
            exchange: Global places count from 0, the first wire's; local ones go on from there.
        """
        for partner, parts in rounds(shards, exchange, self.wires, self.group.rank):
            for piece in pieces(parts[0].shape, parts[0].itemsize * len(parts), self.piece_bytes):
                self._swap_piece([part[piece] for part in parts], partner)

    def _swap_piece(self, parts: Sequence[np.ndarray], partner: int) -> None:
        size = sum(part.nbytes for part in parts)
        outgoing, incoming = self._buffers(size, parts)
        if len(parts) == 1 and parts[0].flags.c_contiguous:
            outgoing = parts[0]
        else:
            for packed, part in zip(outgoing, parts, strict=True):
                packed[...] = part
        self.group.Sendrecv(outgoing, partner, recvbuf=incoming, source=partner)
        for part, came in zip(parts, incoming, strict=True):
            part[...] = came
        Exchanger.sent_bytes += size

    def _buffers(self, size: int, parts: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return where to pack and where to receive; kept, since fresh memory would cost a page fault for every 4 KiB."""
        if self._memory.shape[1] < size:
            self._memory = np.empty((2, size), np.uint8)
        outgoing, incoming = (buffer[:size].view(parts[0].dtype).reshape(-1, *parts[0].shape) for buffer in self._memory)
        return outgoing, incoming


def rounds(shards: Sequence[Any], exchange: Exchange, wires: int, rank: int) -> Iterator[tuple[int, list[Any]]]:
    """Yield each partner of a rank, and the parts of its shards that it swaps with it.

    The part for a partner is that of the amplitudes whose exchanged local bits are the partner's exchanged global bits.

    Args:
        shards: Each [items, amplitudes, rows], an array or a tensor.
        exchange: Which places change.
        wires: How many are global.
        rank: This rank in its group; the first wire is its most significant bit.
    """
    local_bits = shards[0].shape[1].bit_length() - 1
    masks = [1 << (wires - 1 - one) for one, _ in exchange.places]
    axes = [other - wires for _, other in exchange.places]
    order = sorted(axes)
    sizes = [2 ** (after - before - 1) for before, after in zip([-1, *order], [*order, local_bits], strict=True)]
    split = [sizes[0], *(size for width in sizes[1:] for size in (2, width))]
    for turned in range(1, 2 ** len(axes)):
        partner = rank
        for number, mask in enumerate(masks):
            if turned >> number & 1:
                partner ^= mask
        index: list[Any] = [slice(None)] * (len(split) + 2)
        for axis, mask in zip(axes, masks, strict=True):
            index[2 + 2 * order.index(axis)] = int(bool(partner & mask))
        yield partner, [shard.reshape(len(shard), *split, shard.shape[2])[tuple(index)] for shard in shards]


def pieces(shape: Sequence[int], item_bytes: int, most: int) -> Iterator[tuple[slice, ...]]:
    """Yield the slices that cut an array into pieces of at most this many bytes, as far as its last axis allows."""
    whole = tuple(slice(0, size) for size in shape)
    axis = next((axis for axis, size in enumerate(shape) if size > 1), None)
    if axis is None or item_bytes * math.prod(shape) <= most:
        yield whole
        return
    each = item_bytes * math.prod(shape[axis + 1 :])
    step = max(1, most // each)
    inner = [whole[axis + 1 :]] if each <= most else list(pieces(shape[axis + 1 :], item_bytes, most))
    for start in range(0, shape[axis], step):
        for rest in inner:
            yield (*whole[:axis], slice(start, min(start + step, shape[axis])), *rest)
