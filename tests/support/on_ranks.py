"""Programs of several MPI ranks, started as packs are where there is no Slurm."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from hadamard.cluster.launch import environment
from hadamard.cluster.mpi import RankPlacement, known_library, launch_command, launch_environment
from tests.conftest import ROOT


def on_ranks(count: int, module: str, *words: object) -> list[str]:
    """Run a module on this many ranks of this machine, with a thread each and no GPU; return the lines that they print."""
    places = RankPlacement(("here",) * count, None, count)
    command = launch_command(places, [sys.executable, "-W", "ignore", "-m", module, *map(str, words)], known_library(), threads=1)
    own = launch_environment(places, environment(threads=1, gpus=0), Path(os.devnull))
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=own, timeout=500)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()
