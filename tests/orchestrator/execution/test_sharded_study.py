"""The study of configs/sharded.yaml, on real ranks, by real Ray, without Slurm."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_it_gives_the_same_numbers_however_ranks_share_it(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hadamard", "run", str(ROOT / "configs" / "sharded.yaml"), "--no-dashboard"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(tmp_path / "runs" / "sharded" / "report" / "results.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["row"]]
    assert len(rows) == 12
    assert {row["status"] for row in rows} == {"done"}
    for layers in "12":
        for split in "01":
            alike = [row for row in rows if (row["head.encoder_layers"], row["split"]) == (layers, split)]
            assert {(row["mpi.ranks"], row["mpi.shards"]) for row in alike} == {("1", "1"), ("2", "1"), ("2", "2")}
            assert len({row["test_accuracy"] for row in alike}) == 1
            losses = [float(row["test_loss"]) for row in alike]
            assert max(losses) - min(losses) < 1e-5
    page = (tmp_path / "runs" / "sharded" / "report" / "report.html").read_text()
    assert "compiled, sharded" in page
