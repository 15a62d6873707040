"""Draining a node, by files in its own directory $HADAMARD_NODE_DIR: `leaving` requests it, `packs/PID` is there while work is unsaved."""

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
    """This node's directory on its own disk; None where there is none: such a node is never drained."""

    directory: Path | None

    @classmethod
    def here(cls, environment: Mapping[str, str] = os.environ) -> NodeDrain:
        """Return the files of the node that this process runs on."""
        directory = environment.get("HADAMARD_NODE_DIR")
        return cls(Path(directory) if directory else None)

    @property
    def draining(self) -> bool:
        """Whether packs here should save their work, since the node is about to leave the study."""
        return self.directory is not None and (self.directory / "leaving").exists()

    def begin(self) -> None:
        """Request that the packs here save their work."""
        assert self.directory is not None
        (self.directory / "leaving").touch()

    @property
    def in_use(self) -> bool:
        """Whether a living process here has unsaved work."""
        assert self.directory is not None
        return any(Path(f"/proc/{file.name}").exists() for file in self.directory.glob("packs/*"))

    @contextmanager
    def using(self) -> Iterator[None]:
        """Keep the node in use while this is entered; where its directory is gone already, nothing waits for that."""
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
