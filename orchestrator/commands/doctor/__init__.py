"""`hadamard doctor`: what this machine, or this Slurm job, can do, why not the rest, and what to do about it.

A check that fails is an answer, not an error.
"""

from __future__ import annotations

from collections.abc import Iterator

from hadamard.orchestrator.commands.doctor import directories, job, listening, machine, mpi
from hadamard.orchestrator.commands.doctor.check import Check


def checks(of_mpi: bool = False) -> Iterator[Check]:
    """Yield each check as soon as it is made; those of MPI, which start real ranks, only if asked for, and then alone."""
    for group in (mpi,) if of_mpi else (machine, directories, job, listening):
        yield from group.checks()
