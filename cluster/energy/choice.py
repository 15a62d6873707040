"""Which meter a node gets: what the user asks for, else the best counters that can be read here, or None and the reason.

Owns this choice and its words. Does not own any meter.
"""

from __future__ import annotations

import importlib.util
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from hadamard.cluster.energy.meters import Joined, Meter, MeterError, Method
from hadamard.cluster.energy.modelled import ModelledCpu
from hadamard.cluster.energy.replay import Replay
from hadamard.cluster.energy.sysfs import CRAY, POWERCAP, CrayNode, Powercap, readable_packages, zones
from hadamard.cluster.node_drain import node_name
from hadamard.model.errors import UserError

VARIABLE = "HADAMARD_ENERGY"
NVIDIA = Path("/dev/nvidiactl")
ZEUS_DAEMON = "ZEUSD_SOCK_PATH"


def method_asked_for(environment: Mapping[str, str] = os.environ) -> Method:
    """Return how joules are come by here, if they are."""
    kind = environment.get(VARIABLE, "").partition(":")[0]
    return "modelled" if kind == "modelled" else "replay" if kind == "replay" else "counter"


def open_meter(environment: Mapping[str, str] = os.environ) -> Meter | None:
    """Return this node's meter: as `HADAMARD_ENERGY` says (`off`, `replay:TRACE.csv`, `modelled:WATTS`), else of all counters that it has.

    None where nothing can be measured; `why_not_measured` says why. GPUs are counted through Zeus, else by Cray's counters; everything
    else by Cray's, else by powercap, else through Zeus, whose daemon may read what a user may not.

    Raises:
        UserError: The variable says something else.
    """
    if environment.get(VARIABLE):
        return _asked_for(environment)
    gpus = _first(_zeus_gpus)
    others = _first(lambda: CrayNode(gpus is None), Powercap, lambda: _zeus_cpus(environment))
    found = [meter for meter in (others, gpus) if meter is not None]
    return Joined(found) if found else None


def why_not_measured(environment: Mapping[str, str] = os.environ) -> str:
    """Return why `open_meter` would give none, with the way to get one, or an empty string if it may; raises as that does."""
    if environment.get(VARIABLE) == "off":
        return f"switched off by {VARIABLE}=off"
    if environment.get(VARIABLE):
        _asked_for(environment)
        return ""
    return counters_missing(environment)


def counters_missing(
    environment: Mapping[str, str] = os.environ, powercap: Path = POWERCAP, nvidia: Path = NVIDIA, cray: Path = CRAY
) -> str:
    """Return why no energy counter can be read here, and how to get one, or an empty string if one may be."""
    if os.access(cray / "energy", os.R_OK) or readable_packages(powercap):
        return ""
    closed = zones(powercap)
    has_zeus = importlib.util.find_spec("zeus") is not None
    if has_zeus and (nvidia.exists() or (closed and ZEUS_DAEMON in environment)):
        return ""
    if nvidia.exists():
        return "the GPUs' counters are read by the package zeus, which is not installed: pip install --no-deps zeus"
    if closed:
        return (
            f"{closed[0]}/energy_uj is there but may not be read by this user: ask the administrator for `chmod a+r` on these files, "
            f"or for Zeus's daemon and its socket in {ZEUS_DAEMON}"
        )
    return (
        "this machine shows no energy counter (no NVIDIA GPU, no RAPL under /sys/class/powercap, no /sys/cray), as is usual on virtual "
        f"machines. Run on a node with counters, or have it modelled from CPU seconds: {VARIABLE}=modelled:WATTS_OF_A_BUSY_CORE"
    )


def _asked_for(environment: Mapping[str, str]) -> Meter | None:
    """Return the meter that the variable names; None if that is none."""
    kind, _, what = environment[VARIABLE].partition(":")
    try:
        if kind == "replay" and what:
            return Replay(Path(what.format(host=node_name(environment))))
        if kind == "modelled" and 0 < float(what) < math.inf:
            return ModelledCpu(float(what))
    except (MeterError, ValueError, LookupError, AttributeError) as error:
        raise UserError(f"{VARIABLE}={environment[VARIABLE]}: {error}") from error
    if environment[VARIABLE] == "off":
        return None
    raise UserError(
        f"{VARIABLE}={environment[VARIABLE]}: not known. Say off, replay:TRACE.csv ({{host}} in it stands for the node's name), "
        "or modelled:WATTS, the watts of a busy core; unset, the node's counters are read"
    )


def _first(*ways: Callable[[], Meter]) -> Meter | None:
    """Return the first of several meters that can be opened and read."""
    for way in ways:
        try:
            meter = way()
            meter.read()
        except MeterError:
            continue
        return meter
    return None


def _zeus_gpus() -> Meter:
    if not NVIDIA.exists():
        raise MeterError("no NVIDIA driver")
    from hadamard.cluster.energy.zeus_meters import ZeusGpus  # takes seconds, and Zeus is not always installed

    return ZeusGpus()


def _zeus_cpus(environment: Mapping[str, str]) -> Meter:
    if ZEUS_DAEMON not in environment:  # without it, Zeus reads the files that powercap could not
        raise MeterError("no daemon of Zeus")
    from hadamard.cluster.energy.zeus_meters import ZeusCpus

    return ZeusCpus()
