"""What listens where: the ports of this user's Ray processes on this machine, which programs of other users may reach."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from hadamard.cluster.own_processes import own_processes
from hadamard.orchestrator.commands.doctor.check import Check, check
from hadamard.orchestrator.formats import count


@dataclass(frozen=True)
class Listener:
    """A port that a process listens on."""

    address: str
    port: int
    program: str

    @property
    def local(self) -> bool:
        """Whether only programs of this machine reach it."""
        address = ipaddress.ip_address(self.address.removeprefix("::ffff:"))
        return address.is_loopback


def checks() -> Iterator[Check]:
    """Yield the check."""
    yield listening(_of_ray(), in_job="SLURM_JOB_ID" in os.environ)


def listening(listeners: Iterable[Listener], in_job: bool) -> Check:
    """Say whether other machines reach something of Ray's: in a job its nodes have to, and nothing is answered without the token."""
    found = sorted(listeners, key=lambda one: one.port)
    reached = [one for one in found if not one.local]
    if not found:
        return check("Ray's ports", True, "none: no Ray of yours runs here")
    local = f"{count(len(found) - len(reached), 'port')} on the loopback interface"
    if not reached:
        return check("Ray's ports", True, f"{local}, none on others")
    places = ", ".join(f"{one.address}:{one.port} ({one.program})" for one in reached)
    fix = "what `hadamard run` starts outside of jobs listens on the loopback interface alone: `ray stop` ends another program's Ray"
    return check("Ray's ports", in_job, f"{local}; reached from other machines, by who has the token: {places}", fix)


def _of_ray() -> Iterator[Listener]:
    """Yield what this user's Ray processes listen on; those of other users are not shown to us."""
    import psutil

    programs = {
        process.pid: process.info["name"]
        for process, words in own_processes()
        if any(word.startswith("ray::") or "/ray/" in word for word in words[:3])
    }
    try:
        connections = psutil.net_connections("tcp")
    except psutil.AccessDenied:  # on systems that show a user nothing of sockets
        return
    for one in connections:
        if one.status == psutil.CONN_LISTEN and one.pid in programs:
            yield Listener(one.laddr.ip, one.laddr.port, programs[one.pid])
