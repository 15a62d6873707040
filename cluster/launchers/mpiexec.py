"""`mpiexec` on this machine: that of MPICH and those made of it, and that of Open MPI."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from hadamard.cluster.launchers.base import Launcher
from hadamard.model.errors import UserError


class Mpiexec(Launcher):
    """What the launchers of both families have in common."""

    name = "mpiexec"
    starts_steps: ClassVar[bool] = False
    fix = "mpiexec has to be of the MPI library that mpi4py loads"
    options: ClassVar[tuple[str, ...]]

    def program(self) -> str:
        """Return the launcher that is installed with this Python if there is one, as its MPI library is, else that on PATH."""
        return find_mpiexec()

    def command(self, hosts: Sequence[str], job: str | None, words: Sequence[str], threads: int) -> list[str]:
        """Return the command for ranks on this machine."""
        return [self.program(), *self.options, "-n", str(len(hosts)), *words]


class Hydra(Mpiexec):
    """The launcher of MPICH, Intel MPI, MVAPICH and others made of MPICH."""

    options: ClassVar[tuple[str, ...]] = ("-launcher", "fork")  # else it would use ssh where it does not see Slurm's variables
    deaths: ClassVar[re.Pattern[str]] = re.compile(r"^=\s+EXIT CODE: (?P<signal>\d+)$", re.MULTILINE)

    def suits(self, library: str) -> bool:
        """Whether the library is any: this is the default."""
        return True


class Prte(Mpiexec):
    """The launcher of Open MPI: it refuses more ranks than cores, and ties each to one that others may use."""

    options: ClassVar[tuple[str, ...]] = ("--oversubscribe", "--bind-to", "none")
    deaths: ClassVar[re.Pattern[str]] = re.compile(r"exited on signal (?P<signal>\d+)")

    def suits(self, library: str) -> bool:
        """Whether the library is Open MPI."""
        return library.startswith("Open MPI")


def find_mpiexec(beside: Path = Path(sys.executable), path: str | None = None) -> str:
    """Return the launcher beside a Python, else on PATH.

    Raises:
        UserError: There is none.
    """
    program = shutil.which("mpiexec", path=str(beside.parent)) or shutil.which("mpiexec", path=path)
    if program is None:
        raise UserError(f"there is no mpiexec beside {beside} or on PATH. Install it with: pip install 'hadamard[mpi]'")
    return program


HYDRA, PRTE = Hydra(), Prte()
