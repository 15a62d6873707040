"""Our own simulators in the benchmark, called as a head calls them, and the reference that everybody's numbers are compared with.

Owns the step behind the `Simulator` protocol. Does not own the simulators, the case or the clock.
"""

from __future__ import annotations

import torch

from hadamard.model.simulators.base import Simulator
from hadamard.model.simulators.reference import StateVectorSimulator
from hadamard.model.simulators.registry import open_simulator
from hadamard.orchestrator.commands.bench.cases import ANGLE_SCALE, Case, Step, in_parts, reference_row_bytes

REFERENCE_BYTES = 2**30
"""The reference takes as many rows at a time as need about so much memory."""


def prepare(case: Case, name: str) -> Step:
    """Return the step of one of our simulators in float32, on the device it likes; a kernel that is compiled when first run has been.

    Args:
        case: What to compute.
        name: The simulator, as a study names it.

    Raises:
        SettingsError: The simulator cannot be had here.
    """
    simulator = open_simulator(name)
    step = _step(case, simulator, torch.float32, simulator.device)
    if simulator.device.type != "cpu":
        step()
    return step


def prepare_reference(case: Case) -> Step:
    """Return the step of the clear simulator in float64, a few rows at a time, so that the widest cases fit memory."""
    rows = max(1, REFERENCE_BYTES // reference_row_bytes(case.encoder.qubits))
    return in_parts(case, rows, lambda part: _step(part, StateVectorSimulator(), torch.float64, torch.device("cpu")))


def _step(case: Case, simulator: Simulator, dtype: torch.dtype, device: torch.device) -> Step:
    states, cotangent = (torch.tensor(part, dtype=dtype, device=device)[None] for part in (case.states, case.cotangent))
    encoder, second = (
        torch.tensor(part, dtype=dtype, device=device)[None].requires_grad_() for part in (case.encoder_weights, case.second_weights)
    )

    def step() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        inputs = ANGLE_SCALE * simulator.expectations(case.encoder, encoder, states=states)
        values = simulator.expectations(case.second, second, inputs)
        of_encoder, of_second = torch.autograd.grad(values, (encoder, second), cotangent[..., None])
        return values.detach().cpu().flatten(), of_encoder.cpu().flatten(), of_second.cpu().flatten()

    return step
