"""The file that says where a job's Ray is: written by the head's node, read by workers, by jobs that join, by `hadamard status`.

Owns its fields and its reading and writing. Does not own Ray.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from hadamard.model.files.atomic import write_atomically


@dataclass(frozen=True)
class Cluster:
    """A running Ray.

    Attributes:
        job: Slurm's id of the job that leads it.
        restart: How often that job had been requeued.
        address: HOST:PORT of the head.
        node: The head's node, by Slurm's name.
        dashboard_port: On that node's loopback; None if there is no dashboard.
        token_file: Readable by its user alone; whoever holds the token may run code here.
    """

    job: str
    restart: int
    address: str
    node: str
    dashboard_port: int | None
    token_file: str

    @classmethod
    def read(cls, file: Path) -> Cluster:
        """Return what a file says."""
        return cls(**json.loads(file.read_text()))

    def write(self, file: Path) -> None:
        """Write it as a whole or not at all."""
        write_atomically(file, json.dumps(asdict(self), indent=1))
