"""All meters. A new one is a file beside this one and a line here; nothing else names it."""

from __future__ import annotations

from hadamard.cluster.energy.base import HardwareMeter, RequestedMeter
from hadamard.model.lazy import load

_REQUESTED = (
    "modelled:ModelledCpu",
    "replay:Replay",
)
_HARDWARE = (  # of those that count for the same device, the first one that can be read is used
    "zeus_meters:ZeusGpus",
    "sysfs:CrayNode",
    "sysfs:Powercap",
    "zeus_meters:ZeusCpus",
)
REQUESTED: dict[str, type[RequestedMeter]] = {
    meter.name: meter for meter in (load(f"hadamard.cluster.energy.{name}") for name in _REQUESTED)
}
HARDWARE: tuple[type[HardwareMeter], ...] = tuple(load(f"hadamard.cluster.energy.{name}") for name in _HARDWARE)
