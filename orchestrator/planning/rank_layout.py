"""How trials are shared out among MPI ranks: what `mpi: {ranks, shards}` comes to for a head and an allocation.

Owns the meaning of `auto`, and which settings cannot go together. Does not own how much memory a rank needs, nor how ranks are launched.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from hadamard.cluster.allocation import Allocation
from hadamard.model.trial import TrialSettings
from hadamard.orchestrator.study.rank_settings import can_share, most_shards, shares_with_all


@dataclass(frozen=True)
class RankLayout:
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


ALONE = RankLayout()
"""One process, as most trials are trained."""


def layout_of(
    settings: TrialSettings, allocation: Allocation, need: Callable[[RankLayout], int], gpus: Callable[[RankLayout], int]
) -> RankLayout:
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


def nodes_for(sharing: RankLayout, allocation: Allocation, need: int, gpus: int = 0) -> float:
    """Return how many nodes like those of the allocation hold the ranks of a trial, each with a core of its own; inf if no number does."""
    on_one = min(allocation.cpus, allocation.memory_bytes // need, *([allocation.gpus // gpus] if gpus else []))
    return math.ceil(sharing.ranks / on_one) if on_one else math.inf


def least_nodes(settings: TrialSettings, allocation: Allocation, need: Callable[[RankLayout], int]) -> tuple[RankLayout, int] | None:
    """Return the way that would fit on the fewest nodes like those of the allocation, if `mpi` were left to `auto`, and their number."""
    free = settings.model_copy(update={"mpi": type(settings.mpi)()})
    found = [(nodes_for(way, allocation, need(way)), way.ranks, way) for way in _ways(free)]
    nodes, _, way = min(found, key=lambda one: one[:2])
    return (way, int(nodes)) if nodes < math.inf else None


def _ways(settings: TrialSettings) -> Iterator[RankLayout]:
    """Yield the ways that the settings leave open, those of few processes and shards first."""
    mpi, head = settings.mpi, settings.head
    if not head.simulated or not can_share(settings.simulator):
        yield ALONE
        return
    powers = [2**power for power in range(most_shards(head).bit_length())]
    if shares_with_all(settings.simulator) and mpi.ranks != "auto":
        yield RankLayout(mpi.ranks, mpi.ranks)
    elif mpi.shards != "auto":
        yield RankLayout(mpi.shards if mpi.ranks == "auto" else mpi.ranks, mpi.shards)
    elif mpi.ranks != "auto":
        yield from (RankLayout(mpi.ranks, shards) for shards in powers if mpi.ranks / settings.training.batch <= shards <= mpi.ranks)
    else:
        yield from (RankLayout(shards, shards) for shards in powers)
