"""`srun` in a Slurm job: a step over its nodes, by the protocol that the ranks' MPI library takes."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from typing import ClassVar

from hadamard.cluster.launchers.base import Launcher
from hadamard.cluster.steps import step
from hadamard.model.errors import UserError

SRUN_MPI = "HADAMARD_SRUN_MPI"
"""Variable that names srun's `--mpi` where the site's MPI wants another than its family does."""
FLAVOURS = {
    "pmix": "Open MPI needs it; have the site install libpmix where Slurm's plugin looks (`srun --mpi=list` also names what cannot load)",
    "pmi2": "MPICH and its descendants need it; have the site install Slurm's mpi_pmi2 plugin",
}
"""Values of `--mpi`, and what each of them needs."""


class Srun(Launcher):
    """A step with some `--mpi`."""

    starts_steps: ClassVar[bool] = True
    deaths: ClassVar[re.Pattern[str]] = re.compile(
        r"^srun: error: \S+ tasks? \S+: (?P<signal>[A-Z][\w ]*?)(?: \(core dumped\))?$", re.MULTILINE
    )

    def __init__(self, flavour: str | None, libraries: str = "") -> None:
        """Prepare.

        Args:
            flavour: The value of `--mpi`; None: the one that the site names in `HADAMARD_SRUN_MPI`.
            libraries: With what the descriptions of the MPI libraries begin that take it.
        """
        self._flavour, self._libraries = flavour, libraries

    @property
    def flavour(self) -> str:
        """The value of `--mpi`; empty if the site names none."""
        return self._flavour or os.environ.get(SRUN_MPI, "")

    @property
    def name(self) -> str:
        """The command with its flavour."""
        return f"srun --mpi={self.flavour}"

    @property
    def fix(self) -> str:
        """What the flavour needs, and how to name another."""
        return f"{FLAVOURS[self.flavour]}; {SRUN_MPI} names another, such as cray_shasta" if self._flavour else f"unset {SRUN_MPI}"

    def program(self) -> str:
        """Return srun on PATH."""
        program = shutil.which("srun")
        if program is None or not self.flavour:
            raise UserError(f"there is no srun on PATH, or {SRUN_MPI} is not set")
        return program

    def suits(self, library: str) -> bool:
        """Whether the library is one of its family, or whether the site names a flavour."""
        return library.startswith(self._libraries) if self._flavour else bool(self.flavour)

    def command(self, hosts: Sequence[str], job: str | None, words: Sequence[str], threads: int) -> list[str]:
        """Return the command for a step on these nodes, which `$SLURM_HOSTFILE` lists."""
        assert job is not None
        options = [
            f"--mpi={self.flavour}",
            "--kill-on-bad-exit=1",
            "--distribution=arbitrary",  # each rank on the node that $SLURM_HOSTFILE says
            f"--nodes={len(set(hosts))}",
            f"--ntasks={len(hosts)}",
            f"--cpus-per-task={threads}",
            "--cpu-bind=none",  # steps overlap: each would tie its ranks to the job's first cores
        ]
        return step(job, words, options)


PMI2, PMIX, SITE = Srun("pmi2"), Srun("pmix", "Open MPI"), Srun(None)
