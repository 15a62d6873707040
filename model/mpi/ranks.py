"""The MPI processes that train one pack together: rank 0 leads and does everything but simulate alone, the others follow its calls.

Who they are, in groups that share states, and the check that the launcher started one program and not several. What followers compute is in
model/simulators/sharded/, how the processes are started in cluster/.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn, cast

from hadamard.model.errors import EXIT_OUT_OF_MEMORY, UserError, is_out_of_memory
from hadamard.model.mpi.heartbeat import report_exit

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass(frozen=True, eq=False)
class Ranks:
    """All ranks of a program, `shards` of them to a group; the groups share out the rows of a batch.

    Attributes:
        world: All ranks.
        group: Those that share states with this one, itself included.
        shards: Ranks of a group.
        place: This one's number among the ranks of its node.
        on_a_node: How many there are on the node that has most.
    """

    world: MPI.Comm
    group: MPI.Comm
    shards: int
    place: int
    on_a_node: int

    @property
    def count(self) -> int:
        """How many ranks there are."""
        return int(self.world.size)

    @property
    def groups(self) -> int:
        """How many groups share out a batch."""
        return int(self.world.size) // self.shards

    @property
    def number(self) -> int:
        """The number of this rank's group."""
        return int(self.world.rank) // self.shards

    @property
    def leads(self) -> bool:
        """Whether this is rank 0."""
        return bool(self.world.rank == 0)

    def end_all(self, error: BaseException) -> NoReturn:
        """End all ranks since this one fails: the others would wait for its messages for ever.

        An error of MPI's own is mostly the echo of another rank's end, which the launcher can name: of that, no word is left.
        """
        from mpi4py import MPI

        code = EXIT_OUT_OF_MEMORY if is_out_of_memory(error) else 1
        if not isinstance(error, MPI.Exception):
            report_exit(code)
        self.world.Abort(code)
        os._exit(code)  # the end may take a moment, and nothing more must happen until then


class _Alone:
    """A communicator of one rank, as far as one is used, which takes no MPI."""

    size, rank = 1, 0

    def bcast(self, told: Any) -> Any:
        return told

    def Reduce(self, given: Any, total: Any, root: int) -> None:
        total[...] = given


ALONE = Ranks(cast("MPI.Comm", _Alone()), cast("MPI.Comm", _Alone()), 1, 0, 1)
"""A process that is no part of an MPI program."""


def join(ranks: int, shards: int) -> Ranks:
    """Start MPI and meet the other ranks.

    Raises:
        UserError: mpi4py cannot be loaded, or the launcher started another number of ranks than it was asked for.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise UserError(
            f"MPI cannot be loaded here: {error}. Install it with: pip install 'hadamard[mpi]', or mpi4py for the MPI of this site"
        ) from error
    world = MPI.COMM_WORLD
    if world.size != ranks:
        library = MPI.Get_library_version().split("\n")[0].strip("\0")
        raise UserError(
            f"{ranks} ranks were to be started, and this one of process {os.getpid()} sees {world.size}: the launcher does not speak the "
            f"language of this MPI library ({library}). `hadamard doctor --mpi` tries what there is"
        )
    node = world.Split_type(MPI.COMM_TYPE_SHARED)
    on_a_node = world.allreduce(node.size, MPI.MAX)
    return Ranks(world, world.Split(world.rank // shards, world.rank), shards, node.rank, on_a_node)
