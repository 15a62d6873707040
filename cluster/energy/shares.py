"""The division of a node's joules among those who hold its devices, by device-seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hadamard.cluster.energy.base import CPU, GPUS
from hadamard.cluster.energy.recorder import Recording
from hadamard.cluster.energy.trace import Array


@dataclass(frozen=True)
class Hold:
    """Devices of one node that a pack holds for a while: the number of cores (`cpu`), and which GPUs (`gpu:0`)."""

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


def share(recording: Recording, hold: Hold, holds: Sequence[Hold], moments_s: Sequence[float]) -> Share:
    """Return the joules of a hold until each of some moments within it.

    While several hold the same device, each is charged for its part of what is held: two packs of one core each share the joules of the
    node's packages, half and half, and one alone is charged for all of them, idle cores included.

    Args:
        recording: Of the node, in that run.
        hold: The one whose joules are wanted.
        holds: All holds on the node, this one among them.
        moments_s: Unix times, from its begin to its end.
    """
    columns = counted(recording, hold)
    scope = " + ".join(dict.fromkeys(recording.trace.counters[column].scope for column in columns))
    wanted_s = np.clip(np.asarray(moments_s, dtype=float), hold.begin_s, hold.end_s)
    if not columns or hold.begin_s == hold.end_s:
        same = np.full(len(wanted_s), 0.0 if columns else np.nan)
        return Share(same, same, scope)
    others = [other for other in holds if other.begin_s < hold.end_s and other.end_s > hold.begin_s]
    bounds = [hold.begin_s, hold.end_s, *wanted_s, *(bound for other in others for bound in (other.begin_s, other.end_s))]
    points = np.unique(np.clip(bounds, hold.begin_s, hold.end_s))
    middles, lengths_s = (points[1:] + points[:-1]) / 2, np.diff(points)
    held = np.array([(other.begin_s <= middles) & (middles < other.end_s) for other in others])
    gross, idle = np.zeros(len(points)), np.zeros(len(points))
    for column in columns:
        device = recording.trace.counters[column].device
        part = hold.amount(device) / (np.array([other.amount(device) for other in others]) @ held)
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
