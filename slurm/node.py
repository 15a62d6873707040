"""Ray on one node of a Slurm job: `python -m hadamard.slurm.node JOB_DIR [CLUSTER_JSON] [--no-dashboard]`.

node.sh starts this on every node. The `ray start` command is built by ray_start.py. sweep.sbatch writes to JOB_DIR/orders what the nodes
should do: `stay`, `leave` (let packs save, then stop) or `stop`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hadamard.cluster.allocation import detect
from hadamard.cluster.node_drain import NodeDrain, node_name
from hadamard.cluster.scratch import RAY, make_private
from hadamard.model.errors import UserError
from hadamard.model.files.atomic import write_atomically
from hadamard.slurm import jobs
from hadamard.slurm.cluster_file import Cluster
from hadamard.slurm.node_directory import local_directory
from hadamard.slurm.ray_start import HEAD_SERVICES, SERVICES, WITHOUT_EXPORTERS, free_ports, port_block, start_command
from hadamard.slurm.requeue import requeue_if_lost

STARTED = "Ray runtime started."
LEAVE_GRACE_S = 60.0
STOP_GRACE_S = 4.0  # Slurm may leave as little as five between TERM and KILL; what still runs then ends with the step
HEAD_CHECK_S = 5.0
HEAD_GONE_AFTER = 3
"""Number of failed connections in a row after which the job of the head has ended, or its node is lost."""


class Clock(Protocol):
    """What is used of the module `time`."""

    def monotonic(self) -> float:
        """Return seconds since some moment."""

    def sleep(self, seconds: float, /) -> None:
        """Wait."""


@dataclass(frozen=True)
class Node:
    """The directories of this node and of its job.

    Attributes:
        host: Slurm's name of the node.
        job: The job's directory, on the shared file system.
        local: The job's directory on this node's local disk, for Ray's sockets and logs, and for draining the node.
    """

    host: str
    job: Path
    local: Path

    @property
    def order(self) -> str:
        """The batch script's current order."""
        return order_of(self.job)

    @property
    def drain(self) -> NodeDrain:
        """The files by which this node is drained."""
        return NodeDrain(self.local)

    @property
    def ray(self) -> Path:
        """Ray's own directory."""
        return self.local / RAY

    @property
    def start_log(self) -> Path:
        """The output of `ray start`."""
        return self.local / "start.log"


def order_of(job: Path) -> str:
    """Return the batch script's order to its nodes: `stay`, `leave` or `stop`.

    The script writes the file in place, which other machines see sooner than a new file, so it may be read as empty for a moment.
    """
    with contextlib.suppress(OSError):  # a file server that hangs for a moment is no reason to leave
        return (job / "orders").read_text().strip() or "stay"
    return "stay"


def report_state(job: Path, host: str, state: str, sentence: str) -> None:
    """Tell the batch script the state of a node: `ready` or `failed`."""
    write_atomically(job / "nodes" / f"{host}.{state}", f"{host}: {sentence}\n")


def launch(node: Node, head: Cluster | None, dashboard: bool) -> tuple[subprocess.Popen[bytes], Cluster]:
    """Start Ray on this node; return its process and the cluster that it joins, or that it becomes the head of.

    Args:
        node: This node.
        head: The cluster to join; None makes this node a head.
        dashboard: Whether a head serves the dashboard.

    Raises:
        UserError: Too few ports are free, or this node's directory is not ours alone.
    """
    job, restart = os.environ["SLURM_JOB_ID"], jobs.restart_count(os.environ)
    ports = free_ports(port_block(job), SERVICES if head else (*HEAD_SERVICES, *SERVICES))
    make_private(node.local)
    address = _address(node.host)
    cluster = head or Cluster(
        job, restart, f"{address}:{ports['']}", node.host, ports["dashboard"] if dashboard else None, str(node.job / "token")
    )
    command = start_command(node.host, job, address, head.address if head else None, ports, detect(), node.ray, dashboard)
    secret = {**WITHOUT_EXPORTERS, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": cluster.token_file}
    with open(node.start_log, "wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **secret, "HADAMARD_NODE_DIR": str(node.local)},
        )
    return process, cluster


def wait_until_up(node: Node, ray: subprocess.Popen[bytes], head: Cluster | None, clock: Clock = time) -> None:
    """Return once Ray has started on this node; the batch script decides how long that may take.

    Raises:
        UserError: Ray did not start, with the end of its output; or the head to join does not answer.
    """
    while STARTED not in (output := node.start_log.read_text(errors="replace")):
        _check_still_wanted(node.job)
        if head is not None and not _answers(head.address):
            raise UserError(f"the Ray head at {head.address} does not answer")
        if ray.poll() is not None:
            raise UserError(f"Ray did not start (exit code {ray.returncode}): {_last_lines(output)}")
        clock.sleep(0.2)


def watch(node: Node, ray: subprocess.Popen[bytes], cluster: Cluster, is_head: bool, clock: Clock = time) -> int:
    """Wait for an order to stop or leave, for Ray's end, or for the loss of the head; return this node's exit code."""
    failures, checked = 0, clock.monotonic()
    while ray.poll() is None:
        if node.order == "stop":
            return 0
        if node.order == "leave":
            _let_packs_save(node, clock)
            return 0
        if not is_head and clock.monotonic() - checked > HEAD_CHECK_S:
            checked, failures = clock.monotonic(), 0 if _answers(cluster.address) else failures + 1
            if failures >= HEAD_GONE_AFTER:
                print(f"{node.host}: the Ray head at {cluster.address} is gone", flush=True)
                return 0
        clock.sleep(0.5)
    print(f"{node.host}: Ray ended here (exit code {ray.returncode})", flush=True)
    return 0 if not is_head and not _answers(cluster.address) else 1


def take_down(node: Node, ray: subprocess.Popen[bytes]) -> None:
    """Stop the Ray that was started here, and no other; move its logs to the job's directory and remove the local directory."""
    for pid in (*_raylets(ray.pid), ray.pid):  # the raylet first: it signs off at the head, which would otherwise report a crash
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            _ends_within(ray, 1.0)
    if not _ends_within(ray, STOP_GRACE_S):
        ray.kill()
    logs = node.ray / "session_latest" / "logs"
    if logs.exists():
        with contextlib.suppress(OSError):  # logs come and go while they are copied
            shutil.copytree(logs, node.job / "ray-logs" / node.host, dirs_exist_ok=True, ignore_dangling_symlinks=True)
    shutil.rmtree(node.local, ignore_errors=True)


def run(job: Path, to_join: Path | None, dashboard: bool) -> int:
    """Run Ray on this node for as long as the batch script wants it; return the exit code."""
    host = node_name()
    is_head = to_join is None and os.environ["SLURM_NODEID"] == "0"
    ray = node = None
    try:
        joined = Cluster.read(to_join) if to_join else None
        node = Node(host, job, local_directory(host))
        head = None if is_head else joined or _wait_for_head(job)
        ray, cluster = launch(node, head, dashboard)
        wait_until_up(node, ray, head)
        if is_head:
            cluster.write(job / "cluster.json")
        cluster.write(node.local / "cluster.json")  # for programs on this node, such as `hadamard doctor`
        report_state(job, host, "ready", "Ray is up")
        code = watch(node, ray, cluster, is_head)
    except (UserError, OSError, ValueError, TypeError) as error:
        report_state(job, host, "failed", str(error))
        return 1
    except SystemExit:  # Slurm ends this job: if it helps another job's study, its packs are to save as on a node that leaves
        if node is not None and to_join is not None:
            node.drain.begin()
        raise
    finally:
        if node is not None and ray is not None:
            take_down(node, ray)
    if to_join is None and not is_head:
        requeue_if_lost(cluster.node, lambda: order_of(job) == "stay")
    return code


def _exit_once(*_signal: object) -> None:
    """Exit at the first SIGTERM, cleaning up; Slurm may send several."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def _wait_for_head(job: Path, clock: Clock = time) -> Cluster:
    """Return this job's cluster once its first node has written the cluster file."""
    while not (file := job / "cluster.json").exists():
        _check_still_wanted(job)
        clock.sleep(0.2)
    return Cluster.read(file)


def _check_still_wanted(job: Path) -> None:
    """Raise a UserError if the batch script no longer wants this node before it is up."""
    if (order := order_of(job)) != "stay":
        raise UserError(f"was told to {order} before Ray was up")


def _let_packs_save(node: Node, clock: Clock) -> None:
    """Drain the node: wait until its packs have saved their work. They then wait for Ray's end here, and are started elsewhere."""
    node.drain.begin()
    deadline = clock.monotonic() + LEAVE_GRACE_S
    while node.drain.in_use and clock.monotonic() < deadline:
        clock.sleep(0.2)


def _address(host: str) -> str:
    """Return this node's address as other nodes know it; some systems resolve a machine's own name to the loopback interface."""
    address = socket.gethostbyname(host)
    if address.startswith("127."):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.connect(("10.255.255.255", 1))  # sends nothing: it only selects the outgoing interface
            address = str(probe.getsockname()[0])
    return address


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError:
        return False
    return True


def _raylets(pid: int) -> list[int]:
    """Return the raylet among a process's children; none if they are just ending."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if b"raylet/raylet" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return []


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _last_lines(output: str) -> str:
    """Return the last lines of the output of `ray start`, which hold the reason."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-600:] or "it printed nothing"


def main() -> int:
    """Run as a program; exit code 0: this node was ordered down or its head is gone, 1: Ray did not start, or it died."""
    job, *head = [Path(word) for word in sys.argv[1:] if not word.startswith("--")]
    signal.signal(signal.SIGTERM, _exit_once)
    return run(job, head[0] if head else None, "--no-dashboard" not in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
