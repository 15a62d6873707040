"""Which of our own shards one rank holds: those of the compiled kernels, or of torch."""

from __future__ import annotations

from hadamard.model.mpi.ranks import Ranks
from hadamard.model.simulators.hardware import gpu_in_sight, is_importable
from hadamard.model.simulators.sharded.exchange import Exchanger
from hadamard.model.simulators.sharded.part import Parts

KERNELS = "hadamard.model.simulators.compiled.native"


def open_shards(name: str, ranks: Ranks) -> Parts:
    """Return what opens the parts of the sharded simulator on this rank: with torch on a GPU, or where the kernels were not built."""
    exchanger = Exchanger(ranks.group)
    if gpu_in_sight() or not is_importable(KERNELS):
        from hadamard.model.simulators.sharded.torch_shards import torch_parts

        return torch_parts(exchanger, ranks.place)
    from hadamard.model.simulators.sharded.compiled_shards import CompiledParts

    return CompiledParts(exchanger)
