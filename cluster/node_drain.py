"""The node that a pack runs on: its name, and its own directory, through which packs and whoever started Ray there speak of leaving it.

Owns the name, $HADAMARD_NODE_DIR, its file `leaving` and its directory `packs`. Does not own when a node leaves, nor what a pack does then.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


def node_name(environment: Mapping[str, str] = os.environ) -> str:
    """Return this node's name: Slurm's, where there is one."""
    return environment.get("SLURMD_NODENAME") or socket.gethostname()


@dataclass(frozen=True)
class NodeDrain:
    """This node's directory on its own disk; None where nobody said so: such a node does not leave."""

    directory: Path | None

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> NodeDrain:
        """Return the place that this process is in."""
        directory = environment.get("HADAMARD_NODE_DIR")
        return cls(Path(directory) if directory else None)

    @property
    def leaving(self) -> bool:
        """Whether packs here should save their work, since the node is about to leave the study."""
        return self.directory is not None and (self.directory / "leaving").exists()

    def leave(self) -> None:
        """Tell the packs here that the node is about to leave."""
        assert self.directory is not None
        (self.directory / "leaving").touch()

    @property
    def is_busy(self) -> bool:
        """Whether a living process here has work that is not saved yet."""
        assert self.directory is not None
        return any(Path(f"/proc/{file.name}").exists() for file in self.directory.glob("packs/*"))

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Have whoever takes the node down wait for this process; a directory that is gone already waits for nobody."""
        if self.directory is None or not self.directory.is_dir():
            yield
            return
        (self.directory / "packs").mkdir(exist_ok=True)
        file = self.directory / "packs" / str(os.getpid())
        file.touch()
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
