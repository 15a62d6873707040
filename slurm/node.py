"""Ray on one node of a Slurm job: `python -m hadamard.slurm.node JOB_DIR [CLUSTER_JSON] [--no-dashboard]`.

Started on every node by slurm/node.sh.

Owns Ray's process there, its local directory, and taking down exactly what it started. Does not own the line that starts it (ray_start.py),
nor which job leads a study or when nodes leave: slurm/sweep.sbatch writes that into JOB_DIR/orders.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from hadamard.cluster.allocation import detect
from hadamard.cluster.node_drain import NodeDrain, node_name
from hadamard.model.errors import UserError
from hadamard.model.files.atomic import write_atomically
from hadamard.slurm import jobs
from hadamard.slurm.cluster_file import Cluster
from hadamard.slurm.node_directory import local_directory
from hadamard.slurm.ray_start import HEAD_SERVICES, SERVICES, free_ports, port_block, start_command

STARTED = "Ray runtime started."
LEAVE_GRACE_S = 60.0
STOP_GRACE_S = 4.0  # Slurm may leave as little as five between TERM and KILL; what still runs then ends with the step
HEAD_GONE_AFTER = 3
"""So many failed calls in a row, five seconds apart: then its job has ended, or its node is lost."""


@dataclass(frozen=True)
class Node:
    """Where this node keeps what, and where the job keeps what all its nodes share.

    Attributes:
        host: Slurm's name of the node.
        job: The job's directory, on the shared file system.
        local: This node's own directory, on its own disk: Ray's sockets and logs, and what packs and this module tell each other.
    """

    host: str
    job: Path
    local: Path

    @property
    def order(self) -> str:
        """What the batch script wants of this node now."""
        return order_of(self.job)

    @property
    def place(self) -> NodeDrain:
        """What this module and the node's packs tell each other."""
        return NodeDrain(self.local)

    @property
    def start_log(self) -> Path:
        """What `ray start` says."""
        return self.local / "start.log"


def order_of(job: Path) -> str:
    """Return what the batch script wants of its nodes: `stay`, `leave` or `stop`.

    It writes the file in place, which other machines see sooner than a new one, and which may be read as empty for a moment.
    """
    with contextlib.suppress(OSError):  # a file server that hangs for a moment is no reason to go
        return (job / "orders").read_text().strip() or "stay"
    return "stay"


def say(job: Path, host: str, state: str, sentence: str) -> None:
    """Tell the batch script how a node is: `ready` or `failed`."""
    write_atomically(job / "nodes" / f"{host}.{state}", f"{host}: {sentence}\n")


def launch(node: Node, head: Cluster | None, dashboard: bool) -> tuple[subprocess.Popen[bytes], Cluster]:
    """Start Ray on this node; return its process and the cluster that it belongs to, or that it will be the head of.

    Args:
        node: This one.
        head: The cluster to join; None makes this node a head.
        dashboard: Whether a head serves it.

    Raises:
        UserError: There are not enough free ports.
    """
    job, restart = os.environ["SLURM_JOB_ID"], jobs.restart_count(os.environ)
    ports = free_ports(port_block(job), SERVICES if head else (*HEAD_SERVICES, *SERVICES))
    node.local.mkdir(mode=0o700, parents=True, exist_ok=True)
    address = _address(node.host)
    cluster = head or Cluster(
        job, restart, f"{address}:{ports['']}", node.host, ports["dashboard"] if dashboard else None, str(node.job / "token")
    )
    command = start_command(node.host, job, address, head.address if head else None, ports, detect(), node.local, dashboard)
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": cluster.token_file}
    with open(node.start_log, "wb") as output:
        process = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            env={**os.environ, **secret, "HADAMARD_NODE_DIR": str(node.local)},
        )
    return process, cluster


def wait_until_up(node: Node, ray: subprocess.Popen[bytes], head: Cluster | None) -> None:
    """Return once Ray has started here; how long that may take, the batch script decides.

    Raises:
        UserError: It did not; the message holds what it said, or that the head to join is gone.
    """
    while STARTED not in (said := node.start_log.read_text(errors="replace")):
        _obey(node.job)
        if head is not None and not _answers(head.address):
            raise UserError(f"the Ray head at {head.address} does not answer")
        if ray.poll() is not None:
            raise UserError(f"Ray did not start (exit code {ray.returncode}): {_reason(said)}")
        time.sleep(0.2)


def watch(node: Node, ray: subprocess.Popen[bytes], cluster: Cluster, is_head: bool) -> int:
    """Stay until ordered to stop or leave, until Ray ends here or the head is gone; return the exit code of it."""
    unanswered, asked = 0, time.monotonic()
    while ray.poll() is None:
        if node.order == "stop":
            return 0
        if node.order == "leave":
            _let_packs_save(node)
            return 0
        if not is_head and time.monotonic() - asked > 5.0:
            asked, unanswered = time.monotonic(), 0 if _answers(cluster.address) else unanswered + 1
            if unanswered >= HEAD_GONE_AFTER:
                print(f"{node.host}: the Ray head at {cluster.address} is gone", flush=True)
                return 0
        time.sleep(0.5)
    print(f"{node.host}: Ray ended here (exit code {ray.returncode})", flush=True)
    return 0 if not is_head and not _answers(cluster.address) else 1


def take_down(node: Node, ray: subprocess.Popen[bytes]) -> None:
    """Stop the Ray that was started here, and no other; keep its logs in the job's directory and nothing on this node."""
    for pid in (*_raylets(ray.pid), ray.pid):  # the raylet first: it takes leave of the head, which else tells users of a crash
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
            _wait(ray, 1.0)
    if not _wait(ray, STOP_GRACE_S):
        ray.kill()
    logs = node.local / "session_latest" / "logs"
    if logs.exists():
        with contextlib.suppress(OSError):  # logs come and go while they are copied
            shutil.copytree(logs, node.job / "ray-logs" / node.host, dirs_exist_ok=True, ignore_dangling_symlinks=True)
    shutil.rmtree(node.local, ignore_errors=True)


def _end(*_signal: object) -> None:
    """End in good order at the first SIGTERM; Slurm may send several."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(0)


def _wait_for_head(job: Path) -> Cluster:
    """Return this job's cluster once its first node has written where it is."""
    while not (file := job / "cluster.json").exists():
        _obey(job)
        time.sleep(0.2)
    return Cluster.read(file)


def _obey(job: Path) -> None:
    """Raise a UserError if the batch script no longer wants this node, though it is not up yet."""
    if (order := order_of(job)) != "stay":
        raise UserError(f"was told to {order} before Ray was up")


def _let_packs_save(node: Node) -> None:
    """Have this node's packs save their work and hold; they vanish from here with Ray, which starts them elsewhere."""
    node.place.leave()
    deadline = time.monotonic() + LEAVE_GRACE_S
    while node.place.is_busy and time.monotonic() < deadline:
        time.sleep(0.2)


def _address(host: str) -> str:
    """Return this node's address as other nodes know it; some systems name the loopback one for a machine's own name."""
    address = socket.gethostbyname(host)
    if address.startswith("127."):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
            probe.connect(("10.255.255.255", 1))  # sends nothing: it only chooses the way out
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
    """Return the raylet among a process's children; none if they are ending just now."""
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(child) for child in children if b"raylet/raylet" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return []


def _wait(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Wait for a process's end; whether it has come."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _reason(said: str) -> str:
    """Return the last lines of what `ray start` said, which hold the reason."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return " | ".join(lines[-3:])[-600:] or "it said nothing"


def run(job: Path, to_join: Path | None, dashboard: bool) -> int:
    """Have Ray on this node for as long as the batch script wants; return the exit code."""
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
        cluster.write(node.local / "cluster.json")  # for whoever asks on this node, such as `hadamard doctor`
        say(job, host, "ready", "Ray is up")
        code = watch(node, ray, cluster, is_head)
    except (UserError, OSError, ValueError, TypeError) as error:
        say(job, host, "failed", str(error))
        return 1
    except SystemExit:  # Slurm ends this job: for the study it helps, that is a node that leaves
        if node is not None and to_join is not None:
            node.place.leave()
        raise
    finally:
        if node is not None and ray is not None:
            take_down(node, ray)
    if to_join is None and not is_head:
        requeue_if_lost(cluster.node, node)
    return code


def requeue_if_lost(head: str, node: Node) -> None:
    """Put this job back into the queue if its first node is lost: the batch script has died with it, and nobody else would end the job."""
    job, restart, began = os.environ["SLURM_JOB_ID"], jobs.restart_count(os.environ), time.time()
    array, task = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    me = f"{array}_{task}" if array else job  # of an array's task the plain number may mean the whole array
    while node.order == "stay":
        time.sleep(random.uniform(2.0, 8.0))  # not all nodes at once
        if jobs.node_lost(head, began):
            if _is_running(job, restart):  # no other node has done so yet
                subprocess.run(["scontrol", "requeue", me])
            if _is_running(job, restart):  # Slurm refuses: nothing would ever end it
                subprocess.run(["scancel", me])
            return


def _is_running(job: str, restart: int) -> bool:
    found = jobs.details(job)
    return found is not None and found["state"] == "RUNNING" and (found["restarts"] or 0) == restart


def main() -> int:
    """Run as a program; exit code 0: this node was ordered down or its head is gone, 1: Ray did not start, or it died."""
    job, *head = [Path(word) for word in sys.argv[1:] if not word.startswith("--")]
    signal.signal(signal.SIGTERM, _end)
    return run(job, head[0] if head else None, "--no-dashboard" not in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
