"""The cluster file, `cluster.json`: the address of a job's Ray cluster.

The head node writes it (node.py); worker nodes, jobs that join, and `hadamard status` read it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hadamard.model.files.atomic import write_atomically


@dataclass(frozen=True)
class Cluster:
    """A running Ray cluster.

    Attributes:
        job: Slurm's id of the job that started it.
        restart: How often that job had been requeued.
        address: HOST:PORT of the Ray head.
        node: Slurm's name of the head node.
        dashboard_port: Port on the head node's loopback interface; None without a dashboard.
        token_file: File with the authentication token, readable by its user alone: whoever has the token can run code in this cluster.
    """

    job: str
    restart: int
    address: str
    node: str
    dashboard_port: int | None
    token_file: str

    @classmethod
    def read(cls, file: Path) -> Cluster:
        """Read a cluster file."""
        return cls(**json.loads(file.read_text()))

    def write(self, file: Path) -> None:
        """Write the cluster file atomically."""
        write_atomically(file, json.dumps(asdict(self), indent=1))
