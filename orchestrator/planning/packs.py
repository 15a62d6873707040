"""Packs: which trials one process trains, or the ranks of one program, and what that is expected to take.

See also `balance.py` for the distribution over processes, `cost_model.py` for seconds and bytes, `feasibility.py` for what cannot fit.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hadamard.cluster.allocation import Allocation
from hadamard.model.representation.embeddings import tuned_file
from hadamard.model.simulators.hardware import runs_on_gpu
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.model.trial import Trial
from hadamard.orchestrator.planning.balance import Process, TrialGroup, balance
from hadamard.orchestrator.planning.cost_model import PROCESS_BYTES, part_of, simulator_of, trial_bytes, tuning_bytes, work_seconds
from hadamard.orchestrator.planning.machine_rates import DEFAULTS, PACK_START, Rates
from hadamard.orchestrator.planning.rank_layout import ALONE, RankLayout, layout_of
from hadamard.orchestrator.study.inputs import inputs_of

GROUPS_PER_CORE = 4
"""Trials of one shape are split into at least this many groups per core, or per GPU, so that the load can be balanced."""
LEAST_WORK_IN_STARTS = 4
"""A pack should train at least this many times longer than it takes to start, once every core has one."""
CPUS_PER_PACK = 1


@dataclass(frozen=True)
class Pack:
    """Trials that one process trains, or the ranks of one MPI program: those of one shape together, one shape after the other.

    Attributes:
        id: From the keys of its trials: the same trials make the same pack.
        trials: In the order of the study.
        memory_bytes: Of each rank.
        gpus: Of each rank: 1 where a simulator of its trials runs on a GPU; 0: such a pack sees none.
        seconds: Expected duration; None where no rate was measured for the simulator.
        layout: The ranks that train it.
        parts: The expected seconds by part, as `machine_rates.py` names them: its start, each simulator's training; empty if not known.
    """

    id: str
    trials: tuple[Trial, ...]
    memory_bytes: int
    gpus: int
    seconds: float | None
    layout: RankLayout = ALONE
    parts: Mapping[str, float] = field(default_factory=dict)

    @property
    def ranks(self) -> int:
        """The processes that train it together; 1 for most packs."""
        return self.layout.ranks

    @property
    def shards(self) -> int:
        """How many of the ranks share each state."""
        return self.layout.shards

    @property
    def all_gpus(self) -> bool:
        """Whether each rank is to see the GPUs of all ranks on its node, of which some simulators pick one by themselves."""
        kinds = (SIMULATORS.get(trial.settings.simulator) for trial in self.trials)
        return any(kind is not None and kind.picks_gpu for kind in kinds)


class _Resources(NamedTuple):
    """What the trials of a pack have in common: the ranks, and the GPUs of each."""

    gpus: int
    layout: RankLayout

    def concurrent_packs(self, allocation: Allocation) -> int:
        """Return how many such packs can run at once."""
        return max(1, (allocation.total_gpus if self.gpus else allocation.total_cpus) // self.layout.ranks)


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
    memory_bytes = allocation.memory_bytes * CPUS_PER_PACK // allocation.cpus - PROCESS_BYTES
    packs = []
    for resources, shapes in _by_resources(trials, allocation).items():
        concurrent = resources.concurrent_packs(allocation)
        most = max(1, math.ceil(sum(map(len, shapes)) / (GROUPS_PER_CORE * concurrent)))
        groups = [group for alike in shapes for group in _groups(alike, most, memory_bytes, resources.layout, rates)]
        tuning, others = _by_tuned_encoder(groups, concurrent)
        processes = [*tuning, *_processes(others, concurrent, memory_bytes, rates)]
        packs += [_pack(process, resources, order, rates) for process in processes]
    return tuple(sorted(packs, key=lambda pack: order[pack.trials[0].key]))


def starting_order(packs: Sequence[Pack]) -> list[Pack]:
    """Return packs in the order in which they are to be started: those of many ranks first, while all nodes are free.

    Ray gives cores to whichever pack fits: one that needs several would wait for the last of those that need one.
    """
    return sorted(packs, key=lambda pack: -pack.ranks)


def start_seconds(rates: Rates) -> float:
    """Return what every pack takes in addition to its work."""
    return rates.corrected(PACK_START, rates.pack_start_s)


def rank_memory_bytes(trial: Trial, layout: RankLayout) -> int:
    """Return the memory that each rank needs for a trial by itself."""
    encoder = inputs_of(trial.settings).sentence_encoder
    return PROCESS_BYTES + tuning_bytes(trial, encoder) + trial_bytes(trial, encoder.dimension, layout)


def _by_resources(trials: Sequence[Trial], allocation: Allocation) -> dict[_Resources, list[list[Trial]]]:
    """Return the trials of each shape, by the resources that their packs need."""
    by_shape: dict[str, list[Trial]] = {}
    for trial in trials:
        by_shape.setdefault(trial.shape, []).append(trial)
    by_resources: dict[_Resources, list[list[Trial]]] = {}
    for alike in by_shape.values():
        by_resources.setdefault(_resources(alike[0], allocation), []).append(alike)
    return by_resources


def _resources(trial: Trial, allocation: Allocation) -> _Resources:
    def gpus(layout: RankLayout) -> int:
        simulator = simulator_of(trial.settings, layout)
        return int(bool(allocation.gpus) and simulator is not None and runs_on_gpu(simulator))

    layout = layout_of(trial.settings, allocation, lambda layout: rank_memory_bytes(trial, layout), gpus)
    return _Resources(gpus(layout), layout)


def _groups(trials: Sequence[Trial], most: int, memory_bytes: int, layout: RankLayout, rates: Rates) -> Iterable[TrialGroup]:
    """Split trials of one shape into groups of at most this many trials, none larger than fits the memory."""
    settings, shape = trials[0].settings, trials[0].shape
    inputs = inputs_of(settings)
    dimension, sentences = inputs.sentence_encoder.dimension, len(inputs.corpus.texts)
    each_bytes = trial_bytes(trials[0], dimension, layout)
    size = max(1, min(most, memory_bytes // max(1, each_bytes)))
    for start in range(0, len(trials), size):
        group = tuple(trials[start : start + size])
        yield TrialGroup(
            trials=group,
            shape=shape,
            part=part_of(settings, layout),
            work_s=work_seconds(group, sentences, dimension, layout, rates),
            state_bytes=len(group) * each_bytes,
            tuning_bytes=tuning_bytes(trials[0], inputs.sentence_encoder),
        )


def _by_tuned_encoder(groups: Sequence[TrialGroup], concurrent: int) -> tuple[list[Process], list[TrialGroup]]:
    """Put groups that need the same sentence encoder tuned into one process, so that no process waits for another's.

    Returns:
        These processes, and all other groups. Where fewer encoders are to be tuned than packs can run at once, there are no such
        processes: waiting for an encoder costs less than cores without work.
    """
    by_file: dict[Path, list[TrialGroup]] = {}
    others = []
    for group in groups:
        trial = group.trials[0]
        if trial.settings.sentence_encoder.representation == "setfit" and not tuned_file(trial).exists():
            by_file.setdefault(tuned_file(trial), []).append(group)
        else:
            others.append(group)
    return (list(map(Process, by_file.values())), others) if len(by_file) >= concurrent else ([], list(groups))


def _processes(groups: Sequence[TrialGroup], concurrent: int, memory_bytes: int, rates: Rates) -> list[Process]:
    """Distribute groups over processes: one for each core, more where there is enough work; one for each group if work is not known."""
    work_s = Process(groups).work_s
    if work_s is None:
        return [Process([group]) for group in groups]
    worthwhile = math.ceil(work_s / (LEAST_WORK_IN_STARTS * start_seconds(rates)))
    return balance(groups, max(concurrent, worthwhile), memory_bytes)


def _pack(process: Process, resources: _Resources, order: Mapping[str, int], rates: Rates) -> Pack:
    trials = sorted((trial for group in process.groups for trial in group.trials), key=lambda trial: order[trial.key])
    digest = hashlib.sha256(" ".join(trial.key for trial in trials).encode()).hexdigest()[:8]
    parts: dict[str, float] = {}
    if process.work_s is not None:
        parts[PACK_START] = start_seconds(rates)
        for group in process.groups:
            parts[group.part] = parts.get(group.part, 0.0) + (group.work_s or 0.0)
    return Pack(
        id=f"{trials[0].arm}-{digest}",
        trials=tuple(trials),
        memory_bytes=PROCESS_BYTES + process.memory_bytes,
        gpus=resources.gpus,
        seconds=sum(parts.values()) if parts else None,
        layout=resources.layout,
        parts=parts,
    )
