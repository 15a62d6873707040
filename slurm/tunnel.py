"""How to reach the Ray dashboard of a job from one's own machine: `python -m hadamard.slurm.tunnel CLUSTER_JSON`.

Called by slurm/sweep.sbatch.

Owns the ssh line and its wording. Does not own the dashboard, which answers on its node's loopback alone.
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
    """The way to a dashboard.

    Attributes:
        ssh: The command to keep running on one's own machine.
        url: What to open there then.
        token_file: On the cluster; holds what the dashboard asks for once.
    """

    ssh: str
    url: str
    token_file: str


def tunnel(cluster: Cluster, user: str, login_host: str | None) -> Tunnel | None:
    """Return the way to a cluster's dashboard, or None where there is none.

    Args:
        cluster: Where Ray runs.
        user: On the cluster.
        login_host: To go through, where compute nodes cannot be reached directly.
    """
    if cluster.dashboard_port is None:
        return None
    jump = f" -J {user}@{login_host}" if login_host else ""
    ssh = f"ssh -N{jump} -L {LOCAL_PORT}:localhost:{cluster.dashboard_port} {user}@{cluster.node}"
    return Tunnel(ssh, f"http://localhost:{LOCAL_PORT}", cluster.token_file)


def tunnel_here(cluster: Cluster, environment: Mapping[str, str] = os.environ) -> Tunnel | None:
    """Return the way to it for the user who asks, through $HADAMARD_LOGIN_HOST if that is set."""
    return tunnel(cluster, getpass.getuser(), environment.get("HADAMARD_LOGIN_HOST"))


def in_words(way: Tunnel) -> list[str]:
    """Return lines to paste from."""
    return [f"dashboard {way.ssh}", f"          then {way.url}, which asks once for the token: cat {way.token_file}"]


def main() -> None:
    """Print the lines for the cluster that a file describes; nothing where it has no dashboard."""
    if way := tunnel_here(Cluster.read(Path(sys.argv[1]))):
        print("\n".join(in_words(way)))


if __name__ == "__main__":
    main()
