"""Times the simulators on one GPU: forward and gradient of the paper's encoder and second module, by qubits and batch.

For docs/performance.md; values and gradients must agree with the CPU before any time is printed.
Run it on a machine with a GPU: `python -m benchmarks.gpu`; `custatevec` is among them where cuquantum-python is installed.
Seconds are from event to event on the GPU, waits for the host included, median of 20 after 3.
"""

from __future__ import annotations

import statistics
import time

import torch

from hadamard.model.circuits.circuit import Circuit, encoder_circuit, second_module_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.simulators.base import Simulator
from hadamard.model.simulators.registry import open_simulator
from tests.support.circuits import Batch, assert_agree, random_batch, values_and_gradients

QUBITS = (6, 10, 14)
ROWS = (32, 256, 1024, 4096)
NAMES = ("triton", "fused", "custatevec", "torch")
WARM_UP, REPEATS = 3, 20
GIB = 2**30


def circuits(qubits: int) -> tuple[Circuit, Circuit]:
    """Return the head with E=1, C=2, 3 encoder layers, N=2 blocks of one layer, PQC 2 of 2 layers."""
    return encoder_circuit(qubits, 3, 2), second_module_circuit(qubits, [0, 0], 2, 2, measured=1)


def check(simulator: Simulator, qubits: int) -> None:
    """Compare with the clear simulator in float64 on the CPU, at the tolerances of float32."""
    for circuit in circuits(qubits):
        batch = random_batch(circuit, 2, 3, seed=0)
        ours = values_and_gradients(simulator, circuit, batch.to(simulator.device, torch.float32))
        assert_agree(ours, values_and_gradients(open_simulator("torch"), circuit, batch), value=1e-5, gradient=1e-4)


def step(simulator: Simulator, qubits: int, batches: list[Batch]) -> None:
    for circuit, batch in zip(circuits(qubits), batches, strict=True):
        batch.weights.grad = None
        simulator.expectations(circuit, batch.weights, batch.inputs, batch.states).sum().backward()  # type: ignore[no-untyped-call]


def seconds(simulator: Simulator, qubits: int, batches: list[Batch]) -> tuple[float, float]:
    """Return the GPU's seconds per step, and the wall seconds of the first one, which compiles."""
    began = time.perf_counter()
    step(simulator, qubits, batches)
    torch.cuda.synchronize()
    first = time.perf_counter() - began
    times = []
    for _ in range(WARM_UP + REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        step(simulator, qubits, batches)
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end) / 1000)
    return statistics.median(times[WARM_UP:]), first


def main() -> None:
    """Print a table: one line per simulator, qubits and rows."""
    print(torch.cuda.get_device_name(), "torch", torch.__version__)
    print(f"{'simulator':<10}{'qubits':>7}{'rows':>7}{'s per step':>12}{'s first':>9}{'peak GiB':>10}")
    for name in NAMES:
        try:
            simulator = open_simulator(name)
        except SettingsError as error:
            print(f"{name:<10}  {error}", flush=True)
            continue
        simulator.device = torch.device("cuda")  # torch follows its tensors, fused its own choice
        for qubits in QUBITS:
            check(simulator, qubits)
            for rows in ROWS:
                batches = [
                    random_batch(circuit, 1, rows, 1, torch.float32, from_states=first).to(simulator.device)
                    for circuit, first in zip(circuits(qubits), (True, False), strict=True)
                ]
                for batch in batches:
                    batch.weights.requires_grad_()
                torch.cuda.reset_peak_memory_stats()
                try:
                    median, first_step = seconds(simulator, qubits, batches)
                except torch.OutOfMemoryError:
                    print(f"{name:<10}{qubits:>7}{rows:>7}  out of memory", flush=True)
                    continue
                peak = torch.cuda.max_memory_allocated() / GIB
                print(f"{name:<10}{qubits:>7}{rows:>7}{median:>12.6f}{first_step:>9.2f}{peak:>10.3f}", flush=True)


if __name__ == "__main__":
    main()
