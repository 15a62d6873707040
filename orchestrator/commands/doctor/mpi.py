"""What MPI can do here: the library, each launcher with two real ranks, and the simulators that share states among them.

Owns these checks and their wording. Does not own what the ranks try (checks/two_ranks.py), nor launching trials (cluster/mpi.py).
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hadamard.cluster.mpi import RankPlacement, launch_command, launch_environment, library, mpiexec, srun_mpi
from hadamard.cluster.steps import own_job
from hadamard.model.errors import UserError
from hadamard.orchestrator.commands.doctor.finding import Check, reason
from hadamard.orchestrator.commands.doctor.job import MPI_FLAVOURS
from hadamard.slurm.allocated import allocated

RANKS = 2
LIMIT_S = 90
"""After which a rank ends itself."""
GRACE_S = 15.0
"""Beyond that, until the launcher is ended."""
INSTALL = "pip install 'hadamard[mpi]', or mpi4py for the MPI of this site; simulators of one process need none"


@dataclass(frozen=True)
class Launcher:
    """A way to start two ranks.

    Attributes:
        name: As findings call it.
        command: All but the program.
        environment: What it is started with.
        remedy: What to do if it cannot.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    fix: str


def findings() -> Iterator[Check]:
    """Yield each finding as soon as it is known; the simulators are tried by the first launcher that works."""
    try:
        known = library()
    except UserError as error:
        found, _, fix = str(error).partition(". ")
        yield Check("mpi4py", False, found, fix or INSTALL)
        return
    yield Check("mpi4py", True, f"{importlib.metadata.version('mpi4py')}, which loads {short(known)}")
    answered = False
    for launcher in launchers(known):
        if isinstance(launcher, Check):
            yield launcher
            continue
        words = [sys.executable, "-m", "hadamard.orchestrator.commands.doctor.two_ranks", *([] if answered else ["simulators"])]
        said, complaint = _run([*launcher.command, *words], launcher.environment)
        met, *rest = read(launcher, short(known), said, complaint)
        yield met
        yield from rest
        answered = answered or met.ok


def launchers(known: str) -> Iterator[Launcher | Check]:
    """Yield the ways there are to start ranks here, the one that trials take first; a finding for one that is not there."""
    job = own_job()
    if job is not None:
        yield from _steps(job, known)
    try:
        path = mpiexec()
    except UserError as error:
        found, _, fix = str(error).partition(". ")
        yield Check("mpiexec", False, found, "no need: trials of this job are steps" if job else fix)
        return
    here = RankPlacement(("localhost",) * RANKS, None, RANKS)
    environment = launch_environment(here, os.environ, Path(os.devnull))
    yield Launcher(
        "mpiexec", launch_command(here, [], known, threads=1), environment, f"{path} is to be of the MPI library that mpi4py loads"
    )


def _steps(job: str, known: str) -> Iterator[Launcher]:
    """Yield the flavours of srun, that of the library first; ranks on two nodes of the job where it has them."""
    hosts = ([*allocated(job)] or [os.environ["SLURMD_NODENAME"]]) * RANKS
    places = RankPlacement(tuple(hosts[:RANKS]), job, RANKS)
    fits = srun_mpi(known)
    with tempfile.TemporaryDirectory() as directory:
        host_file = Path(directory, "hosts")
        host_file.write_text("".join(f"{host}\n" for host in places.hosts))
        environment = launch_environment(places, os.environ, host_file)
        for flavour in [fits, *(flavour for flavour in MPI_FLAVOURS if flavour != fits)]:
            fix = MPI_FLAVOURS.get(flavour, "unset HADAMARD_SRUN_MPI") if flavour == fits else f"no need: trials take --mpi={fits}"
            yield Launcher(f"srun --mpi={flavour}", launch_command(places, [], known, 1, flavour), environment, fix)


def read(launcher: Launcher, known: str, said: str, complaint: str) -> list[Check]:
    """Return what the ranks of a launcher found, first whether they met.

    Args:
        launcher: What started them.
        known: The MPI library.
        said: What they printed.
        complaint: What was printed as errors, or why they were ended.
    """
    lines: list[dict[str, Any]] = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    worlds = [line["world"] for line in lines if "world" in line]
    if not worlds:
        return [Check(launcher.name, False, f"starts no two ranks of {known}: {reason(complaint)}", launcher.fix)]
    if worlds != [RANKS]:
        found = f"starts {len(worlds)} programs of {worlds[0]} rank instead of one of {RANKS}: it does not speak the language of {known}"
        return [Check(launcher.name, False, found, launcher.fix)]
    rest = [Check(line["what"], line["ok"], line["found"], line["remedy"] or INSTALL) for line in lines if "what" in line]
    if not rest or rest[0].what != "messages":
        return [Check(launcher.name, False, f"its ranks met, and no message arrived: {reason(complaint)}", launcher.fix), *rest]
    messages, *simulators = rest
    met = Check(launcher.name, messages.ok, f"{RANKS} ranks of {known}; {messages.found}", messages.fix)
    if complaint:
        simulators.append(Check("ranks", False, f"ended before all was tried: {reason(complaint)}", "see the findings before this one"))
    return [met, *simulators]


def short(library: str) -> str:
    """Return an MPI library's name and version: the first line of what it says, in single blanks, without `Version:`."""
    return " ".join(word for word in library.split("\n")[0].split(",")[0].split() if word != "Version:")


def _run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[str, str]:
    """Return what a program printed, and what it complained of if it failed or did not end."""
    try:
        ranks = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment, "PYTHONWARNINGS": "ignore"},
            start_new_session=True,
        )
    except OSError as error:
        return "", str(error)
    began = time.monotonic()
    try:
        said, complaint = ranks.communicate(timeout=LIMIT_S + GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(ranks.pid, signal.SIGKILL)
        said, _ = ranks.communicate()
        return said, f"it did not end within {LIMIT_S + GRACE_S:g} s"
    if ranks.returncode == 0:
        return said, ""
    if time.monotonic() - began > LIMIT_S:
        return said, f"a rank waited {LIMIT_S:g} s for the other"
    return said, complaint.strip() or f"exit code {ranks.returncode}"
