"""Where a job keeps its files on a node: one directory for each start, on the scratch disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.model.errors import UserError
from hadamard.slurm.node_directory import local_directory, local_name

JOB = {"SLURM_JOB_ID": "17", "SLURM_RESTART_COUNT": "2"}


def test_every_start_of_a_job_has_a_directory_of_its_own_on_every_node() -> None:
    assert local_name("n1", JOB) == "hd-17-2-n1"
    assert local_name("n1", {"SLURM_JOB_ID": "17"}) == "hd-17-0-n1"
    assert local_directory("n2", {**JOB, "HADAMARD_SCRATCH": "/nvme"}) == Path("/nvme/hd-17-2-n2")


def test_a_path_too_long_for_sockets_is_refused() -> None:
    with pytest.raises(UserError, match=r"hd-17-2-n1 is too long by"):
        local_directory("n1", {**JOB, "HADAMARD_SCRATCH": f"/{'s' * 60}"})
