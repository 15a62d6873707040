"""What MPI can do here: the library, each launcher with two real ranks, and the simulators that distribute states over them.

What the ranks try is in `two_ranks`, how trials are launched in `hadamard.cluster.mpi`.
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

from hadamard.cluster.launchers.base import Launcher
from hadamard.cluster.launchers.registry import LAUNCHERS, launcher_for
from hadamard.cluster.mpi import RankPlacement, launch_environment, library
from hadamard.cluster.steps import own_job
from hadamard.model.errors import UserError
from hadamard.orchestrator.commands.doctor.check import Check, check, reason, refused
from hadamard.slurm.allocated import allocated

RANKS = 2
LIMIT_S = 90
"""After which a rank ends itself."""
GRACE_S = 15.0
"""Beyond that, until the launcher is ended."""
INSTALL = "pip install 'hadamard[mpi]', or mpi4py for the MPI of this site; simulators of one process need none"


@dataclass(frozen=True)
class Start:
    """A way to start two ranks.

    Attributes:
        name: Of the launcher.
        command: All but the program.
        environment: What it is started with.
        fix: What to do if it cannot.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    fix: str


def checks() -> Iterator[Check]:
    """Yield each check as soon as it is made; the simulators are tried by the first launcher that works."""
    try:
        known = library()
    except UserError as error:
        yield refused("mpi4py", error, "" if ". " in str(error) else INSTALL)
        return
    yield check("mpi4py", True, f"{importlib.metadata.version('mpi4py')}, which loads {short(known)}")
    answered = False
    for start in starts(known):
        if isinstance(start, Check):
            yield start
            continue
        words = [sys.executable, "-m", "hadamard.orchestrator.commands.doctor.two_ranks", *([] if answered else ["simulators"])]
        met, *rest = read(start, short(known), *_run([*start.command, *words], start.environment))
        yield met
        yield from rest
        answered = answered or met.ok


def starts(known: str) -> Iterator[Start | Check]:
    """Yield the ways there are to start ranks here, the one that trials take first; a check of one that is not there."""
    job = own_job()
    if job is not None:
        yield from _steps(job, known)
    launcher = launcher_for(None, known)
    try:
        launcher.program()
    except UserError as error:
        yield refused(launcher.name, error, "no need: trials of this job are steps" if job else "")
        return
    yield _start(launcher, RankPlacement(("localhost",) * RANKS, None, RANKS), Path(os.devnull), launcher.fix)


def _steps(job: str, known: str) -> Iterator[Start]:
    """Yield the launchers of steps, that of the library first; ranks on two nodes of the job where it has them."""
    hosts = ([*allocated(job)] or [os.environ["SLURMD_NODENAME"]]) * RANKS
    placement, own = RankPlacement(tuple(hosts[:RANKS]), job, RANKS), launcher_for(job, known)
    with tempfile.TemporaryDirectory() as directory:
        host_file = Path(directory, "hosts")
        host_file.write_text("".join(f"{host}\n" for host in placement.hosts))
        yield _start(own, placement, host_file, own.fix)
        for launcher in LAUNCHERS:
            if launcher.starts_steps and launcher.name != own.name and _is_here(launcher):
                yield _start(launcher, placement, host_file, f"no need: trials take {own.name}")


def _start(launcher: Launcher, placement: RankPlacement, host_file: Path, fix: str) -> Start:
    command = launcher.command(placement.hosts, placement.job, [], threads=1)
    return Start(launcher.name, command, launch_environment(placement, os.environ, host_file), fix)


def _is_here(launcher: Launcher) -> bool:
    try:
        launcher.program()
    except UserError:
        return False
    return True


def read(start: Start, known: str, output: str, complaint: str) -> list[Check]:
    """Return the checks that the ranks made, first whether they met.

    Args:
        start: What started them.
        known: The MPI library.
        output: What they printed.
        complaint: What was printed as errors, or why they were ended.
    """
    lines: list[dict[str, Any]] = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    worlds = [line["world"] for line in lines if "world" in line]
    if not worlds:
        return [check(start.name, False, f"starts no two ranks of {known}: {reason(complaint)}", start.fix)]
    if worlds != [RANKS]:
        seen = f"starts {len(worlds)} programs of {worlds[0]} rank instead of one of {RANKS}: it does not speak the language of {known}"
        return [check(start.name, False, seen, start.fix)]
    rest = [check(line["what"], line["ok"], line["seen"], line["fix"] or INSTALL) for line in lines if "what" in line]
    if not rest or rest[0].what != "messages":
        return [check(start.name, False, f"its ranks met, and no message arrived: {reason(complaint)}", start.fix), *rest]
    messages, *simulators = rest
    met = check(start.name, messages.ok, f"{RANKS} ranks of {known}; {messages.seen}", messages.fix or "")
    if complaint:
        simulators.append(check("ranks", False, f"ended before all was tried: {reason(complaint)}", "see the checks before this one"))
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
        output, complaint = ranks.communicate(timeout=LIMIT_S + GRACE_S)
    except subprocess.TimeoutExpired:
        os.killpg(ranks.pid, signal.SIGKILL)
        output, _ = ranks.communicate()
        return output, f"it did not end within {LIMIT_S + GRACE_S:g} s"
    if ranks.returncode == 0:
        return output, ""
    if time.monotonic() - began > LIMIT_S:
        return output, f"a rank waited {LIMIT_S:g} s for the other"
    return output, complaint.strip() or f"exit code {ranks.returncode}"
