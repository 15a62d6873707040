"""`hadamard doctor --mpi` in a job of two nodes: ranks meet across them by the flavour that fits, and the other one is told apart."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.slurm_lab.lab import Lab


@pytest.mark.nodes(2)
def test_two_ranks_on_two_nodes(lab: Lab, nodes: list[str], tmp_path: Path) -> None:
    output = tmp_path / "checks.json"
    command = f"{sys.executable} -m hadamard doctor --mpi --json"
    options = ["--nodes=2", f"--nodelist={','.join(nodes)}", "--cpus-per-task=2", "--mem=3G", "--time=5", f"--chdir={ROOT}"]
    job = lab.submit(*options, f"--output={output}", f"--error={tmp_path}/log", f"--wrap={command}")
    assert lab.end_of(job, 300) == "COMPLETED", (tmp_path / "log").read_text()
    checks = {check["what"]: check for check in json.loads(output.read_text())["checks"]}
    assert list(checks)[:3] == ["mpi4py", "srun --mpi=pmi2", "sharded"], checks
    fits, other = checks["srun --mpi=pmi2"], checks["srun --mpi=pmix"]
    assert fits["ok"], fits
    assert fits["seen"].startswith("2 ranks of MPICH")
    assert checks["sharded"]["ok"], checks["sharded"]
    assert not other["ok"], "MPICH's wheel speaks no PMIx"
    assert other["fix"] == "no need: trials take srun --mpi=pmi2"
    assert checks["mpiexec"]["ok"], checks["mpiexec"]
