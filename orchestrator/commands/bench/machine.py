"""The machine that a benchmark ran on: processor, versions, and the rate of its own matrix product, the yardstick of our kernels.

Owns describing and measuring it. Does not own what is compared with it.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hadamard.cluster.allocation import detect
from hadamard.cluster.launch import environment
from hadamard.orchestrator.planning.machine_rates import processor

SIDE = 1024
"""Of the square matrices: far beyond the caches' first level, a third of a second in all."""
PRODUCTS = 15
PACKAGES = ("hadamard", "numpy", "torch", "triton", "pennylane", "pennylane-lightning", "pennylane-lightning-kokkos", "qulacs", "jax")


@dataclass(frozen=True)
class GemmRate:
    """The best float32 matrix product on one core.

    Attributes:
        flop_per_s: Two flop per multiply and add.
        by: Whose it is.
    """

    flop_per_s: float
    by: str


def description() -> dict[str, Any]:
    """Return processor, cores, system and versions of what takes part; packages that are not installed are left out."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    system = f"{platform.system()} {platform.machine()}"
    return {"processor": processor(), "cores": detect().cpus, "system": system, "Python": platform.python_version(), "versions": versions}


def gemm_rate() -> GemmRate:
    """Return the rate of one core, the better of numpy's and torch's; measured in a process of its own with one thread."""
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, check=True, env=environment(1, 0))
    return GemmRate(*json.loads(done.stdout))


def _rate(product: Callable[[], object]) -> float:
    """Return flop per process CPU second, the median of several products."""
    product()
    took = []
    for _ in range(PRODUCTS):
        began = time.process_time()
        product()
        took.append(time.process_time() - began)
    return 2 * SIDE**3 / statistics.median(took)


def _main() -> None:
    import numpy as np
    import torch

    torch.set_num_threads(1)
    a, b = np.random.default_rng(0).standard_normal((2, SIDE, SIDE), dtype=np.float32)
    ours, theirs, out = torch.from_numpy(a), torch.from_numpy(b), np.empty_like(a)
    rates = {"numpy": _rate(lambda: np.matmul(a, b, out=out)), "torch": _rate(lambda: torch.mm(ours, theirs))}
    by = max(rates, key=lambda one: rates[one])
    print(json.dumps([rates[by], by]))


if __name__ == "__main__":
    _main()
