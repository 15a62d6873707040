"""The `ray start` command of a node: resources, ports, directories.

The process is started and stopped by node.py.
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
"""Below the ephemeral ports of the kernel (from 32768), above those of services."""
SERVICES = ("node-manager", "object-manager", "runtime-env-agent", "dashboard-agent-listen", "dashboard-agent-grpc", "metrics-export")
HEAD_SERVICES = ("", "dashboard", "ray-client-server")
"""Names of `ray start`'s port options; the empty one is the port of the cluster, `--port`."""
WITHOUT_EXPORTERS = {"RAY_enable_metrics_collection": "0", "DASHBOARD_METRIC_PORT": "65536", "AUTOSCALER_METRIC_PORT": "65536"}
"""Environment of a Ray without exporters of metrics, which answer anybody: two have no switch, but need a port that can be."""
NODE_LABEL = "slurm-node"
"""Ray label that holds a node's name in Slurm, which may differ from its host name."""


def job_resource(job_id: str) -> str:
    """Return the Ray resource that only nodes of this job have, one per core: steps of a job do not reach nodes that other jobs lend."""
    return f"slurm-job-{job_id}"


def port_block(job_id: str) -> range:
    """Return the ports that a job may use on its nodes: jobs with neighbouring ids share none."""
    blocks = (LAST_PORT - FIRST_PORT) // PORTS_PER_JOB
    first = FIRST_PORT + int(job_id) % blocks * PORTS_PER_JOB
    return range(first, first + PORTS_PER_JOB)


def free_ports(block: range, names: Sequence[str]) -> dict[str, int]:
    """Return a free port of the block for each name.

    Raises:
        UserError: Too few ports are free.
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
    """Return the `ray start` command for the resources that Slurm allocated, never for the whole node.

    Args:
        node: Slurm's name of this node.
        job_id: Slurm's id of the job.
        address: IP address of this node.
        head: HOST:PORT of the Ray head to join; None makes this node the head.
        ports: Port by service, as `free_ports` returns them.
        allocation: Resources of this node.
        local: Ray's directory on the node's local disk.
        dashboard: Whether the head serves the dashboard, on its loopback interface alone.
    """
    role = [f"--address={head}"] if head else ["--head", f"--include-dashboard={str(dashboard).lower()}", "--dashboard-host=127.0.0.1"]
    return [
        str(Path(sys.executable).parent / "ray"),
        "start",
        "--block",
        *role,
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
        "--no-monitor",  # of an autoscaler, which is not used; its exporter would answer anybody
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
