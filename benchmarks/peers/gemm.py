"""The yardstick of our kernels: the rate of one core's float32 matrix product, and the operations of a training step."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from hadamard.cluster.launch import environment
from hadamard.model.circuits.circuit import Circuit
from hadamard.orchestrator.timing.paper_head import circuits

SIDE = 1024
"""Of the square matrices: far beyond the caches' first level, a third of a second in all."""
PRODUCTS = 15
FLOP_PER_AMPLITUDE = 11
"""Of one fused gate, a CNOT with the RY after it or an RY alone: 3 forward, 8 for the adjoint sweep (un-apply state and cotangent, take
the gradient)."""


@dataclass(frozen=True)
class GemmRate:
    """The best float32 matrix product on one core.

    Attributes:
        flop_per_s: Two flop per multiply and add.
        by: Whose it is.
    """

    flop_per_s: float
    by: str


def gemm_rate() -> GemmRate:
    """Return the rate of one core, the better of numpy's and torch's; measured in a process of its own with one thread."""
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, check=True, env=environment(1, 0))
    return GemmRate(*json.loads(done.stdout))


def step_flop(qubits: int, rows: int) -> int:
    """Return the operations that a step cannot do without, on the circuits as they are written."""
    return FLOP_PER_AMPLITUDE * rows * (1 << qubits) * sum(map(fused_gates, circuits(qubits)))


def fused_gates(circuit: Circuit) -> int:
    """Return the gates of a circuit of CNOT and RY, where a CNOT and the RY after it on its target count as one."""
    alone = [
        gate
        for before, gate in zip((None, *circuit.gates), circuit.gates, strict=False)
        if not (gate.name == "RY" and before is not None and before.name == "CNOT" and before.qubits[1] == gate.qubits[0])
    ]
    return len(alone)


def _rate(product: Callable[[], object]) -> float:
    """Return flop per process CPU second, the median of several products."""
    product()
    times_s = []
    for _ in range(PRODUCTS):
        began = time.process_time()
        product()
        times_s.append(time.process_time() - began)
    return 2 * SIDE**3 / statistics.median(times_s)


def _main() -> None:
    import numpy as np
    import torch

    torch.set_num_threads(1)
    a, b = np.random.default_rng(0).standard_normal((2, SIDE, SIDE), dtype=np.float32)
    ours, theirs, out = torch.from_numpy(a), torch.from_numpy(b), np.empty_like(a)
    rates = {"numpy": _rate(lambda: np.matmul(a, b, out=out)), "torch": _rate(lambda: torch.mm(ours, theirs))}
    by = max(rates, key=lambda library: rates[library])
    print(json.dumps([rates[by], by]))


if __name__ == "__main__":
    _main()
