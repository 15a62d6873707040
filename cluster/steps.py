"""Steps of the Slurm job that this process is in: `srun` commands that share the job's resources, and the environment for them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence

KEPT = ("SLURM_JOB_ID", "SLURM_CONF")
FOREIGN = ("SLURM_", "SRUN_", "PMI", "OMPI_", "PRTE_")
"""Beginnings of what Slurm and launchers of MPI tell a process of its own place; srun would take it as defaults, MPI as its own."""


def own_job(environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the Slurm job on one of whose nodes this process is, if steps of it can be started from here."""
    on_node = "SLURMD_NODENAME" in environment  # an interactive job's shell may be on the login node, where Ray is then, too
    return environment.get("SLURM_JOB_ID") if on_node and shutil.which("srun", path=environment.get("PATH")) else None


def step(job: str, words: Sequence[str], options: Sequence[str] = ()) -> list[str]:
    """Return the command of a step that runs beside what the job runs already, sharing its cores and memory."""
    return ["srun", f"--jobid={job}", "--overlap", "--mem=0", *options, *words]


def step_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for a step: without the job's or an outer step's geometry, which srun would take as defaults."""
    return {name: value for name, value in environment.items() if name in KEPT or not name.startswith(FOREIGN)}
