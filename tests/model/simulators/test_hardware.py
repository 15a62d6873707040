"""What this process may compute on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from hadamard.model.simulators import hardware
from hadamard.model.simulators.registry import kind_of


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    """The file system is asked once per process."""
    hardware.has_gpu_driver.cache_clear()
    yield
    hardware.has_gpu_driver.cache_clear()


@pytest.mark.parametrize(
    ("environment", "seen"),
    [
        ({}, True),
        ({"CUDA_VISIBLE_DEVICES": ""}, False),
        ({"HIP_VISIBLE_DEVICES": "-1"}, False),
        ({"ROCR_VISIBLE_DEVICES": "0"}, True),
        ({"SLURM_JOB_ID": "7"}, False),
        ({"SLURM_JOB_ID": "7", "SLURM_GPUS_ON_NODE": "1"}, True),
        ({"SLURM_JOB_ID": "7", "CUDA_VISIBLE_DEVICES": "0"}, True),
    ],
)
def test_a_gpu_that_is_hidden_or_that_the_job_was_not_given_is_none(
    environment: dict[str, str], seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "exists", lambda path: True)  # as if there were a driver
    for mask in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES"):
        monkeypatch.delenv(mask, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert hardware.gpu_in_sight() == seen
    assert hardware.runs_on_gpu(kind_of("fused")) == seen
    assert not hardware.runs_on_gpu(kind_of("compiled"))


def test_the_file_system_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Path] = []
    monkeypatch.setattr(Path, "exists", lambda path: asked.append(path) is None)
    for _ in range(3):
        hardware.has_gpu_driver()
    assert len(asked) == 1
