"""The command that starts the ranks of an MPI program: a step of the Slurm job that this process is in, elsewhere `mpiexec`.

Owns the command's words, its environment, and what launchers say of a rank that died. Does not own what is launched, nor watching over it.
"""

from __future__ import annotations

import functools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from hadamard.cluster.steps import step, step_environment
from hadamard.model.errors import UserError
from hadamard.model.training.rank_main import OWN_GPUS

ASK_LIBRARY = "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; print(MPI.Get_library_version())"
ASK_S = 60.0
OPEN_MPI = "Open MPI"
SRUN_MPI = "HADAMARD_SRUN_MPI"
"""Variable that names srun's `--mpi` where the site's MPI wants another than its family does, such as `cray_shasta`."""
DEATHS = re.compile(
    r"srun: error: \S+ tasks? \S+: (?P<srun>[A-Z][\w ]*?)(?: \(core dumped\))?$"
    r"|^=\s+EXIT CODE: (?P<hydra>\d+)$"
    r"|exited on signal (?P<prte>\d+)",
    re.MULTILINE,
)
SIGNALS = {signal.strsignal(number): number for number in signal.valid_signals()} | {"Out Of Memory": signal.SIGKILL}


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


def srun_mpi(library: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return how srun is to speak to ranks of an MPI library: Open MPI wants PMIx, MPICH and those made of it PMI-2."""
    return environment.get(SRUN_MPI) or ("pmix" if library.startswith(OPEN_MPI) else "pmi2")


def mpiexec(beside: Path = Path(sys.executable), path: str | None = None) -> str:
    """Return the launcher of this machine: the one installed with this Python if there is one, as its MPI library is, else that on PATH.

    Raises:
        UserError: There is none.
    """
    found = shutil.which("mpiexec", path=str(beside.parent)) or shutil.which("mpiexec", path=path)
    if found is None:
        raise UserError(f"there is no mpiexec beside {beside} or on PATH. Install it with: pip install 'hadamard[mpi]'")
    return found


def launch_command(places: RankPlacement, words: Sequence[str], library: str, threads: int, flavour: str = "") -> list[str]:
    """Return the command that starts each of the ranks by the same words.

    Args:
        places: Where the ranks run.
        words: What each of them runs.
        library: The MPI library that they load, as `library` returns it.
        threads: Of each rank.
        flavour: srun's `--mpi`; that of the library unless another is to be tried.

    Raises:
        UserError: There is no launcher here.
    """
    ranks = len(places.hosts)
    if places.job is None:
        # Without Slurm's variables MPICH would use ssh; Open MPI refuses more ranks than cores, and ties each to one that others may use.
        options = ["--oversubscribe", "--bind-to", "none"] if library.startswith(OPEN_MPI) else ["-launcher", "fork"]
        return [mpiexec(), *options, "-n", str(ranks), *words]
    options = [
        f"--mpi={flavour or srun_mpi(library)}",
        "--kill-on-bad-exit=1",
        "--distribution=arbitrary",  # each rank on the node that $SLURM_HOSTFILE says
        f"--nodes={len(set(places.hosts))}",
        f"--ntasks={ranks}",
        f"--cpus-per-task={threads}",
        "--cpu-bind=none",  # steps overlap: each would tie its ranks to the job's first cores
    ]
    return step(places.job, words, options)


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


def first_death(said: str) -> int | None:
    """Return the signal that ended the first of the ranks that a launcher names as dead; None if it names none.

    Its exit code tells less: srun's is that of the ranks which it ended itself for the sake of the first.
    """
    for found in DEATHS.finditer(said):
        words = found["srun"]
        number = SIGNALS.get(words) if words else int(found["hydra"] or found["prte"])
        if number is not None and number > signal.SIGINT:  # what hydra calls so is the exit code of a rank that ended by itself
            return int(number)
    return None
