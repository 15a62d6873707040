"""Whose a node's joules are: counters divided among those who hold their devices, by device-seconds.

Owns the division. Does not own the counters' record, nor what holders do with their time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hadamard.cluster.energy.base import CPU, GPUS
from hadamard.cluster.energy.recorder import Recording
from hadamard.cluster.energy.trace import Array


@dataclass(frozen=True)
class Hold:
    """Devices of one node that somebody has for a while: how many cores (`cpu`), and which GPUs (`gpu:0`)."""

    devices: Mapping[str, float]
    begin_s: float
    end_s: float

    def amount(self, device: str) -> float:
        """Return how much of a device is held; of `gpu`, how many GPUs."""
        if device == GPUS:
            return sum(amount for name, amount in self.devices.items() if name != CPU)
        return self.devices.get(device, 0.0)


@dataclass(frozen=True)
class Share:
    """A holder's joules from the beginning of its hold to some moments; NaN where they were not measured.

    Attributes:
        gross_j: Of all counters of its devices, at each moment.
        net_j: Without what the idle node would have taken; NaN where that is not known.
        scope: What was counted, such as `cpu package + dram`.
    """

    gross_j: Array
    net_j: Array
    scope: str


def share(recording: Recording, hold: Hold, everybody: Sequence[Hold], moments_s: Sequence[float]) -> Share:
    """Return what a holder used until each of some moments within its hold.

    While several hold the same device, each is charged for its part of what is held: two packs of one core each share what the node's
    packages take, half and half, and one alone is charged for all of it, idle cores included.

    Args:
        recording: Of the node, in that run.
        hold: Whose joules are wanted.
        everybody: All holds on the node, this one among them.
        moments_s: Unix times, from its begin to its end.
    """
    columns = counted(recording, hold)
    scope = " + ".join(dict.fromkeys(recording.trace.counters[column].scope for column in columns))
    wanted_s = np.clip(np.asarray(moments_s, dtype=float), hold.begin_s, hold.end_s)
    if not columns or hold.begin_s == hold.end_s:
        same = np.full(len(wanted_s), 0.0 if columns else np.nan)
        return Share(same, same, scope)
    others = [one for one in everybody if one.begin_s < hold.end_s and one.end_s > hold.begin_s]
    bounds = [hold.begin_s, hold.end_s, *wanted_s, *(bound for one in others for bound in (one.begin_s, one.end_s))]
    points = np.unique(np.clip(bounds, hold.begin_s, hold.end_s))
    middles, lengths_s = (points[1:] + points[:-1]) / 2, np.diff(points)
    held = np.array([(one.begin_s <= middles) & (middles < one.end_s) for one in others])
    gross, idle = np.zeros(len(points)), np.zeros(len(points))
    for column in columns:
        device = recording.trace.counters[column].device
        part = hold.amount(device) / (np.array([one.amount(device) for one in others]) @ held)
        gross[1:] += part * np.diff(recording.trace.at(points, column))
        idle[1:] += part * lengths_s * (np.nan if recording.idle_w is None else recording.idle_w[column])
    at = np.searchsorted(points, wanted_s)
    return Share(np.cumsum(gross)[at], np.cumsum(gross - idle)[at], scope)


def counted(recording: Recording, hold: Hold) -> list[int]:
    """Return the columns of the counters of a hold's devices; none where its GPUs, which take most, are not counted."""
    trace, gpus = recording.trace, [device for device in hold.devices if device != CPU]
    of_gpus = [column for device in gpus for column in trace.of(device)]
    if len(of_gpus) < len(gpus):
        of_gpus = trace.of(GPUS) if gpus else []
        if gpus and not of_gpus:
            return []
    return [*(trace.of(CPU) if hold.amount(CPU) else []), *of_gpus]
