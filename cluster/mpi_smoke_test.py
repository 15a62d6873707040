"""Two ranks that are started as a pack's will be and only have to meet: a launcher of another MPI is found before anything begins."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from hadamard.cluster.allocation import OUR_RAY
from hadamard.cluster.launchers.registry import launcher_for
from hadamard.cluster.mpi import RankPlacement, known_library, launch_command, launch_environment
from hadamard.cluster.steps import own_job
from hadamard.model.errors import UserError

SAY_SIZE = "import os; from mpi4py import MPI; w = MPI.COMM_WORLD; w.Barrier(); w.rank or os.write(1, b'met %d\\n' % w.size)"
"""Rank 0 says so for all, in one write: what several print at once, launchers mix. Programs of one rank each all do."""
MEET_S = 60.0


def smoke_test() -> None:
    """Start two ranks on this node, by a step of the Slurm job if packs will be.

    Raises:
        UserError: They do not meet; what was seen, and what to do.
    """
    library, job = known_library(), own_job() if OUR_RAY in os.environ else None
    here = os.environ.get("SLURMD_NODENAME", "localhost")
    with tempfile.TemporaryDirectory() as directory:
        host_file = Path(directory, "hosts")
        host_file.write_text(f"{here}\n{here}\n")
        places = RankPlacement((here, here), job, 2)
        command = launch_command(places, [sys.executable, "-c", SAY_SIZE], library, 1)
        seen = _run(command, launch_environment(places, os.environ, host_file))
    if re.search(r"\bmet 2\b", seen):
        return
    alone = "each was a program of its own" if "met 1" in seen else f"they said: {seen[-500:].strip() or 'nothing'}"
    raise UserError(
        f"two MPI ranks did not meet, {alone}. They were started by `{' '.join(command)}`, and mpi4py loads {library.splitlines()[0]}. "
        f"{launcher_for(job, library).fix}. `hadamard doctor --mpi` tries what there is"
    )


def _run(command: list[str], environment: dict[str, str]) -> str:
    """Return all that a command says, until it ends or has had its time."""
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=environment,
        text=True,
        start_new_session=True,
    )
    try:
        return process.communicate(timeout=MEET_S)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return f"{process.communicate()[0]}\nnot ended within {MEET_S:g} s"
