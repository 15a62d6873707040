"""How trials are shared out among MPI ranks: what `mpi: {ranks, shards}` comes to for a head and an allocation.

Owns the meaning of `auto`, and which settings cannot go together. Does not own how much memory a rank needs, nor how ranks are launched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hadamard.cluster.allocation import Allocation
from hadamard.model.errors import SettingsError
from hadamard.model.heads.layout import circuits
from hadamard.model.settings import QuantumHead, TrialSettings
from hadamard.model.simulators.sharded.stages import LEAST_LOCAL

WITH_RANKS = ("auto", "sharded", "lightning.kokkos", "lightning.gpu")
"""The simulators that can share states out; PennyLane's share every state among all ranks."""


@dataclass(frozen=True)
class Sharing:
    """So many processes train a trial, in groups of `shards` that share each state; the groups share out the rows of a batch."""

    ranks: int = 1
    shards: int = 1

    @property
    def groups(self) -> int:
        """Groups of ranks."""
        return self.ranks // self.shards

    def rows(self, rows: int) -> int:
        """Return how many of so many rows a group has at most."""
        return math.ceil(rows / self.groups)


ALONE = Sharing()
"""One process, as most trials are trained."""


def check_sharing(settings: TrialSettings) -> None:
    """Raise a SettingsError where `mpi` cannot go with the rest of the settings, on whatever machine."""
    mpi, simulator, head, batch = settings.mpi, settings.simulator, settings.head, settings.training.batch
    if not isinstance(head, QuantumHead):
        return
    for name, value in (("ranks", mpi.ranks), ("shards", mpi.shards)):
        if value not in ("auto", 1) and simulator not in WITH_RANKS:
            raise SettingsError(f"mpi.{name} = {value}, but {simulator} runs in one process. Choose from: {', '.join(WITH_RANKS)}")
    most = most_shards(head)
    if mpi.shards != "auto" and mpi.shards > most:
        raise SettingsError(
            f"mpi.shards = {mpi.shards}, but {2**LEAST_LOCAL} amplitudes or more are needed in each; with head.qubits = {head.qubits}, "
            f"{most} shards have that"
        )
    if mpi.ranks == "auto":
        return
    if mpi.shards != "auto" and mpi.ranks % mpi.shards:
        raise SettingsError(f"mpi.ranks = {mpi.ranks} is no multiple of mpi.shards = {mpi.shards}: each group has so many ranks")
    if mpi.shards != "auto" and simulator.startswith("lightning") and mpi.ranks != mpi.shards:
        raise SettingsError(
            f"mpi.shards = {mpi.shards}, but {simulator} shares every state among all ranks, of which there are {mpi.ranks}. "
            "Leave mpi.shards out, or use simulator: sharded"
        )
    if mpi.ranks > batch * (most if mpi.shards == "auto" else mpi.shards):
        raise SettingsError(
            f"mpi.ranks = {mpi.ranks} is more than training.batch = {batch} times the shards of a state, of which there are "
            f"{mpi.shards if mpi.shards != 'auto' else f'at most {most}'}: some would have nothing to do"
        )


def most_shards(head: QuantumHead) -> int:
    """Return into how many shards the states of both of a head's circuits can be cut."""
    return 1 << max(0, min(circuit.qubits for circuit in circuits(head)) - LEAST_LOCAL)


def sharing_of(settings: TrialSettings, allocation: Allocation, need: Callable[[Sharing], int], gpus: Callable[[Sharing], int]) -> Sharing:
    """Return how a trial is shared out: as little as memory allows, one process where that will do.

    Args:
        settings: Of the trial, checked.
        allocation: What there is.
        need: The bytes that each process needs.
        gpus: The GPUs that each process needs.

    Returns:
        The first way that fits; where none does, that with the fewest processes and of these the most shards, for others to refuse.
    """
    ways = tuple(_ways(settings))
    fitting = (way for way in ways if nodes_for(way, allocation, need(way), gpus(way)) <= allocation.rank_nodes)
    return next(fitting, min(ways, key=lambda way: (way.ranks, -way.shards)))


def nodes_for(sharing: Sharing, allocation: Allocation, need: int, gpus: int = 0) -> float:
    """Return how many nodes like those of the allocation hold the ranks of a trial, each with a core of its own; inf if no number does."""
    on_one = min(allocation.cpus, allocation.memory_bytes // need, *([allocation.gpus // gpus] if gpus else []))
    return math.ceil(sharing.ranks / on_one) if on_one else math.inf


def least_nodes(settings: TrialSettings, allocation: Allocation, need: Callable[[Sharing], int]) -> tuple[Sharing, int] | None:
    """Return the way that would fit on the fewest nodes like those of the allocation, if `mpi` were left to `auto`, and their number."""
    free = settings.model_copy(update={"mpi": type(settings.mpi)()})
    found = [(nodes_for(way, allocation, need(way)), way.ranks, way) for way in _ways(free)]
    nodes, _, way = min(found, key=lambda one: one[:2])
    return (way, int(nodes)) if nodes < math.inf else None


def _ways(settings: TrialSettings) -> Iterator[Sharing]:
    """Yield the ways that the settings leave open, those of few processes and shards first."""
    mpi, head = settings.mpi, settings.head
    if not isinstance(head, QuantumHead) or settings.simulator not in WITH_RANKS:
        yield ALONE
        return
    powers = [2**power for power in range(most_shards(head).bit_length())]
    if settings.simulator.startswith("lightning") and mpi.ranks != "auto":
        yield Sharing(mpi.ranks, mpi.ranks)
    elif mpi.shards != "auto":
        yield Sharing(mpi.shards if mpi.ranks == "auto" else mpi.ranks, mpi.shards)
    elif mpi.ranks != "auto":
        yield from (Sharing(mpi.ranks, shards) for shards in powers if mpi.ranks / settings.training.batch <= shards <= mpi.ranks)
    else:
        yield from (Sharing(shards, shards) for shards in powers)
