"""The launcher of docs/extending/launchers.md, added to a copy of the package by a file and a line: it starts two real ranks."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

from tests.support.documented import extend_as_documented
from tests.support.extended import Extended

FLUX = f"""\
#!/bin/sh
echo "$@" >> "$FLUX_CALLS"
shift 2
ranks=${{1#--ntasks=}}
shift 2
exec {Path(sys.executable).parent}/mpiexec -launcher fork -n "$ranks" "$@"
"""
START = """\
from hadamard.cluster.launchers.registry import first_death, launcher_for
from hadamard.cluster.mpi_smoke_test import smoke_test

smoke_test()
print(launcher_for(None, "Open MPI v5").name, first_death("flux-job: task 1 (host vm): Segmentation fault"))
"""


@pytest.mark.slow
def test_the_launcher_of_the_page_starts_ranks_that_meet(tmp_path: Path) -> None:
    extended = Extended(tmp_path / "copy")
    assert len(extend_as_documented(extended, "launchers.md")) == 1
    (tmp_path / "flux").write_text(FLUX)
    (tmp_path / "flux").chmod(0o755)
    calls = tmp_path / "calls"
    flux = {"FLUX_URI": "local:///run/flux", "FLUX_CALLS": str(calls), "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = extended.python("-c", START, environment=flux)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == f"flux run {int(signal.SIGSEGV)}"
    assert calls.read_text().startswith("run --nodes=1 --ntasks=2 --cores-per-task=1 ")
