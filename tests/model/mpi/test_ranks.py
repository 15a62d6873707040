"""The ranks of a program: their groups, and the end of all when one fails. Real ranks are started in tests/cluster/test_watch.py."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from hadamard.model.errors import EXIT_OUT_OF_MEMORY
from hadamard.model.mpi import ranks
from hadamard.model.mpi.ranks import ALONE, Ranks


@dataclass
class Communicator:
    """As much of a communicator as says who is in it, and how it was ended."""

    size: int
    rank: int
    aborted: list[int] = field(default_factory=list)

    def Abort(self, code: int) -> None:
        self.aborted.append(code)


def program(rank: int, size: int = 8, shards: int = 2) -> Ranks:
    world: Any = Communicator(size, rank)
    group: Any = Communicator(shards, rank % shards)
    return Ranks(world, group, shards, place=rank, on_a_node=size)


@pytest.mark.parametrize(("rank", "group"), [(0, 0), (1, 0), (2, 1), (7, 3)])
def test_neighbours_form_a_group(rank: int, group: int) -> None:
    joined = program(rank)
    assert (joined.count, joined.groups, joined.number, joined.leads) == (8, 4, group, rank == 0)


def test_a_process_alone_is_a_program_of_one_rank() -> None:
    total = np.zeros(2)
    ALONE.world.Reduce(np.array([1.0, 2.0]), total, root=0)
    assert (ALONE.count, ALONE.groups, ALONE.number, ALONE.leads) == (1, 1, 0, True)
    assert ALONE.world.bcast("call") == "call"
    assert total.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(("error", "code"), [(MemoryError(), EXIT_OUT_OF_MEMORY), (ValueError(), 1)])
def test_all_ranks_end_with_the_exit_code_of_the_error(error: Exception, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[int] = []
    reported: list[int] = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(ranks, "report_exit", reported.append)
    joined = program(3)
    joined.end_all(error)
    assert cast("Any", joined.world).aborted == ended == reported == [code]
