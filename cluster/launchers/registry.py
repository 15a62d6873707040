"""All launchers. A new one is a file beside this one and a line here; nothing else names it."""

from __future__ import annotations

from hadamard.cluster.launchers.base import Launcher
from hadamard.model.errors import UserError
from hadamard.model.lazy import load

_NAMES = (  # from the general to the particular: of those that suit, the last one is taken
    "mpiexec:HYDRA",
    "mpiexec:PRTE",
    "srun:PMI2",
    "srun:PMIX",
    "srun:SITE",
)
LAUNCHERS: tuple[Launcher, ...] = tuple(load(f"hadamard.cluster.launchers.{name}") for name in _NAMES)


def launcher_for(job: str | None, library: str) -> Launcher:
    """Return the launcher of ranks.

    Args:
        job: The Slurm job of which they are to be a step; None: they are on this machine.
        library: What the MPI library that they load says of itself.
    """
    return [launcher for launcher in LAUNCHERS if launcher.starts_steps == (job is not None) and launcher.suits(library)][-1]


def check_launchers() -> None:
    """Refuse a machine on which no launcher is installed.

    Raises:
        UserError: Why the most general one cannot be used.
    """
    problems = []
    for launcher in LAUNCHERS:
        try:
            launcher.program()
        except UserError as error:
            problems.append(error)
        else:
            return
    raise problems[0]


def first_death(output: str) -> int | None:
    """Return the signal that ended the first of the ranks that a launcher names as dead in its output; None if it names none.

    Its exit code tells less: srun's is that of the ranks which it ended itself for the sake of the first.
    """
    deaths = [death for launcher in LAUNCHERS if (death := launcher.first_signal(output))]
    return min(deaths)[1] if deaths else None
