"""`hadamard doctor`: what this machine, or this Slurm job, can do, why not the rest, and what to do about it.

Owns the order of the checks and how findings are shown. Does not own the checks; one that fails is an answer, not an error.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from hadamard.orchestrator.commands.doctor import job, machine, mpi, places
from hadamard.orchestrator.commands.doctor.finding import Check


def findings(of_mpi: bool = False) -> Iterator[Check]:
    """Yield each finding as soon as it is known; those of MPI, which start real ranks, only if asked for, and then alone."""
    if of_mpi:
        yield from mpi.findings()
        return
    yield from machine.findings()
    yield from places.findings()
    yield from job.findings()


def line(finding: Check) -> str:
    """Return a finding as a line of text, with what to do about it on a second one."""
    text = f"{'yes' if finding.ok else 'no ':<4}{finding.what:<17} {finding.found}"
    return text if finding.ok else f"{text}\n{'':<4}{'':<17} -> {finding.fix}"


def as_json(found: Iterable[Check]) -> str:
    """Return findings as JSON."""
    return json.dumps([{**asdict(one), "remedy": None if one.ok else one.fix} for one in found], indent=1)
