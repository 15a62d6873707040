"""The ssh command that forwards a job's Ray dashboard to the user's machine: `python -m hadamard.slurm.tunnel CLUSTER_JSON`.

Called by sweep.sbatch. The dashboard itself is started by node.py, and listens on its node's loopback interface alone.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hadamard.slurm.cluster_file import Cluster

LOCAL_PORT = 8265


@dataclass(frozen=True)
class Tunnel:
    """A way to a dashboard.

    Attributes:
        ssh: Command to keep running on the user's machine.
        url: Address to open there while it runs.
        token_file: File on the cluster with the token that the dashboard asks for.
    """

    ssh: str
    url: str
    token_file: str


def tunnel(cluster: Cluster, user: str, login_host: str | None) -> Tunnel | None:
    """Return the way to a cluster's dashboard; None if it has none.

    Args:
        cluster: The Ray cluster.
        user: User name on the Slurm cluster.
        login_host: Host to jump through, where compute nodes cannot be reached directly.
    """
    if cluster.dashboard_port is None:
        return None
    jump = f" -J {user}@{login_host}" if login_host else ""
    ssh = f"ssh -N{jump} -L {LOCAL_PORT}:localhost:{cluster.dashboard_port} {user}@{cluster.node}"
    return Tunnel(ssh, f"http://localhost:{LOCAL_PORT}", cluster.token_file)


def tunnel_here(cluster: Cluster, environment: Mapping[str, str] = os.environ) -> Tunnel | None:
    """Return the way to a cluster's dashboard for the current user, through $HADAMARD_LOGIN_HOST if that is set."""
    return tunnel(cluster, getpass.getuser(), environment.get("HADAMARD_LOGIN_HOST"))


def in_words(way: Tunnel) -> list[str]:
    """Return the lines that `hadamard status` and the job's log show."""
    return [f"dashboard {way.ssh}", f"          then {way.url}, which asks once for the token: cat {way.token_file}"]


def main() -> None:
    """Print the lines for the cluster file that is named on the command line; nothing if the cluster has no dashboard."""
    if way := tunnel_here(Cluster.read(Path(sys.argv[1]))):
        print("\n".join(in_words(way)))


if __name__ == "__main__":
    main()
