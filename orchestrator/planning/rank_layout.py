"""The layout of MPI ranks: how many train a trial and share its states, from `mpi: {ranks, shards}`, memory and nodes.

Which settings can go together on any machine is in `study/rank_settings.py`; how ranks are launched is in `cluster/mpi.py`.
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
    """Ranks of a trial, in groups of `shards` that share each state; the groups divide the rows of a batch among them."""

    ranks: int = 1
    shards: int = 1

    @property
    def groups(self) -> int:
        """Number of groups."""
        return self.ranks // self.shards

    def rows(self, rows: int) -> int:
        """Return how many rows of a batch the group with most of them has."""
        return math.ceil(rows / self.groups)


ALONE = RankLayout()
"""One process, as most trials are trained."""


def layout_of(
    settings: TrialSettings, allocation: Allocation, memory_bytes: Callable[[RankLayout], int], gpus: Callable[[RankLayout], int]
) -> RankLayout:
    """Return the layout of a trial with the fewest ranks and shards that memory allows.

    Args:
        settings: Of the trial, checked.
        allocation: What there is.
        memory_bytes: What each rank needs.
        gpus: The GPUs that each rank needs.

    Returns:
        The first layout that fits; where none does, the one with the fewest ranks and of these the most shards, for
        `feasibility.check_feasible` to refuse.
    """
    layouts = tuple(_layouts(settings))
    fitting = (layout for layout in layouts if nodes_for(layout, allocation, memory_bytes(layout), gpus(layout)) <= allocation.rank_nodes)
    return next(fitting, min(layouts, key=lambda layout: (layout.ranks, -layout.shards)))


def nodes_for(layout: RankLayout, allocation: Allocation, memory_bytes: int, gpus: int = 0) -> float:
    """Return how many nodes like those of the allocation hold the ranks of a trial, each with a core of its own; inf if no number does.

    Args:
        layout: The ranks.
        allocation: Whose nodes.
        memory_bytes: What each rank needs.
        gpus: The GPUs that each rank needs.
    """
    on_one = min(allocation.cpus, allocation.memory_bytes // memory_bytes, *([allocation.gpus // gpus] if gpus else []))
    return math.ceil(layout.ranks / on_one) if on_one else math.inf


def fewest_nodes(
    settings: TrialSettings, allocation: Allocation, memory_bytes: Callable[[RankLayout], int]
) -> tuple[RankLayout, int] | None:
    """Return the layout that fits the fewest nodes like those of the allocation if `mpi` is left to `auto`, and their number.

    Args:
        settings: Of the trial.
        allocation: Whose nodes.
        memory_bytes: What each rank needs.

    Returns:
        None if no number of nodes holds any layout.
    """
    free = settings.model_copy(update={"mpi": type(settings.mpi)()})
    options = [(nodes_for(layout, allocation, memory_bytes(layout)), layout.ranks, layout) for layout in _layouts(free)]
    nodes, _, layout = min(options, key=lambda option: option[:2])
    return (layout, int(nodes)) if nodes < math.inf else None


def _layouts(settings: TrialSettings) -> Iterator[RankLayout]:
    """Yield the layouts that the settings leave open, those of few ranks and shards first."""
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
