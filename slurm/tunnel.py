"""How to reach the Ray dashboard of a job from one's own machine: `python -m slurm.tunnel CLUSTER_JSON`, called by slurm/sweep.sbatch.

Owns the wording of the ssh line. Does not own the dashboard, which answers on its node's loopback alone.
"""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from slurm.cluster_file import Cluster

LOCAL_PORT = 8265


def ssh_line(cluster: Cluster, user: str, login_host: str | None) -> str | None:
    """Return the command that brings the dashboard to http://localhost:8265, or None where there is no dashboard.

    Args:
        cluster: Where Ray runs.
        user: On the cluster.
        login_host: To go through, where compute nodes cannot be reached directly.
    """
    if cluster.dashboard_port is None:
        return None
    jump = f" -J {user}@{login_host}" if login_host else ""
    return f"ssh -N{jump} -L {LOCAL_PORT}:localhost:{cluster.dashboard_port} {user}@{cluster.node}"


def tunnel_lines(cluster: Cluster, environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return, ready to paste, how to see the dashboard; nothing where there is none. $HADAMARD_LOGIN_HOST is the host to go through."""
    line = ssh_line(cluster, getpass.getuser(), environment.get("HADAMARD_LOGIN_HOST"))
    if line is None:
        return []
    return [
        f"dashboard  {line}",
        f"           then http://localhost:{LOCAL_PORT}, which asks once for the token: cat {cluster.token_file}",
    ]


def main() -> None:
    """Print the lines for the cluster that a file describes."""
    for line in tunnel_lines(Cluster.read(Path(sys.argv[1]))):
        print(line)


if __name__ == "__main__":
    main()
