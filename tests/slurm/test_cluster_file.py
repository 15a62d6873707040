"""The cluster file is read as it was written; its keys are those that the batch script looks for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hadamard.slurm.cluster_file import Cluster


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    cluster = Cluster("7", 1, "10.0.0.1:20000", "n1", None, "/jobs/7-1/token")
    cluster.write(tmp_path / "cluster.json")
    assert Cluster.read(tmp_path / "cluster.json") == cluster
    assert '"address": "10.0.0.1:20000"' in (tmp_path / "cluster.json").read_text(), "sweep.sbatch reads this line by sed"


def test_a_file_of_another_kind_is_no_cluster_file(tmp_path: Path) -> None:
    (tmp_path / "cluster.json").write_text(json.dumps({"address": "10.0.0.1:20000"}))
    with pytest.raises(TypeError, match="missing"):
        Cluster.read(tmp_path / "cluster.json")
