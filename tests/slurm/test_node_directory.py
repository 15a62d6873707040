"""Where a job keeps its files on a node: the site's scratch disk, one directory for each start, short enough for sockets."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.model.errors import UserError
from hadamard.slurm.node_directory import LONGEST_SOCKET, SOCKET_BELOW, local_directory, local_name, scratch

JOB = {"SLURM_JOB_ID": "17", "SLURM_RESTART_COUNT": "2"}


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, ("default", Path("/tmp"))),
        ({"SLURM_TMPDIR": "/local/17"}, ("$SLURM_TMPDIR", Path("/local/17"))),
        ({"SLURM_TMPDIR": "/local/17", "HADAMARD_SCRATCH": "/nvme"}, ("$HADAMARD_SCRATCH", Path("/nvme"))),
        ({"HADAMARD_SCRATCH": "", "SLURM_TMPDIR": ""}, ("default", Path("/tmp"))),
    ],
)
def test_the_site_profile_comes_before_slurm(environment: dict[str, str], expected: tuple[str, Path]) -> None:
    assert scratch(environment) == expected


def test_every_start_of_a_job_has_a_directory_of_its_own_on_every_node() -> None:
    assert local_name("n1", JOB) == "hd-17-2-n1"
    assert local_name("n1", {"SLURM_JOB_ID": "17"}) == "hd-17-0-n1"
    assert local_directory("n2", {**JOB, "HADAMARD_SCRATCH": "/nvme"}) == Path("/nvme/hd-17-2-n2")


def test_a_path_that_leaves_no_room_for_sockets_is_refused_by_the_characters_it_is_too_long() -> None:
    fits = "/" + "s" * (LONGEST_SOCKET - SOCKET_BELOW - len("/hd-17-2-n1") - 1)
    assert local_directory("n1", {**JOB, "HADAMARD_SCRATCH": fits}).name == "hd-17-2-n1"
    with pytest.raises(UserError, match=r"too long by 3 characters.*Set HADAMARD_SCRATCH to a shorter directory"):
        local_directory("n1", {**JOB, "HADAMARD_SCRATCH": f"{fits}abc"})
