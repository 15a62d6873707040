"""The refusal of packs that an allocation cannot hold, before anything starts: Ray would let them wait for ever, MPI would start half.

What packs need is in `packs.py` and `cost_model.py`, how many ranks memory makes necessary in `rank_layout.py`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence

from hadamard.cluster.allocation import Allocation
from hadamard.cluster.launchers.registry import check_launchers
from hadamard.cluster.mpi import known_library
from hadamard.model.errors import UserError
from hadamard.model.trial import Trial
from hadamard.orchestrator.formats import count
from hadamard.orchestrator.planning.packs import Pack, rank_memory_bytes
from hadamard.orchestrator.planning.rank_layout import ALONE, fewest_nodes, nodes_for
from hadamard.orchestrator.study.file import Location, Problem, StudyError
from hadamard.orchestrator.study.rank_settings import can_share


def missing_for_mpi(library: Callable[[], object] = known_library) -> str | None:
    """Return what ranks need and is not here, or None; any launcher is enough, since jobs may use another than this machine.

    Args:
        library: Raises a UserError if there is no MPI library for mpi4py.
    """
    try:
        library()
        check_launchers()
    except UserError as error:
        return str(error)
    return None


def check_feasible(
    packs: Sequence[Pack], allocation: Allocation, memory_known: bool = True, missing_for_mpi: Callable[[], str | None] = missing_for_mpi
) -> None:
    """Refuse packs that need more cores, GPUs or memory than there are, or MPI where there is none.

    Args:
        packs: Of a study.
        allocation: Where they are to run.
        memory_known: Whether its memory is what the packs will really have.
        missing_for_mpi: Returns what ranks need and is not here; called once at most, since it starts a Python.

    Raises:
        StudyError: The arms that cannot run, with what they need.
    """
    problems = list(dict.fromkeys(_problems(packs, allocation, memory_known, functools.cache(missing_for_mpi))))
    if problems:
        raise StudyError(problems)


def _problems(
    packs: Sequence[Pack], allocation: Allocation, memory_known: bool, missing_for_mpi: Callable[[], str | None]
) -> Iterator[Problem]:
    arms = {trial.arm: (pack, trial) for pack in packs for trial in pack.trials}
    for arm, (pack, trial) in sorted(arms.items()):
        ranks, location = f"{arm}: {count(pack.ranks, 'rank')}", setting(trial, "mpi.ranks")
        if pack.ranks > 1 and (missing := missing_for_mpi()):
            yield Problem(f"{ranks} need MPI: {missing}", location)
        elif allocation.apart and pack.ranks > 1 and nodes_for(pack.layout, allocation, pack.memory_bytes, pack.gpus) > 1:
            yield Problem(
                f"{ranks} have to be on one node here: those on several are a step of a Slurm job, and need a Ray that slurm/sweep.sbatch "
                f"has started. Each needs a core{', a GPU' if pack.gpus else ''} and {pack.memory_bytes / 2**30:.1f} GiB; there are "
                f"{allocation.description}",
                location,
            )
        elif pack.ranks > allocation.total_cpus:
            yield Problem(f"{ranks} need a core each, there are {allocation.total_cpus}: {allocation.description}", location)
        elif pack.gpus and pack.ranks > allocation.total_gpus:
            yield Problem(f"{ranks} need a GPU each, there are {allocation.total_gpus}: {allocation.description}", location)
        elif memory_known and nodes_for(pack.layout, allocation, pack.memory_bytes, pack.gpus) > allocation.nodes:
            yield Problem(f"{arm} needs about {_memory(pack, allocation)}. {_advice(trial, allocation)}", ("factors",))


def setting(trial: Trial, path: str) -> Location:
    """Return where a study sets a setting of a trial: as a factor, or by itself."""
    return ("factors", path) if path in trial.factors else tuple(path.split("."))


def _memory(pack: Pack, allocation: Allocation) -> str:
    each = f"{pack.memory_bytes / 2**30:.1f} GiB of memory"
    has = f"{allocation.source} has {allocation.memory_bytes / 2**30:.1f}"
    if pack.ranks == 1:
        return f"{each}, {has}"
    return f"{each} for each of {pack.ranks} ranks, {has}{f' on each of {allocation.nodes} nodes' if allocation.nodes > 1 else ''}"


def _advice(trial: Trial, allocation: Allocation) -> str:
    """Return what would fit; ranks are named where more nodes like these would, or other settings of `mpi`."""
    advice = "Use fewer qubits or a smaller training.batch, or a machine with more memory"
    settings = trial.settings
    if not can_share(settings.simulator):
        settings = settings.model_copy(update={"simulator": "auto"})
    shared = trial.model_copy(update={"settings": settings})
    fitting = fewest_nodes(settings, allocation, lambda layout: rank_memory_bytes(shared, layout))
    if fitting is None or fitting[0] == ALONE:
        return advice
    layout, nodes = fitting
    each = rank_memory_bytes(shared, layout) / 2**30
    such = count(nodes, "such node") if nodes > 1 else "it"
    how = f"simulator: {settings.simulator}, mpi.ranks: auto"
    return f"{advice}; {layout.ranks} MPI ranks with {each:.1f} GiB each would fit {such} ({how})"
