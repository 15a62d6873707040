"""The directory of a job on a node's local disk: Ray's sockets and logs, and the files by which a node is drained.

What is in it is written by node.py and cluster/node_drain.py.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hadamard.cluster.scratch import check_length, scratch
from hadamard.slurm.jobs import restart_count


def local_name(host: str, environment: Mapping[str, str]) -> str:
    """Return the name of a job's directory on a node: its own for each start of the job, also where nodes share a disk."""
    return f"hd-{environment['SLURM_JOB_ID']}-{restart_count(environment)}-{host}"


def local_directory(host: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Return the directory of a job on a node's local disk.

    Raises:
        UserError: The path is too long for Ray's sockets.
    """
    local = scratch(environment)[1] / local_name(host, environment)
    check_length(local)
    return local
