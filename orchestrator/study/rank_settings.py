"""The settings of MPI ranks that a head and a simulator allow on any machine. See also `planning/rank_layout.py`."""

from __future__ import annotations

from hadamard.model.errors import SettingsError
from hadamard.model.heads.base import HeadSettings
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.model.simulators.sharded.stages import LEAST_LOCAL
from hadamard.model.trial import TrialSettings


def check_ranks(settings: TrialSettings) -> None:
    """Raise a SettingsError where `mpi` does not go with the other settings on any machine."""
    mpi, simulator, head, batch = settings.mpi, settings.simulator, settings.head, settings.training.batch
    if not head.simulated:
        return
    for name, value in (("ranks", mpi.ranks), ("shards", mpi.shards)):
        if value not in ("auto", 1) and not can_share(simulator):
            choices = ", ".join(("auto", *(name for name in SIMULATORS if can_share(name))))
            raise SettingsError(f"mpi.{name} = {value}, but {simulator} runs in one process. Choose from: {choices}")
    most = most_shards(head)
    if mpi.shards != "auto" and mpi.shards > most:
        raise SettingsError(
            f"mpi.shards = {mpi.shards}, but {2**LEAST_LOCAL} amplitudes or more are needed in each; with circuits of {_qubits(head)} "
            f"qubits, {most} shards have that"
        )
    if mpi.ranks == "auto":
        return
    if mpi.shards != "auto" and mpi.ranks % mpi.shards:
        raise SettingsError(f"mpi.ranks = {mpi.ranks} is no multiple of mpi.shards = {mpi.shards}, the ranks of each group")
    if mpi.shards != "auto" and shares_with_all(simulator) and mpi.ranks != mpi.shards:
        raise SettingsError(
            f"mpi.shards = {mpi.shards}, but {simulator} shares every state among all ranks, of which there are {mpi.ranks}. "
            "Leave mpi.shards out, or use simulator: sharded"
        )
    if mpi.ranks > batch * (most if mpi.shards == "auto" else mpi.shards):
        raise SettingsError(
            f"mpi.ranks = {mpi.ranks} is more than training.batch = {batch} times the shards of a state, of which there are "
            f"{mpi.shards if mpi.shards != 'auto' else f'at most {most}'}: some would have nothing to do"
        )


def most_shards(head: HeadSettings) -> int:
    """Return into how many shards the states of all of a head's circuits can be cut."""
    return 1 << max(0, _qubits(head) - LEAST_LOCAL)


def can_share(simulator: str) -> bool:
    """Whether several ranks can share the states of a simulator, by a study's name for it."""
    return simulator == "auto" or SIMULATORS[simulator].ranks != "no"


def shares_with_all(simulator: str) -> bool:
    """Whether a simulator shares every state among all ranks, so that there is one group and rows are not divided."""
    return simulator != "auto" and SIMULATORS[simulator].ranks == "all"


def _qubits(head: HeadSettings) -> int:
    """Return the qubits of a head's smallest circuit."""
    return min((use.circuit.qubits for use in head.circuits()), default=0)
