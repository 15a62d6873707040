"""What Slurm allocated to a job, by node; scontrol is a small script."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hadamard.slurm.allocated import AllocatedResources, allocated, parse, try_step

DETAILS = """JobId=7 JobName=Nodes=x CPU_IDs=0 Mem=1
   NodeList=n[1-3]
     Nodes=n[1-2] CPU_IDs=0-1,4 Mem=2048 GRES=gpu:a100:2(IDX:0-1)
     Nodes=n3 CPU_IDs=7 Mem=0 GRES=
"""
MIXED = """\
JobId=1 JobName=sweep
   NodeList=n[1-3],big1
   JOB_GRES=gpu:6
     Nodes=n[1-2] CPU_IDs=2-3 Mem=1500 GRES=gpu:2(IDX:0-1)
     Nodes=n3 CPU_IDs=0-3,8 Mem=0 GRES=
     Nodes=big1 CPU_IDs=7 Mem=4096 GRES=gpu:a100:1(IDX:2),gpu:h100:3(IDX:4-6),shard:9(0/4)
   MinCPUsNode=2 MinMemoryNode=1500M
"""


def test_ranges_of_cpus_types_of_gpus_and_memory_are_read() -> None:
    assert parse(DETAILS) == {"n[1-2]": AllocatedResources(3, 2, 2 * 2**30), "n3": AllocatedResources(1, 0, None)}
    assert parse("slurm_load_jobs error: Invalid job id specified") == {}


def test_lists_of_nodes_are_spelled_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "details").write_text(DETAILS)
    program = tmp_path / "scontrol"
    program.write_text(
        f'#!/bin/bash\ncase "$*" in "show job --details 7") cat {tmp_path}/details ;; "show hostnames n[1-2]") echo n1; echo n2 ;; '
        '"show hostnames n3") echo n3 ;; *) exit 1 ;; esac\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert {node: resources.cpus for node, resources in allocated("7").items()} == {"n1": 3, "n2": 3, "n3": 1}
    assert allocated("8") == {}
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert allocated("7") == {}


def test_nodes_of_several_kinds_are_read() -> None:
    assert parse(MIXED) == {
        "n[1-2]": AllocatedResources(2, 2, 1500 * 2**20),
        "n3": AllocatedResources(5, 0, None),
        "big1": AllocatedResources(1, 4, 4 * 2**30),
    }
    assert parse("") == {}


def test_a_step_that_fails_says_why_in_one_line() -> None:
    assert try_step(["true"]) is None
    assert try_step(["sh", "-c", "echo not here >&2; echo more >&2; exit 3"]) == "not here"
    assert try_step(["false"]) == "exit code 1"
    assert try_step(["sleep", "9"], timeout_s=0.1) == "did not end within 0.1 s"
    assert try_step(["no-such-srun"]) == "no no-such-srun on PATH"
