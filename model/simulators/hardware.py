"""What this process may compute on, asked without importing torch."""

from __future__ import annotations

import functools
import importlib.util
import os
from pathlib import Path

from hadamard.model.simulators.base import SimulatorKind


def gpu_in_sight() -> bool:
    """Return whether this process was given a GPU: a driver is there and nothing hides its devices. Asking torch would take seconds.

    A Slurm job that did not ask for GPUs has none, even where the site leaves those of the node open to it.
    """
    visible = [os.environ[mask] for mask in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES") if mask in os.environ]
    if not visible and "SLURM_JOB_ID" in os.environ and not os.environ.get("SLURM_GPUS_ON_NODE"):
        return False
    return not {"", "-1", "NoDevFiles"} & set(visible) and has_gpu_driver()


@functools.cache
def has_gpu_driver() -> bool:
    """Return whether a driver of NVIDIA's or AMD's GPUs is loaded; asked of the file system once per process."""
    return any(Path(driver).exists() for driver in ("/dev/nvidiactl", "/dev/kfd"))


def is_installed(kind: SimulatorKind) -> bool:
    """Return whether the module that a simulator needs is there."""
    return kind.needs is None or is_importable(kind.needs)


def runs_on_gpu(kind: SimulatorKind) -> bool:
    """Return whether a simulator would compute on a GPU in this process."""
    return kind.gpu == "needed" or (kind.gpu == "if in sight" and gpu_in_sight())


@functools.cache
def is_importable(module: str) -> bool:
    """Return whether a module can be found, without importing it."""
    return importlib.util.find_spec(module) is not None
