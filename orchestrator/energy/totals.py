"""Energy totals of a study: the joules that its nodes' counters counted while packs held their devices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from hadamard.cluster.energy.recorder import Recording, recordings
from hadamard.cluster.energy.shares import Hold, counted
from hadamard.orchestrator.ledger.resource_log import PackUse, packs_used, runs_used

LOST = "lost"
"""The cause of a launch without a recorded end: its worker vanished, or it still runs."""
SILENT_S = 60.0
"""A record that ends this long before the hold does is that of a meter that died without a message."""


def study_j(study: Path) -> float | None:
    """Return the joules of all packs of a study, the lost ones among them, until a few seconds ago; None if not known."""
    return total_j(nodes_j(recordings(study), with_ends(study, packs_used(study))).values())


def nodes_j(records: Sequence[Recording], uses: Sequence[PackUse]) -> dict[str, float | None]:
    """Return joules by node while a pack held devices there, as far as its counters were read by now.

    None where that is not known: there is no meter, or it died while a device was held.
    """
    holds: dict[tuple[int, str], list[Hold]] = {}
    for use in uses:
        for host in use.hosts:
            holds.setdefault((use.run, host), []).append(hold_of(use, host))
    by_node = {(recording.run, recording.host): recording for recording in records}
    joules: dict[str, list[float | None]] = {}
    for (run, host), here in holds.items():
        joules.setdefault(host, []).append(_held_j(by_node.get((run, host)), here))
    return {host: total_j(parts) for host, parts in sorted(joules.items())}


def with_ends(study: Path, uses: Sequence[PackUse]) -> list[PackUse]:
    """Give those uses an end that have none: of a lost worker, its pack's next launch, or the end of its run; else until now."""
    last = {run.run: run.last_s for run in runs_used(study)}
    ended = []
    for at, use in enumerate(uses):
        if use.end_s is None:
            again = next((other.begin_s for other in uses[at + 1 :] if other.pack == use.pack), math.inf)
            end_s = min(again, max(last.get(use.run, use.begin_s), use.begin_s))
            use = replace(use, end_s=end_s, cause=LOST)
        ended.append(use)
    return ended


def hold_of(use: PackUse, host: str) -> Hold:
    """Return what a launch holds of a node."""
    return Hold(use.hosts[host].devices, use.begin_s, use.begin_s if use.end_s is None else use.end_s)


def known_j(value: float) -> float | None:
    """Return joules; None for NaN, which stands for what was not measured."""
    return None if math.isnan(value) else float(value)


def total_j(values: Iterable[float | None]) -> float | None:
    """Return a sum; None if a part of it is not known."""
    total = 0.0
    for value in values:
        if value is None:
            return None
        total += value
    return total


def _held_j(recording: Recording | None, holds: Sequence[Hold]) -> float | None:
    """Return what a node's counters counted while their devices were held."""
    if recording is None or recording.method is None or not len(recording.trace.times_s):
        return None
    trace, total = recording.trace, 0.0
    last_s = float(trace.times_s[-1])
    patience_s = 0.0 if recording.died else SILENT_S
    if any(hold.end_s > last_s + patience_s or not counted(recording, hold) for hold in holds):
        return None
    for column, counter in enumerate(trace.counters):
        ends_s = -math.inf
        for hold in sorted((hold for hold in holds if hold.amount(counter.device)), key=lambda hold: hold.begin_s):
            begin_s, end_s = (min(max(moment, ends_s), last_s) for moment in (hold.begin_s, hold.end_s))
            before, after = trace.at([begin_s, end_s], column)
            total += after - before
            ends_s = max(ends_s, hold.end_s)
    return known_j(total)
