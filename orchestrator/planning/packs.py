"""Packs: which trials one process trains, or the ranks of one program, and what that is expected to take.

Owns the grouping of trials by shape, work and memory. Does not own rates, the refusal of what cannot fit, nor how a pack is launched.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hadamard.cluster.allocation import Allocation
from hadamard.model.representation.embeddings import tuned_file
from hadamard.model.simulators.hardware import runs_on_gpu
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.model.trial import Trial
from hadamard.orchestrator.planning.cost_model import PROCESS_BYTES, part_of, simulator_of, trial_bytes, tuning_bytes, work_seconds
from hadamard.orchestrator.planning.machine_rates import DEFAULTS, PACK_START, Rates
from hadamard.orchestrator.planning.rank_layout import ALONE, RankLayout, layout_of
from hadamard.orchestrator.study.inputs import inputs_of

PACKS_PER_PLACE = 4
"""Trials of one shape are split into so many parts per core, or per GPU, at least, so that the load can be balanced."""
STARTS_WORTH = 4
"""A pack should work so many times longer than it takes to start, as long as every core has one."""
CPUS_PER_PACK = 1


@dataclass(frozen=True)
class Pack:
    """Trials that one process trains, or the ranks of one MPI program: those of one shape together, one shape after the other."""

    id: str
    trials: tuple[Trial, ...]
    memory_bytes: int
    """Of each rank."""
    gpus: int
    """Of each rank: 1 where a simulator of its trials runs on a GPU, else 0: such a pack sees none."""
    seconds: float | None
    """Expected duration; None where no rate was measured for the simulator."""
    sharing: RankLayout = ALONE
    parts: Mapping[str, float] = field(default_factory=dict)
    """The expected seconds by part, as `planning.machine_rates` names them: its start, the work for each simulator; empty if not known."""

    @property
    def ranks(self) -> int:
        """The processes that train it together; 1 for most packs."""
        return self.sharing.ranks

    @property
    def shards(self) -> int:
        """How many of the ranks share each state."""
        return self.sharing.shards

    @property
    def all_gpus(self) -> bool:
        """Whether each rank is to see the GPUs of all ranks on its node, of which some simulators pick one by themselves."""
        kinds = (SIMULATORS.get(trial.settings.simulator) for trial in self.trials)
        return any(kind is not None and kind.picks_gpu for kind in kinds)


@dataclass(frozen=True)
class _Team:
    """Trials alike in shape, trained together."""

    trials: tuple[Trial, ...]
    shape: str
    part: str
    work_s: float | None
    state_bytes: int


class _Kind(NamedTuple):
    """What trials have in common that share a process: the GPUs of each rank, and the ranks."""

    gpus: int
    sharing: RankLayout

    def places(self, allocation: Allocation) -> int:
        """Return how many packs of the kind can run at once."""
        return max(1, (allocation.total_gpus if self.gpus else allocation.total_cpus) // self.sharing.ranks)


def pack_up(trials: Sequence[Trial], allocation: Allocation, rates: Rates = DEFAULTS) -> tuple[Pack, ...]:
    """Group trials into packs, in the order in which their first trials come.

    A pack is no larger than balances the load, nor than fits the part of the memory that each core has; one trial alone may need more than
    that, and then fewer packs run at once. Little work of several shapes shares a process, whose start costs more than training a small
    trial; so do all shapes that need the same sentence encoder tuned.

    Args:
        trials: Of a study.
        allocation: Where they are to run.
        rates: Of that machine; other rates may give other packs, which decides no result.
    """
    order = {trial.key: position for position, trial in enumerate(trials)}
    for_states = allocation.memory_bytes * CPUS_PER_PACK // allocation.cpus - PROCESS_BYTES
    packs = []
    for kind, groups in _by_kind(trials, allocation).items():
        places = kind.places(allocation)
        by_tuning, others = _to_be_tuned(_teams(groups, places, for_states, kind.sharing, rates), places)
        packs += [_pack(teams, kind, order, rates) for teams in [*by_tuning, *_share(others, places, for_states, rates)]]
    return tuple(sorted(packs, key=lambda pack: order[pack.trials[0].key]))


def starting_order(packs: Sequence[Pack]) -> list[Pack]:
    """Return packs in the order in which they are to be started: those of many ranks first, while all nodes are free.

    Ray gives cores to whoever fits: one that needs several would wait for the last of those that need one.
    """
    return sorted(packs, key=lambda pack: -pack.ranks)


def start_seconds(rates: Rates) -> float:
    """Return what every pack takes beside its work."""
    return rates.corrected(PACK_START, rates.pack_start_s)


def need(trial: Trial, sharing: RankLayout) -> int:
    """Return the memory that each rank needs for a trial by itself."""
    return PROCESS_BYTES + _tuning_bytes(trial) + _trial_bytes(trial, sharing)


def _by_kind(trials: Sequence[Trial], allocation: Allocation) -> dict[_Kind, list[list[Trial]]]:
    """Return the trials of each shape, by the kind of pack that they need."""
    shapes: dict[str, list[Trial]] = {}
    for trial in trials:
        shapes.setdefault(trial.shape, []).append(trial)
    by_kind: dict[_Kind, list[list[Trial]]] = {}
    for group in shapes.values():
        by_kind.setdefault(_kind(group[0], allocation), []).append(group)
    return by_kind


def _kind(trial: Trial, allocation: Allocation) -> _Kind:
    def gpus(sharing: RankLayout) -> int:
        simulator = simulator_of(trial.settings, sharing)
        return int(bool(allocation.gpus) and simulator is not None and runs_on_gpu(simulator))

    sharing = layout_of(trial.settings, allocation, lambda one: need(trial, one), gpus)
    return _Kind(gpus(sharing), sharing)


def _teams(groups: Sequence[list[Trial]], places: int, for_states: int, sharing: RankLayout, rates: Rates) -> list[_Team]:
    """Split the trials of each shape into parts that balance the load and fit the memory; so many places train at once."""
    balanced = max(1, math.ceil(sum(map(len, groups)) / (PACKS_PER_PLACE * places)))
    teams = []
    for group in groups:
        most = max(1, min(balanced, for_states // max(1, _trial_bytes(group[0], sharing))))
        teams += [_team(group[start : start + most], sharing, rates) for start in range(0, len(group), most)]
    return teams


def _to_be_tuned(teams: Sequence[_Team], places: int) -> tuple[list[list[_Team]], list[_Team]]:
    """Put teams together that need the same sentence encoder tuned, so that no process waits for another's; return them, and the rest.

    Where fewer encoders are to be tuned than there are places, rather wait for one than leave cores without work: all are the rest.
    """
    by_file: dict[Path, list[_Team]] = {}
    others = []
    for team in teams:
        trial = team.trials[0]
        if trial.settings.sentence_encoder.representation == "setfit" and not tuned_file(trial).exists():
            by_file.setdefault(tuned_file(trial), []).append(team)
        else:
            others.append(team)
    return (list(by_file.values()), others) if len(by_file) >= places else ([], list(teams))


def _share(teams: Sequence[_Team], places: int, for_states: int, rates: Rates) -> list[list[_Team]]:
    """Deal teams out to processes, those with most work first, each to the process with least; as they are where the work is not known."""
    work_s = _work_s(teams)
    if work_s is None:
        return [[team] for team in teams]
    enough = max(places, math.ceil(work_s / (STARTS_WORTH * start_seconds(rates))))
    processes: list[list[_Team]] = [[] for _ in range(min(len(teams), enough))]
    for team in sorted(teams, key=lambda team: -(team.work_s or 0.0)):
        fitting = [one for one in processes if not one or _state_bytes([*one, team]) <= for_states]
        if not fitting:
            fitting = [[]]
            processes += fitting
        min(fitting, key=lambda one: _work_s(one) or 0.0).append(team)
    return processes


def _work_s(teams: Sequence[_Team]) -> float | None:
    known = [team.work_s for team in teams if team.work_s is not None]
    return sum(known) if len(known) == len(teams) else None


def _state_bytes(teams: Sequence[_Team]) -> int:
    """Return what the largest shape of a process needs: teams of one shape train together."""
    of_shape: dict[str, int] = {}
    for team in teams:
        of_shape[team.shape] = of_shape.get(team.shape, 0) + team.state_bytes
    return max(of_shape.values()) + max(_tuning_bytes(team.trials[0]) for team in teams)


def _team(trials: Sequence[Trial], sharing: RankLayout, rates: Rates) -> _Team:
    inputs = inputs_of(trials[0].settings)
    work_s = work_seconds(trials, len(inputs.corpus.texts), inputs.sentence_encoder.dimension, sharing, rates)
    part = part_of(trials[0].settings, sharing)
    return _Team(tuple(trials), trials[0].shape, part, work_s, len(trials) * _trial_bytes(trials[0], sharing))


def _pack(teams: Sequence[_Team], kind: _Kind, order: Mapping[str, int], rates: Rates) -> Pack:
    trials = sorted((trial for team in teams for trial in team.trials), key=lambda trial: order[trial.key])
    digest = hashlib.sha256(" ".join(trial.key for trial in trials).encode()).hexdigest()[:8]
    parts = {PACK_START: start_seconds(rates)}
    for team in teams:
        parts[team.part] = parts.get(team.part, 0.0) + (team.work_s or 0.0)
    known = _work_s(teams) is not None
    return Pack(
        id=f"{trials[0].arm}-{digest}",
        trials=tuple(trials),
        memory_bytes=PROCESS_BYTES + _state_bytes(teams),
        gpus=kind.gpus,
        seconds=sum(parts.values()) if known else None,
        sharing=kind.sharing,
        parts=parts if known else {},
    )


def _tuning_bytes(trial: Trial) -> int:
    return tuning_bytes(trial, inputs_of(trial.settings).sentence_encoder)


def _trial_bytes(trial: Trial, sharing: RankLayout) -> int:
    return trial_bytes(trial, inputs_of(trial.settings).sentence_encoder.dimension, sharing)
