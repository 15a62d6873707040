"""Which meter a node gets: the one that the user requests, else the counters that can be read here, or none and the reason."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from hadamard.cluster.energy.base import CPU, GPUS, Host, Meter, MeterError, Method, RequestedMeter
from hadamard.cluster.energy.registry import HARDWARE, REQUESTED
from hadamard.model.errors import UserError
from hadamard.model.logs import survived

VARIABLE = "HADAMARD_ENERGY"
OFF = "off"
ROOT = Path("/")
logger = logging.getLogger(__name__)


class Joined:
    """Several meters of one node as one; none of their counters covers what another one does."""

    def __init__(self, meters: Sequence[Meter]) -> None:
        self._meters = meters
        self.method: Method = meters[0].method
        self.counters = tuple(counter for meter in meters for counter in meter.counters)

    def read(self) -> tuple[float, ...]:
        """Return the readings of all, one after the other."""
        return tuple(joules for meter in self._meters for joules in meter.read())


def requested_method(environment: Mapping[str, str] = os.environ) -> Method:
    """Return how joules are measured here, if they are."""
    name = environment.get(VARIABLE, "").partition(":")[0]
    return REQUESTED[name].method if name in REQUESTED else "counter"


def stated_core_w(environment: Mapping[str, str] = os.environ) -> float | None:
    """Return the watts of a busy core that the requested meter was given; None if it was given none, or none is requested."""
    meter = _requested(environment) if environment.get(VARIABLE) else None
    return None if meter is None else meter.core_w


def open_meter(environment: Mapping[str, str] = os.environ, root: Path = ROOT) -> Meter | None:
    """Return this node's meter, or None where nothing can be measured; `why_not_measured` says why.

    Args:
        environment: `HADAMARD_ENERGY` in it is `off` or requests a meter (`replay:TRACE.csv`, `modelled:WATTS`).
        root: Where the hardware's files are.

    Raises:
        UserError: The variable says something else.
    """
    if environment.get(VARIABLE):
        return _requested(environment)
    host, uncounted, meters = Host(environment, root), {CPU, GPUS}, list[Meter]()
    for kind in HARDWARE:
        if kind.device in uncounted and kind.is_there(host) and not kind.problem(host):
            with survived(logger, f"{kind.hardware}: is there, but not counted", MeterError):
                meter = kind(host, uncounted)
                meter.read()
                meters.append(meter)
                uncounted -= {counter.device.partition(":")[0] for counter in meter.counters}
    return Joined(meters) if meters else None


def why_not_measured(environment: Mapping[str, str] = os.environ, root: Path = ROOT) -> str:
    """Return why `open_meter` would return None, with the way to get a meter, or an empty string if it may; raises as that does."""
    if environment.get(VARIABLE) == OFF:
        return f"switched off by {VARIABLE}={OFF}"
    if environment.get(VARIABLE):
        _requested(environment)
        return ""
    host = Host(environment, root)
    problems = [kind.problem(host) for kind in HARDWARE if kind.is_there(host)]
    if problems:
        return "" if "" in problems else problems[0]
    nothing = ", ".join(f"no {kind.hardware}" for kind in HARDWARE)
    return (
        f"this machine shows no energy counter ({nothing}), as is usual on virtual machines. Run on a node with counters, or request "
        f"{_choices()}"
    )


def _requested(environment: Mapping[str, str]) -> RequestedMeter | None:
    """Return the meter that the variable names; None if that is none."""
    request = environment[VARIABLE]
    if request == OFF:
        return None
    name, _, value = request.partition(":")
    if name not in REQUESTED or not value:
        raise UserError(f"{VARIABLE}={request}: not known. Say {VARIABLE}={OFF}, or {_choices()}; unset, the node's counters are read")
    try:
        return REQUESTED[name].requested(value, environment)
    except (MeterError, ValueError) as error:
        raise UserError(f"{VARIABLE}={request}: {error}. Say {VARIABLE}={REQUESTED[name].usage}") from error


def _choices() -> str:
    return ", or ".join(f"{VARIABLE}={kind.usage}" for kind in REQUESTED.values())
