"""Simulators: what turns a circuit, angles and initial states into expectation values, differentiably.

Owns the protocol and the choice among simulators, with its reason. Does not own the circuits, nor anything about heads.
"""

from __future__ import annotations

import functools
import importlib.util
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from hadamard.model.errors import SettingsError
from hadamard.model.mpi import ranks

if TYPE_CHECKING:  # whoever reads a study imports this, which must not take the seconds that torch takes
    import torch

    from hadamard.model.circuits.circuit import Circuit

ADJOINT_DEVICES = ("lightning.qubit", "lightning.kokkos", "lightning.gpu")
"""PennyLane devices differentiated by the adjoint method, which gives no gradient for the initial state."""
TRITON_QUBITS = {"float32": 14, "float64": 13}
"""Up to so many, a sample's state fits one multiprocessor of a GPU (model/simulators/triton/simulator.py)."""


class Simulator(Protocol):
    """Computes expectations of a batch of states under one circuit."""

    device: torch.device
    """Where it wants its tensors."""

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z_q> of the circuit's measured qubits, for all rows of all trials at once.

        Args:
            circuit: The gates; each row runs all of them.
            weights: [trials, circuit.weights] in radians, the angles that all rows of a trial share; differentiable.
            inputs: [trials, rows, circuit.inputs] in radians, the angles of each row; differentiable. None: the circuit takes none.
            states: [trials, rows, up to 2**qubits] real amplitudes of norm 1, qubit 0 the most significant bit, those that are left
                out 0; None means |0...0>.

        Returns:
            [trials, rows, circuit.measured] in [-1, 1], in the precision of `weights`; one row per trial without inputs and states.

        Raises:
            SettingsError: The simulator does not have one of the circuit's gates, or not the gradient that is asked for.
        """
        ...


@dataclass(frozen=True)
class Choice:
    """A simulator by its own name (never `auto`), and why it is the one."""

    name: str
    reason: str


def resolve(name: str, circuits: Sequence[Circuit], precision: str = "float32", on_ranks: int = 1) -> Choice:
    """Return the simulator that a study's name for it stands for on this machine, for a head of these circuits, on so many ranks."""
    if name == "auto" and on_ranks > 1:
        return Choice("sharded", f"sharded, chosen by auto: {on_ranks} MPI ranks")
    if name != "auto":
        ours = "" if name in ("compiled", "triton", "fused", "torch", "custatevec", "sharded") else ", a PennyLane device"
        return Choice(name, f"{name}{ours}, asked for by name")
    qubits = max((circuit.qubits for circuit in circuits), default=0)
    if not all(circuit.real for circuit in circuits):
        return Choice("fused", "fused, chosen by auto: the circuits have complex gates")
    if gpu_in_sight():
        if qubits <= TRITON_QUBITS[precision] and importlib.util.find_spec("triton"):
            return Choice("triton", f"triton, chosen by auto: real circuits of up to {qubits} qubits, and a GPU is in sight")
        return Choice("fused", f"fused, chosen by auto: {qubits} qubits on the GPU in sight")
    if compiled_here():
        return Choice("compiled", f"compiled, chosen by auto: real circuits of up to {qubits} qubits, on the CPU")
    return Choice("fused", "fused, chosen by auto: the compiled simulator was not built on this machine (see `hadamard doctor`)")


def choose(name: str) -> Simulator:
    """Open a simulator by its own name; what `auto` stands for, `resolve` says.

    Raises:
        SettingsError: It cannot be opened here.
    """
    match name:
        case "compiled":
            if not compiled_here():
                raise SettingsError("simulator compiled was not built on this machine; install a C++ compiler and run `make install` again")
            from hadamard.model.simulators.compiled.simulator import CompiledSimulator

            return CompiledSimulator()
        case "triton":
            from hadamard.model.simulators.triton.simulator import TritonSimulator

            return TritonSimulator()
        case "fused":
            from hadamard.model.simulators.fused.simulator import FusedSimulator

            return FusedSimulator()
        case "torch":
            from hadamard.model.simulators.reference import StateVectorSimulator

            return StateVectorSimulator()
        case "custatevec":
            from hadamard.model.simulators.custatevec.simulator import CuStateVecSimulator

            return CuStateVecSimulator()
        case "sharded":
            return _on_all_ranks("sharded")
        case device if ranks.count() > 1:
            return _on_all_ranks(device)
        case device:
            from hadamard.model.simulators.pennylane.device import PennyLaneSimulator

            return PennyLaneSimulator(device)


@functools.cache
def _on_all_ranks(name: str) -> Simulator:
    """Return the one simulator of this name: the other ranks know its calls by their numbers."""
    from hadamard.model.simulators.sharded.simulator import ShardedSimulator

    return ShardedSimulator(ranks.joined(), name)


@functools.cache
def compiled_here() -> bool:
    """Return whether the compiled simulator was built with this installation."""
    return importlib.util.find_spec("hadamard.model.simulators.compiled.native") is not None


def runs_on_gpu(name: str) -> bool:
    """Return whether a simulator, by its own name, would compute on a GPU in this process."""
    return name in ("lightning.gpu", "custatevec") or (name in ("triton", "fused", "sharded") and gpu_in_sight())


def gpu_in_sight() -> bool:
    """Return whether this process was given a GPU: a driver is there and nothing hides its devices. Asking torch would take seconds.

    A Slurm job that did not ask for GPUs has none, even where the site leaves those of the node open to it.
    """
    visible = [os.environ[mask] for mask in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES") if mask in os.environ]
    if not visible and "SLURM_JOB_ID" in os.environ and not os.environ.get("SLURM_GPUS_ON_NODE"):
        return False
    return not {"", "-1", "NoDevFiles"} & set(visible) and any(Path(driver).exists() for driver in ("/dev/nvidiactl", "/dev/kfd"))
