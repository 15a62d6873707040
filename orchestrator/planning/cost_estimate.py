"""The cost estimate of a run: time, node-hours, joules and trials, from its packs, uneven load and all around them included.

The seconds of trials are in `cost_model.py`, the limits of a study in `study/budget.py`.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hadamard.cluster.allocation import Allocation
from hadamard.model.representation.embeddings import cached_file, tuned_file
from hadamard.model.trial import Trial
from hadamard.orchestrator.ledger.resource_log import EMBEDDINGS
from hadamard.orchestrator.planning.cost_model import tuning_seconds
from hadamard.orchestrator.planning.machine_rates import END, START, Rates
from hadamard.orchestrator.planning.packs import Pack, starting_order
from hadamard.orchestrator.study.inputs import inputs_of


@dataclass(frozen=True)
class RunEstimate:
    """What a run is expected to take; None where that is not known.

    Attributes:
        start_s: Seconds from the command to the first pack, without embeddings.
        embeddings_s: Seconds in which all cores compute embeddings.
        packs_s: Seconds from the first pack to the last one's end.
        end_s: Seconds from there to the end of the command.
        nodes: Of the allocation, which are taken for all that time.
        energy_j: Joules of packs and embeddings.
        trials: Number of trials that are trained.
    """

    start_s: float
    embeddings_s: float
    packs_s: float | None
    end_s: float
    nodes: int
    energy_j: float | None
    trials: int

    @property
    def wall_s(self) -> float | None:
        """Seconds from the command to its end."""
        return None if self.packs_s is None else self.start_s + self.embeddings_s + self.packs_s + self.end_s

    @property
    def node_hours(self) -> float | None:
        """Hours of all nodes together."""
        return None if self.wall_s is None else self.nodes * self.wall_s / 3600


def estimate_run(packs: Sequence[Pack], allocation: Allocation, rates: Rates) -> RunEstimate:
    """Return what a run of packs is expected to take; embeddings that are in the cache take nothing.

    Args:
        packs: All of a run, or those that are left of it; none take no time.
        allocation: Where they run.
        rates: Of that machine.
    """
    trials = [trial for pack in packs for trial in pack.trials]
    embeddings_s = embedding_seconds(trials, allocation.cpus, rates)
    energies_j = [pack_joules(pack, rates) for pack in packs]
    if embeddings_s:
        energies_j.append(None if rates.core_w is None else embeddings_s * allocation.cpus * rates.core_w)
    known_j = [energy_j for energy_j in energies_j if energy_j is not None]
    return RunEstimate(
        start_s=rates.corrected(START, rates.run_start_s) if packs else 0.0,
        embeddings_s=embeddings_s,
        packs_s=packs_seconds(packs, allocation),
        end_s=rates.corrected(END, rates.run_end_s + rates.trial_end_s * sum(trial.fold is None for trial in trials)) if packs else 0.0,
        nodes=allocation.nodes,
        energy_j=sum(known_j) if len(known_j) == len(energies_j) else None,
        trials=len(trials),
    )


def pack_joules(pack: Pack, rates: Rates) -> float | None:
    """Return the joules that a pack is expected to take; None if its time, or the watts of what it runs on, are not known."""
    if pack.seconds is None or rates.core_w is None or (pack.gpus and rates.gpu_w is None):
        return None
    return pack.seconds * pack.ranks * (rates.core_w + pack.gpus * (rates.gpu_w or 0.0))


def packs_seconds(packs: Sequence[Pack], allocation: Allocation) -> float | None:
    """Return the time from the first pack's begin to the last one's end; None if any pack's is not known.

    Packs begin in the order in which they are launched, each as soon as cores, GPUs and memory for it are free, whatever waits before it.
    """
    waiting = starting_order(packs)
    free = _FreeResources(allocation.total_cpus, allocation.total_gpus, allocation.memory_bytes * allocation.nodes)
    launched: list[Pack] = []
    running: list[tuple[float, int]] = []  # the end of a pack, and its index among those launched
    now = 0.0
    while waiting or running:
        held_back: list[Pack] = []
        for index, pack in enumerate(waiting):
            if pack.seconds is None:
                return None
            if free.has_room(pack) or not (running or held_back):  # what can never fit is refused elsewhere
                free.change(pack, -1)
                heapq.heappush(running, (now + pack.seconds, len(launched)))
                launched.append(pack)
            else:
                held_back.append(pack)
            if free.cores <= 0:
                held_back += waiting[index + 1 :]
                break
        waiting = held_back
        now, ended = heapq.heappop(running)
        free.change(launched[ended], +1)
    return now


def embedding_seconds(trials: Sequence[Trial], cpus: int, rates: Rates) -> float:
    """Return the expected seconds for the embeddings that are not in the cache yet, of sentence encoders as they are and tuned.

    Args:
        trials: Whose embeddings.
        cpus: Cores that compute them.
        rates: Of the machine.
    """
    missing: dict[Path, float] = {}
    tuned_s: dict[Path, float] = {}
    for trial in trials:
        tuned = trial.settings.sentence_encoder.representation == "setfit"
        file = tuned_file(trial) if tuned else cached_file(trial.data_hash, trial.sentence_encoder_hash)
        if file in missing or file in tuned_s or file.exists():
            continue
        texts = inputs_of(trial.settings).corpus.texts
        if tuned:
            tuned_s[file] = tuning_seconds(trial, len(texts), rates)
        else:
            missing[file] = rates.embedding_start_s + sum(map(len, texts)) / (rates.characters_per_core_s * cpus)
    at_once = max(1, min(cpus, len(tuned_s)))  # each in one pack, on one core
    return rates.corrected(EMBEDDINGS, sum(missing.values())) + sum(tuned_s.values()) / at_once


@dataclass
class _FreeResources:
    """Cores, GPUs and memory that no pack uses."""

    cores: int
    gpus: int
    memory_bytes: int

    def has_room(self, pack: Pack) -> bool:
        enough = self.cores >= pack.ranks and self.memory_bytes >= pack.ranks * pack.memory_bytes
        return enough and (not pack.gpus or self.gpus >= pack.ranks * pack.gpus)

    def change(self, pack: Pack, sign: int) -> None:
        self.cores += sign * pack.ranks
        self.gpus += sign * pack.ranks * pack.gpus
        self.memory_bytes += sign * pack.ranks * pack.memory_bytes
