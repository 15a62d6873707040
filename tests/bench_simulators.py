"""Times the simulators on the paper's head: forward and gradient of one batch, one thread, process CPU seconds.

Owns the comparison; values and gradients must agree before any time is printed. Run it with `make bench`.
"""

from __future__ import annotations

import statistics
import time

import torch

from model.head_layout import circuits
from model.settings import QuantumHead
from model.simulators import Simulator, choose

ROWS = 32
HEAD = {"connectivity": 2, "encoder_layers": 3, "reuploads": 2, "layers": 2}
CASES = {"torch": (6, 8, 10), "default.qubit": (6, 8, 10), "lightning.qubit": (6, 8, 10)}
REPEATS = 5


def step(simulator: Simulator, qubits: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Return loss, gradient of all angles, and CPU seconds of one forward and backward pass of one encoder and the second module."""
    encoder, second = circuits(QuantumHead(qubits=qubits, **HEAD))  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(0)
    states = torch.nn.functional.normalize(torch.randn(ROWS, 2**qubits, generator=generator), dim=1)
    angles = [(torch.rand(circuit.angles, generator=generator) - 0.5).requires_grad_() for circuit in (encoder, second)]
    began = time.process_time()
    outputs = simulator.expectations(encoder, angles[0].expand(ROWS, -1), states)
    shift = torch.nn.functional.pad(outputs, (0, second.angles - qubits))  # the encoder's outputs are angles of the second module
    loss = simulator.expectations(second, angles[1].expand(ROWS, -1) + shift).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    seconds = time.process_time() - began
    return loss.detach(), torch.cat([angle.grad for angle in angles if angle.grad is not None]), seconds


def main() -> None:
    """Print a table of medians and of ratios to our own simulator."""
    torch.set_num_threads(1)
    print(f"{'simulator':<17}{'qubits':>7}{'CPU s per step':>16}{'ratio to torch':>16}")
    ours: dict[int, tuple[torch.Tensor, torch.Tensor, float]] = {}
    for name, sizes in CASES.items():
        simulator = choose(name)
        for qubits in sizes:
            runs = [step(simulator, qubits) for _ in range(REPEATS)]
            loss, gradient, _ = runs[0]
            seconds = statistics.median(run[2] for run in runs)
            reference = ours.setdefault(qubits, (loss, gradient, seconds))
            torch.testing.assert_close(loss, reference[0], atol=1e-6, rtol=0)
            torch.testing.assert_close(gradient, reference[1], atol=1e-5, rtol=0)
            print(f"{name:<17}{qubits:>7}{seconds:>16.4f}{seconds / reference[2]:>16.1f}", flush=True)


if __name__ == "__main__":
    main()
