"""What an allocation cannot hold is refused before anything starts: Ray would let it wait for ever, and MPI would start half of it.

Owns the refusals, in words that say what would do. Does not own what packs need, nor how ranks follow from memory.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Iterator, Sequence

from hadamard.cluster.allocation import Allocation
from hadamard.cluster.mpi import known_library, mpiexec
from hadamard.model.errors import UserError
from hadamard.model.trial import Trial
from hadamard.orchestrator.formats import count
from hadamard.orchestrator.planning.packs import Pack, rank_memory_bytes
from hadamard.orchestrator.planning.rank_layout import ALONE, least_nodes, nodes_for
from hadamard.orchestrator.study.file import Location, Problem, StudyError
from hadamard.orchestrator.study.rank_settings import can_share


def check_fit(packs: Sequence[Pack], allocation: Allocation, memory_known: bool = True) -> None:
    """Refuse packs that need more cores, GPUs or memory than there are, or MPI where there is none.

    Args:
        packs: Of a study.
        allocation: Where they are to run.
        memory_known: Whether its memory is what the packs will really have.

    Raises:
        StudyError: The arms that cannot fit, with what they need.
    """
    problems = list(dict.fromkeys(_problems(packs, allocation, memory_known)))
    if problems:
        raise StudyError(problems)


def _problems(packs: Sequence[Pack], allocation: Allocation, memory_known: bool) -> Iterator[Problem]:
    arms = {trial.arm: (one, trial) for one in packs for trial in one.trials}
    missing_for_mpi = functools.cache(_missing_for_mpi)  # looking takes a Python of its own
    for arm, (pack, trial) in sorted(arms.items()):
        ranks, named = f"{arm}: {count(pack.ranks, 'rank')}", setting(trial, "mpi.ranks")
        if pack.ranks > 1 and (missing := missing_for_mpi()):
            yield Problem(f"{ranks} need MPI: {missing}", named)
        elif allocation.apart and pack.ranks > 1 and nodes_for(pack.layout, allocation, pack.memory_bytes, pack.gpus) > 1:
            yield Problem(
                f"{ranks} have to be on one node here: steps of Slurm over several take `srun`, and a Ray that slurm/sweep.sbatch has "
                f"started. Each needs a core{', a GPU' if pack.gpus else ''} and {pack.memory_bytes / 2**30:.1f} GiB; there are "
                f"{allocation.description}",
                named,
            )
        elif pack.ranks > allocation.total_cpus:
            yield Problem(f"{ranks} need a core each, there are {allocation.total_cpus}: {allocation.description}", named)
        elif pack.gpus and pack.ranks > allocation.total_gpus:
            yield Problem(f"{ranks} need a GPU each, there are {allocation.total_gpus}: {allocation.description}", named)
        elif memory_known and nodes_for(pack.layout, allocation, pack.memory_bytes, pack.gpus) > allocation.nodes:
            yield Problem(f"{arm} needs about {_memory(pack, allocation)}. {_remedy(trial, allocation)}", ("factors",))


def setting(trial: Trial, path: str) -> Location:
    """Return where a study says what a setting of a trial is: as a factor, or by itself."""
    return ("factors", path) if path in trial.factors else tuple(path.split("."))


def _memory(pack: Pack, allocation: Allocation) -> str:
    each = f"{pack.memory_bytes / 2**30:.1f} GiB of memory"
    has = f"{allocation.source} has {allocation.memory_bytes / 2**30:.1f}"
    if pack.ranks == 1:
        return f"{each}, {has}"
    return f"{each} for each of {pack.ranks} ranks, {has}{f' on each of {allocation.nodes} nodes' if allocation.nodes > 1 else ''}"


def _remedy(trial: Trial, allocation: Allocation) -> str:
    """Return what would do; ranks are named where more nodes like these would, or other settings of `mpi`."""
    fix = "Use fewer qubits or a smaller training.batch, or a machine with more memory"
    settings = trial.settings
    if not can_share(settings.simulator):
        settings = settings.model_copy(update={"simulator": "auto"})
    found = least_nodes(settings, allocation, lambda sharing: rank_memory_bytes(trial.model_copy(update={"settings": settings}), sharing))
    if found is None or found[0] == ALONE:
        return fix
    sharing, nodes = found
    each = rank_memory_bytes(trial.model_copy(update={"settings": settings}), sharing) / 2**30
    such = count(nodes, "such node") if nodes > 1 else "it"
    how = f"simulator: {settings.simulator}, mpi.ranks: auto"
    return f"{fix}; {sharing.ranks} MPI ranks with {each:.1f} GiB each would fit {such} ({how})"


def _missing_for_mpi() -> str | None:
    """Return what is not here of all that ranks need, or None; srun is enough where this is Slurm, whose jobs use it."""
    try:
        known_library()
        if shutil.which("srun") is None:
            mpiexec()
    except UserError as error:
        return str(error)
    return None
