"""The simulators of the registry as contestants of a benchmark, and the reference that all numbers are compared with."""

from __future__ import annotations

from hadamard.model.lazy import torch
from hadamard.model.simulators.base import Simulator, SimulatorKind
from hadamard.model.simulators.hardware import gpu_in_sight, is_installed
from hadamard.model.simulators.registry import SIMULATORS, open_simulator
from hadamard.orchestrator.timing.comparison import Contestant
from hadamard.orchestrator.timing.paper_head import ANGLE_SCALE, Case, Step, in_parts, reference_row_bytes

FACTORY, REFERENCE_FACTORY = f"{__name__}:prepare", f"{__name__}:prepare_reference"
REFERENCE_BYTES = 2**30
"""The reference takes as many rows at a time as need about so much memory."""


def contestant(kind: SimulatorKind) -> Contestant:
    """Return a simulator as a contestant, with why it cannot take part on this machine."""
    return Contestant(kind.name, FACTORY, (kind.name,), why_absent(kind))


def usable_simulators() -> list[SimulatorKind]:
    """Return the simulators of the registry that can be opened on this machine, as far as is known without opening them."""
    return [kind for kind in SIMULATORS.values() if why_absent(kind) is None]


def why_absent(kind: SimulatorKind) -> str | None:
    """Return why a simulator cannot be timed in a process of this machine, None if it can."""
    if kind.factory is None:
        return "shares its states among MPI ranks"
    if kind.gpu == "needed" and not gpu_in_sight():
        return "needs a GPU"
    return None if is_installed(kind) else f"{kind.needs} is missing; {kind.fix}"


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
    from hadamard.model.simulators.reference import StateVectorSimulator

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
