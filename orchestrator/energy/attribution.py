"""Joules of trials by phase: nodes' records divided by device-seconds among packs, and by time among a pack's trials."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from hadamard.cluster.energy.recorder import Recording, recordings
from hadamard.cluster.energy.shares import Hold, share
from hadamard.cluster.energy.trace import Array
from hadamard.model.files.phase_log import PHASES
from hadamard.orchestrator.energy.totals import LOST, hold_of, known_j, nodes_j, total_j, with_ends
from hadamard.orchestrator.ledger.ledger import TrialRecord
from hadamard.orchestrator.ledger.resource_log import EMBEDDINGS, PackUse, packs_used, phases_of

OVERHEAD = "overhead"
"""What is no phase: a process starts, reads its files, and ends."""
ALL_PHASES = (*PHASES, OVERHEAD)


@dataclass(frozen=True)
class TrialEnergy:
    """The energy of a trial in all of its attempts, a share of its packs'; None where that was not measured.

    Attributes:
        phases_j: Gross joules by phase, `overhead` among them; phases that it never was in are left out.
        net_j: Of all phases, without what the idle nodes would have taken in its share of the time.
        inferences: Sentences that it classified in the phase `inference`.
        scope: What was counted, such as `cpu package + dram`.
        method: How: `counter`, `modelled` or `replay`, and `by device-seconds` where it is a share of what others had a part in.
        window_s: Seconds that the meters ran for it and those that it was trained with.
    """

    phases_j: Mapping[str, float | None]
    net_j: float | None
    inferences: int
    scope: str
    method: str
    window_s: float

    @property
    def energy_j(self) -> float | None:
        """Gross joules of all phases."""
        return total_j(self.phases_j.values())

    @property
    def inference_j(self) -> float | None:
        """Joules for each sentence classified, its embedding not included."""
        joules = self.phases_j.get("inference")
        return joules / self.inferences if joules is not None and self.inferences else None


@dataclass(frozen=True)
class StudyEnergy:
    """The joules of a study.

    Attributes:
        trials: By the hash in their keys.
        embeddings_j: Of the driver's embeddings; None if not measured.
        embedded: Number of sentences embedded; 0 where all came from the cache.
        nodes_j: By node, while a pack, or the embeddings, held devices of it; None if not measured.
        died: A sentence for each meter that could not be read to the end.
        checked: A sentence for each job with Slurm's own count, if that was requested.
    """

    trials: Mapping[str, TrialEnergy] = field(default_factory=dict)
    embeddings_j: float | None = None
    embedded: int = 0
    nodes_j: Mapping[str, float | None] = field(default_factory=dict)
    died: tuple[str, ...] = ()
    checked: tuple[str, ...] = ()


@dataclass(frozen=True)
class Window:
    """A phase of a pack's process, its trials, and the number of sentences that each of them classified."""

    phase: str
    trials: tuple[str, ...]
    sentences: int
    begin_s: float
    end_s: float


NOT_MEASURED = StudyEnergy()


def study_energy(study: Path, records: Iterable[TrialRecord]) -> StudyEnergy:
    """Return the joules of a study's trials, of all runs, as far as they are known by now.

    Args:
        study: The study's directory.
        records: Its trials; one with an attempt of which nothing is known has no joules.
    """
    records_of_nodes = recordings(study)
    if not any(recording.method for recording in records_of_nodes):
        return NOT_MEASURED
    uses = with_ends(study, packs_used(study))
    shares = _Shares(records_of_nodes, uses)
    by_trial: dict[str, list[TrialEnergy]] = {}
    embeddings, embedded = [], 0
    for use in uses:
        if use.pack == EMBEDDINGS:
            embeddings.append(known_j(shares.of(use, [use.end_s or use.begin_s]).gross_j[-1]))
            embedded += use.trials_done
        elif use.cause != LOST:
            for name, energy in _of_trials(use, windows(use, phases_of(study, use.pack)), shares).items():
                by_trial.setdefault(name.rsplit("-", 1)[-1], []).append(energy)
    attempts = {record.trial.digest: record.attempts for record in records}
    return StudyEnergy(
        trials={digest: _added(parts) for digest, parts in by_trial.items() if digest in attempts and len(parts) == attempts[digest]},
        embeddings_j=total_j(embeddings) if embeddings else None,
        embedded=embedded,
        nodes_j=nodes_j(records_of_nodes, uses),
        died=tuple(f"the meter of {node.host} could not be read any longer: {node.died}" for node in records_of_nodes if node.died),
    )


def windows(use: PackUse, lines: Sequence[Mapping[str, Any]]) -> list[Window]:
    """Return the windows of one launch of a pack, which cover all of it: before its first phase and after its last is overhead.

    Args:
        use: The launch, which has ended.
        lines: Of all of the pack's processes (`hadamard.model.files.phase_log`).
    """
    assert use.end_s is not None
    phases: list[tuple[_Begun, float]] = []
    all_trials: dict[str, None] = {}
    trials: tuple[str, ...] = ()
    before: _Begun = (use.begin_s, OVERHEAD, (), 0)
    for line in lines:
        moment = float(line["time_s"])
        if use.begin_s - _ROUNDED_S <= moment <= use.end_s + _ROUNDED_S:
            trials = tuple(line.get("trials", trials))
            all_trials |= dict.fromkeys(trials)
            phases.append((before, moment))
            phase = line["phase"]
            before = (moment, phase or OVERHEAD, trials if phase else (), line.get("sentences", 0))
    phases.append((before, use.end_s))
    return [Window(phase, named or tuple(all_trials), count, begin, end) for (begin, phase, named, count), end in phases if end > begin]


_Begun = tuple[float, str, tuple[str, ...], int]
"""When a phase began, its name, its trials, and the sentences that each of them classifies."""
_ROUNDED_S = 0.001
"""Phases are written to a tenth of a millisecond."""


@dataclass(frozen=True)
class _Joules:
    gross_j: Array
    net_j: Array
    scope: str
    method: str


class _Shares:
    """The energy of packs, by their nodes' recordings."""

    def __init__(self, records: Sequence[Recording], uses: Sequence[PackUse]) -> None:
        self._recordings = {(recording.run, recording.host): recording for recording in records}
        self._holds: dict[tuple[int, str], list[Hold]] = {}
        for use in uses:
            for host in use.hosts:
                self._holds.setdefault((use.run, host), []).append(hold_of(use, host))

    def of(self, use: PackUse, moments_s: Sequence[float]) -> _Joules:
        """Return a pack's joules until each moment, all of its nodes together."""
        parts = [self.on(use, host, moments_s) for host in use.hosts]
        gross, net = (np.sum([getattr(part, what) for part in parts], axis=0) for what in ("gross_j", "net_j"))
        scopes, methods = (" + ".join(dict.fromkeys(getattr(part, what) for part in parts)) for what in ("scope", "method"))
        return _Joules(gross, net, scopes, methods)

    def on(self, use: PackUse, host: str, moments_s: Sequence[float]) -> _Joules:
        """Return a pack's joules on one node until each moment; NaN where they were not measured."""
        recording, hold, holds = self._recordings.get((use.run, host)), hold_of(use, host), self._holds[use.run, host]
        if recording is None or recording.method is None:
            unknown = np.full(len(moments_s), np.nan)
            return _Joules(unknown, unknown, "", "")
        part = share(recording, hold, holds, moments_s)
        alone = all(other == hold or other.begin_s >= hold.end_s or other.end_s <= hold.begin_s for other in holds)
        return _Joules(part.gross_j, part.net_j, part.scope, recording.method if alone else f"{recording.method}, by device-seconds")


def _of_trials(use: PackUse, phases: Sequence[Window], shares: _Shares) -> dict[str, TrialEnergy]:
    """Return the energy of the trials of one launch: each window's joules in equal parts."""
    moments = [use.begin_s, *(window.end_s for window in phases)]
    joules = shares.of(use, moments)
    gross: dict[str, dict[str, float]] = {}
    net: dict[str, float] = {}
    inferences: dict[str, int] = {}
    for at, window in enumerate(phases):
        for name in window.trials:
            by_phase = gross.setdefault(name, {})
            by_phase[window.phase] = by_phase.get(window.phase, 0.0) + (joules.gross_j[at + 1] - joules.gross_j[at]) / len(window.trials)
            net[name] = net.get(name, 0.0) + (joules.net_j[at + 1] - joules.net_j[at]) / len(window.trials)
            counts = window.phase == "inference" and use.cause is None  # what was cut short is done again
            inferences[name] = inferences.get(name, 0) + (window.sentences if counts else 0)
    shared = "" if len(gross) < 2 or joules.method.endswith("device-seconds") else ", by device-seconds"
    length_s = moments[-1] - moments[0]
    return {
        name: TrialEnergy(
            {phase: known_j(value) for phase, value in by_phase.items()},
            known_j(net[name]), inferences[name], joules.scope, joules.method + shared, length_s,
        )
        for name, by_phase in gross.items()
    }  # fmt: skip


def _added(parts: Sequence[TrialEnergy]) -> TrialEnergy:
    """Return the sum of a trial's attempts."""
    phases = {phase for part in parts for phase in part.phases_j}
    return TrialEnergy(
        {phase: total_j(part.phases_j[phase] for part in parts if phase in part.phases_j) for phase in ALL_PHASES if phase in phases},
        total_j(part.net_j for part in parts),
        sum(part.inferences for part in parts),
        "; ".join(dict.fromkeys(part.scope for part in parts)),
        "; ".join(dict.fromkeys(part.method for part in parts)),
        sum(part.window_s for part in parts),
    )
