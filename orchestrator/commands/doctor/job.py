"""What a Slurm job has: Slurm's view and Ray's view of each node side by side."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from hadamard.cluster.scratch import scratch
from hadamard.orchestrator.commands.doctor.check import Check, check, reason
from hadamard.orchestrator.formats import count, duration
from hadamard.slurm.allocated import AllocatedResources, allocated
from hadamard.slurm.cluster_file import Cluster
from hadamard.slurm.jobs import details
from hadamard.slurm.node_directory import local_name

RAY_TIMEOUT_S = 60.0
RAY_FIX = "start Ray by slurm/sweep.sbatch, which gives it what Slurm gave the job, never what the node has"
ASK_RAY = """
import json, logging, ray
ray.init(log_to_driver=False, logging_level=logging.ERROR)
print(json.dumps([[node["NodeManagerHostname"].split(".")[0], node["Resources"]] for node in ray.nodes() if node["Alive"]]))
"""


@dataclass(frozen=True)
class RayNode:
    """What Ray counts on a node."""

    cpus: float
    gpus: float
    memory_bytes: float


def checks() -> Iterator[Check]:
    """Yield each check as soon as it is made; outside a job there is one."""
    job = os.environ.get("SLURM_JOB_ID")
    sbatch = shutil.which("sbatch")
    if sbatch is None or job is None:
        yield check(
            "Slurm",
            sbatch is not None,
            f"{sbatch}, not inside a job" if sbatch else "no sbatch on PATH",
            "studies run on this machine alone",
        )
        return
    yield _job(job)
    nodes = allocated(job)
    file = find_cluster()
    if file is None:
        yield from (check(f"node {host}", True, f"Slurm: {_in_words(node)}") for host, node in nodes.items())
        yield check(
            "Ray of the job", False, "none is up, or not on this node", "`sbatch slurm/sweep.sbatch STUDY` starts it; ask again on its node"
        )
    else:
        yield from _ray(file, nodes)


def find_cluster(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Return the file that describes this job's Ray: $HADAMARD_CLUSTER, else the one that this node keeps while Ray is up."""
    if named := environment.get("HADAMARD_CLUSTER"):
        return Path(named)
    return next(scratch(environment)[1].glob(f"{local_name('*', environment)}/cluster.json"), None)


def compare(nodes: Mapping[str, AllocatedResources], ray: Mapping[str, RayNode]) -> Iterator[Check]:
    """Put what Slurm gave and what Ray counts side by side; they should be the same, though Ray may have been given less memory."""
    for host, node in nodes.items():
        seen = ray.get(host)
        if seen is None:
            yield check(
                f"node {host}", False, f"Slurm: {_in_words(node)}; Ray is not there", "see the job's log, and nodes/ in its directory"
            )
            continue
        too_much = node.memory_bytes is not None and seen.memory_bytes > node.memory_bytes
        same = (seen.cpus, seen.gpus) == (node.cpus, node.gpus) and not too_much
        yield check(f"node {host}", same, f"Slurm: {_in_words(node)}; Ray: {'the same' if same else _in_words(seen)}", RAY_FIX)
    if lent := len(ray.keys() - nodes.keys()):
        yield check("lent to it", True, f"{count(lent, 'node')} of other jobs")


def _job(job: str) -> Check:
    known = details(job)
    if known is None:
        return check("Slurm", False, f"inside job {job}, but Slurm does not answer", "try `squeue`; Slurm's controller may be busy or down")
    left = known["time_left_s"]
    time = "no time limit" if left is None else f"{duration(left)} left"
    return check("Slurm", True, f"job {job}, {str(known['state']).lower()} on {known['nodes']}, {time}")


def _ray(file: Path, nodes: Mapping[str, AllocatedResources]) -> Iterator[Check]:
    """Ask the job's Ray, as one more driver of it."""
    try:
        cluster = Cluster.read(file)
        access = {"RAY_ADDRESS": cluster.address, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": cluster.token_file}
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", ASK_RAY],
            capture_output=True,
            text=True,
            timeout=RAY_TIMEOUT_S,
            env={**os.environ, **access},
        )
    except (OSError, ValueError, TypeError, subprocess.TimeoutExpired) as error:
        yield check("Ray of the job", False, f"{file}: {error}", "see the job's log")
        return
    if done.returncode:
        yield check("Ray of the job", False, f"{cluster.address} does not answer: {reason(done.stderr)}", "see the job's log")
        return
    seen = {
        host: RayNode(has.get("CPU", 0), has.get("GPU", 0), has.get("memory", 0)) for host, has in json.loads(done.stdout.splitlines()[-1])
    }
    yield check("Ray of the job", True, f"{cluster.address}, {count(len(seen), 'node')}, led by job {cluster.job}")
    yield from compare(nodes, seen)


def _in_words(node: AllocatedResources | RayNode) -> str:
    memory = "memory not counted" if node.memory_bytes is None else f"{node.memory_bytes / 2**30:.1f} GiB"
    return f"{count(int(node.cpus), 'core')}, {count(int(node.gpus), 'GPU')}, {memory}"
