"""The directory of a job on a node's local disk: Ray's sockets and logs, and the files by which a node is drained.

What is in it is written by node.py and cluster/node_drain.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hadamard.model.errors import UserError
from hadamard.slurm.jobs import restart_count

LONGEST_SOCKET = 107
SOCKET_BELOW = len("/session_2026-01-01_00-00-00_000000_4194304/sockets/plasma_store")


def scratch(environment: Mapping[str, str] = os.environ) -> tuple[str, Path]:
    """Return the scratch directory of a job, after the name of the variable that sets it, or `default`."""
    for name in ("HADAMARD_SCRATCH", "SLURM_TMPDIR"):
        if environment.get(name):
            return f"${name}", Path(environment[name])
    return "default", Path("/tmp")


def local_name(host: str, environment: Mapping[str, str]) -> str:
    """Return the name of a job's directory on a node: its own for each start of the job, also where nodes share a disk."""
    return f"hd-{environment['SLURM_JOB_ID']}-{restart_count(environment)}-{host}"


def local_directory(host: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of a job on a node's local disk.

    Raises:
        UserError: The path is too long for Ray's sockets.
    """
    local = scratch(environment)[1] / local_name(host, environment)
    excess = len(str(local)) + SOCKET_BELOW - LONGEST_SOCKET
    if excess > 0:
        raise UserError(
            f"the path {local} is too long by {excess} characters: Ray puts sockets below it, whose paths may have {LONGEST_SOCKET}. "
            "Set HADAMARD_SCRATCH to a shorter directory on the node's own disk (docs/slurm.md: site profiles)"
        )
    return local
