"""The ranks of an MPI program: where they run, which MPI library they load, and what starts them."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hadamard.cluster.launchers.registry import launcher_for
from hadamard.cluster.steps import step_environment
from hadamard.model.errors import UserError
from hadamard.model.training.rank_main import OWN_GPUS

ASK_LIBRARY = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.Get_library_version())"
ASK_S = 60.0


@dataclass(frozen=True)
class RankPlacement:
    """Where the ranks of a program run, and who starts them.

    Attributes:
        hosts: The node of each rank, by Slurm's names for a job; only their number counts otherwise.
        job: The Slurm job of which they are a step; None: mpiexec starts them on this machine.
        shards: How many of them share each state.
        gpus: What each rank's environment is to say of its GPUs, in the variables of `GPU_MASKS`; none where they have none.
    """

    hosts: tuple[str, ...]
    job: str | None
    shards: int
    gpus: tuple[Mapping[str, str], ...] = ()

    def with_all_gpus(self) -> RankPlacement:
        """Return the same, with each rank seeing the GPUs of all ranks on its node, in the same order for all of them."""
        if not self.gpus:
            return self
        on: dict[str, dict[str, str]] = {}
        for host, masks in zip(self.hosts, self.gpus, strict=True):
            here = on.setdefault(host, {})
            for name, mask in masks.items():
                here[name] = f"{here[name]},{mask}" if name in here else mask
        return replace(self, gpus=tuple(on[host] for host in self.hosts))


def library() -> str:
    """Return what the MPI library that mpi4py loads says of itself; it is loaded by another process, since it takes a process over.

    Raises:
        UserError: There is none.
    """
    try:
        done = subprocess.run(
            [sys.executable, "-c", ASK_LIBRARY], capture_output=True, text=True, timeout=ASK_S, env=step_environment(), check=True
        )
    except subprocess.TimeoutExpired as error:
        raise UserError(f"the MPI library that mpi4py loads did not answer within {ASK_S:g} s") from error
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"MPI cannot be loaded here: {said}. Install it with: pip install 'hadamard[mpi]'") from error
    return done.stdout.strip("\0\n ")


known_library = functools.cache(library)
"""The same, asked once."""


def launch_command(places: RankPlacement, words: Sequence[str], library: str, threads: int) -> list[str]:
    """Return the command that starts each of the ranks by the same words.

    Args:
        places: Where the ranks run.
        words: What each of them runs.
        library: The MPI library that they load, as `library` returns it.
        threads: Of each rank.

    Raises:
        UserError: There is no launcher here.
    """
    return launcher_for(places.job, library).command(places.hosts, places.job, words, threads)


def launch_environment(places: RankPlacement, own: Mapping[str, str], host_file: Path) -> dict[str, str]:
    """Return the launcher's environment, from this process's or one made of it; ranks inherit it.

    Args:
        places: Where the ranks run.
        own: The environment to begin with.
        host_file: Names the node of each rank, a line each.
    """
    kept = {**step_environment(own), **({OWN_GPUS: json.dumps(places.gpus)} if places.gpus else {})}
    if places.job is None:
        return {name: value for name, value in kept.items() if not name.startswith("SLURM_")}
    return {**kept, "SLURM_HOSTFILE": str(host_file)}
