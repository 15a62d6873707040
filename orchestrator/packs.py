"""Packs: which trials one process trains, and what that is expected to take.

Owns the grouping of trials by shape, work and memory, and the refusal of what cannot fit. Does not own rates, nor how a pack is launched.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cluster.allocation import Allocation
from model.embeddings import cached_file
from model.head_layout import circuits, shape
from model.settings import QuantumHead, Trial
from model.simulators import resolve, runs_on_gpu
from orchestrator.estimates import PACK_START_S, PROCESS_BYTES, SENTENCES_PER_CORE_S, pack_seconds, trial_bytes
from orchestrator.inputs import inputs_of
from orchestrator.study_file import Problem, StudyError

PACKS_PER_PLACE = 4
"""Trials of one shape are split into so many parts per core, or per GPU, at least, so that the load can be balanced."""
STARTS_WORTH = 4
"""A pack should work so many times longer than it takes to start, as long as every core has one."""
CPUS_PER_PACK = 1


@dataclass(frozen=True)
class Pack:
    """Trials that one process trains: those of one shape together, one shape after the other."""

    id: str
    trials: tuple[Trial, ...]
    memory_bytes: int
    gpus: int
    """1 where a simulator of its trials runs on a GPU, else 0: such a pack sees none."""
    seconds: float | None
    """Expected duration; None where no rate was measured for the simulator."""


@dataclass(frozen=True)
class _Team:
    """Trials alike in shape, trained together."""

    trials: tuple[Trial, ...]
    shape: str
    work_s: float | None
    state_bytes: int


def pack_up(trials: Sequence[Trial], allocation: Allocation) -> tuple[Pack, ...]:
    """Group trials into packs, in the order in which their first trials come.

    A pack is no larger than balances the load, nor than fits the part of the memory that each of the packs running at once has; one trial
    alone may need more than that, and then fewer packs run at once. Little work of several shapes shares a process, whose start costs
    more than training a small trial.
    """
    order = {trial.key: position for position, trial in enumerate(trials)}
    for_states = allocation.memory_bytes * CPUS_PER_PACK // allocation.cpus - PROCESS_BYTES
    packs = []
    for gpus, groups in _by_gpus(trials, allocation).items():
        places = allocation.total_gpus if gpus else allocation.total_cpus
        shared = _share(_teams(groups, places, for_states), places, for_states)
        packs += [_pack(teams, gpus, order) for teams in shared]
    return tuple(sorted(packs, key=lambda pack: order[pack.trials[0].key]))


def check_fit(packs: Sequence[Pack], allocation: Allocation) -> None:
    """Refuse, before anything starts, packs that need more memory than there is: Ray would let them wait for ever.

    Raises:
        StudyError: The arms that cannot fit, with what they need.
    """
    too_large = {trial.arm: pack for pack in packs for trial in pack.trials if pack.memory_bytes > allocation.memory_bytes}
    available = f"{allocation.source} has {allocation.memory_bytes / 2**30:.1f}"
    remedy = "Use fewer qubits or a smaller training.batch, or a machine with more memory"
    problems = [
        Problem(f"{arm} needs about {pack.memory_bytes / 2**30:.1f} GiB of memory, {available}. {remedy}", ("factors",))
        for arm, pack in sorted(too_large.items())
    ]
    if problems:
        raise StudyError(problems)


def expected_seconds(packs: Sequence[Pack], allocation: Allocation) -> float | None:
    """Return the expected time for all packs, on cores and on GPUs at once, embeddings included; None if any pack's is not known."""
    known = [(pack.seconds, pack.gpus) for pack in packs if pack.seconds is not None]
    if len(known) < len(packs):
        return None
    on_cores, on_gpus = (sum(seconds for seconds, has in known if has == gpus) for gpus in (0, 1))
    trained = max(on_cores / allocation.total_cpus, on_gpus / max(1, allocation.total_gpus), *(seconds for seconds, _ in known), 0.0)
    return trained + embedding_seconds([trial for pack in packs for trial in pack.trials], allocation.cpus)


def embedding_seconds(trials: Sequence[Trial], cpus: int) -> float:
    """Return the expected time for the embeddings that are not in the cache yet: one node computes them, with so many cores."""
    missing = {
        (trial.data_hash, trial.sentence_encoder_hash): len(inputs_of(trial.settings).corpus.texts)
        for trial in trials
        if not cached_file(trial.data_hash, trial.sentence_encoder_hash).exists()
    }
    return sum(missing.values()) / (SENTENCES_PER_CORE_S * cpus)


def _by_gpus(trials: Sequence[Trial], allocation: Allocation) -> dict[int, list[list[Trial]]]:
    """Return the trials of each shape, by the GPUs that they train on: 0 or 1."""
    shapes: dict[str, list[Trial]] = {}
    for trial in trials:
        shapes.setdefault(shape(trial), []).append(trial)
    by_gpus: dict[int, list[list[Trial]]] = {}
    for group in shapes.values():
        by_gpus.setdefault(_gpus(group[0]) if allocation.gpus else 0, []).append(group)
    return by_gpus


def _gpus(trial: Trial) -> int:
    settings, head = trial.settings, trial.settings.head
    return int(isinstance(head, QuantumHead) and runs_on_gpu(resolve(settings.simulator, circuits(head), settings.precision).name))


def _teams(groups: Sequence[list[Trial]], places: int, for_states: int) -> list[_Team]:
    """Split the trials of each shape into parts that balance the load and fit the memory; so many places train at once."""
    balanced = max(1, math.ceil(sum(map(len, groups)) / (PACKS_PER_PLACE * places)))
    teams = []
    for group in groups:
        most = max(1, min(balanced, for_states // max(1, _trial_bytes(group[0]))))
        teams += [_team(group[start : start + most]) for start in range(0, len(group), most)]
    return teams


def _share(teams: Sequence[_Team], places: int, for_states: int) -> list[list[_Team]]:
    """Deal teams out to processes, those with most work first, each to the process with least; as they are where the work is not known."""
    work_s = _work_s(teams)
    if work_s is None:
        return [[team] for team in teams]
    processes: list[list[_Team]] = [[] for _ in range(min(len(teams), max(places, math.ceil(work_s / (STARTS_WORTH * PACK_START_S)))))]
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
    return max(of_shape.values())


def _team(trials: Sequence[Trial]) -> _Team:
    inputs = inputs_of(trials[0].settings)
    seconds = pack_seconds(trials, len(inputs.corpus.texts), inputs.sentence_encoder.dimension)
    work_s = None if seconds is None else seconds - PACK_START_S
    return _Team(tuple(trials), shape(trials[0]), work_s, len(trials) * _trial_bytes(trials[0]))


def _pack(teams: Sequence[_Team], gpus: int, order: Mapping[str, int]) -> Pack:
    trials = sorted((trial for team in teams for trial in team.trials), key=lambda trial: order[trial.key])
    digest = hashlib.sha256(" ".join(trial.key for trial in trials).encode()).hexdigest()[:8]
    work_s = _work_s(teams)
    return Pack(
        id=f"{trials[0].arm}-{digest}",
        trials=tuple(trials),
        memory_bytes=PROCESS_BYTES + _state_bytes(teams),
        gpus=gpus,
        seconds=None if work_s is None else PACK_START_S + work_s,
    )


def _trial_bytes(trial: Trial) -> int:
    return trial_bytes(trial, inputs_of(trial.settings).sentence_encoder.dimension)
