"""The line that starts Ray on a node of a Slurm job: what it may use, where it listens, where it keeps its things.

Owns ports and options of `ray start`. Does not own its process: that is slurm/node.py.
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from hadamard.cluster.allocation import Allocation
from hadamard.model.errors import UserError

OBJECT_STORE_BYTES = 80_000_000  # Ray's minimum is about 75 MB; packs pass nothing through it
PORTS_PER_JOB, FIRST_PORT, LAST_PORT = 32, 20_000, 32_767
"""Below the ports that the kernel gives to clients (from 32768), above those of services."""
SERVICES = ("node-manager", "object-manager", "runtime-env-agent", "dashboard-agent-listen", "dashboard-agent-grpc", "metrics-export")
HEAD_SERVICES = ("", "dashboard", "ray-client-server")
"""Names of `ray start`'s port options; the nameless one is the cluster's own, `--port`."""
NODE_LABEL = "slurm-node"
"""Label of Ray's nodes: Slurm's name of it, which may differ from its host name."""


def job_resource(job_id: str) -> str:
    """Return the name of what only nodes of a job have, as many as cores: steps of a job do not reach nodes that other jobs lend."""
    return f"slurm-job-{job_id}"


def port_block(job_id: str) -> range:
    """Return the ports that a job may use on its nodes: jobs with neighbouring ids never share one."""
    blocks = (LAST_PORT - FIRST_PORT) // PORTS_PER_JOB
    first = FIRST_PORT + int(job_id) % blocks * PORTS_PER_JOB
    return range(first, first + PORTS_PER_JOB)


def free_ports(block: range, names: Sequence[str]) -> dict[str, int]:
    """Return a free port of the block for each name.

    Raises:
        UserError: There are not enough of them.
    """
    free = [port for port in block if _is_free(port)]
    if len(free) < len(names):
        taken = len(block) - len(free)
        raise UserError(
            f"{taken} of the ports {block.start}-{block[-1]} are taken by other programs, and Ray needs {len(names)} of them. "
            "Submit again: another job gets other ports"
        )
    return dict(zip(names, free, strict=False))


def start_command(
    node: str, job_id: str, address: str, head: str | None, ports: Mapping[str, int], allocation: Allocation, local: Path, dashboard: bool
) -> list[str]:
    """Return the line that starts Ray here with what Slurm gave, never with the whole node.

    Args:
        node: This node, by Slurm's name.
        job_id: The job that it belongs to.
        address: This node's.
        head: HOST:PORT of the head to join; None makes this node the head.
        ports: By service, as `free_ports` returns them.
        allocation: What this node may use.
        local: Ray's directory on the node's own disk.
        dashboard: Whether the head serves it, to this node alone.
    """
    where = [f"--address={head}"] if head else ["--head", f"--include-dashboard={str(dashboard).lower()}", "--dashboard-host=127.0.0.1"]
    return [
        str(Path(sys.executable).parent / "ray"),
        "start",
        "--block",
        *where,
        f"--node-ip-address={address}",
        *(f"--{name}-port={port}".replace("---", "--") for name, port in ports.items()),
        *("--min-worker-port=0", "--max-worker-port=0"),  # workers take any free port: Ray's fixed range clashes with other users' Rays
        f"--num-cpus={allocation.cpus}",
        f"--num-gpus={allocation.gpus}",
        f"--memory={allocation.memory_bytes}",
        f"--resources={json.dumps({job_resource(job_id): allocation.cpus})}",
        f"--labels={NODE_LABEL}={node}",
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        f"--temp-dir={local}",
        "--disable-usage-stats",
        "--log-color=false",
    ]


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True
