"""What a training step of one sentence costs on a machine of as many ranks as hold it: memory, seconds and joules, at any number of qubits.

Owns the price on a machine. Does not own what a step is (shared_step.py), the machines, the packs of a study, or how prices are shown.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hadamard.model.heads.quantum.settings import QuantumHead
from hadamard.orchestrator.planning.rank_layout import RankLayout
from hadamard.orchestrator.planning.step_model import Kernels, Link, Step, shared_amplitudes, step_of, step_seconds
from hadamard.orchestrator.study.rank_settings import most_shards


@dataclass(frozen=True)
class Machine:
    """A machine of as many ranks as it takes.

    Attributes:
        memory_bytes: Of a rank.
        process_bytes: What of that a process needs before its first state.
        kernels: Of a rank.
        link: Of a rank.
        watts: Of a rank, its share of everything around it included.
    """

    memory_bytes: int
    process_bytes: int
    kernels: Kernels
    link: Link
    watts: float


@dataclass(frozen=True)
class StepEstimate:
    """A training step on a machine."""

    qubits: int
    sharing: RankLayout
    step: Step
    memory_bytes: int
    """Of a rank, its process included."""
    compute_s: float
    exchange_s: float
    joules: float

    @property
    def seconds(self) -> float:
        """Of the whole step."""
        return self.compute_s + self.exchange_s


def price(head: QuantumHead, machine: Machine, amplitude_bytes: int) -> StepEstimate | None:
    """Return a step on one sentence by as few ranks as hold it; None where not even the most do."""
    for power in range(most_shards(head).bit_length()):
        sharing = RankLayout(2**power, 2**power)
        memory = machine.process_bytes + amplitude_bytes * shared_amplitudes(head, 1, sharing)
        if memory <= machine.memory_bytes:
            step = step_of(head, 1, sharing, amplitude_bytes)
            compute_s, exchange_s = step_seconds(step, machine.kernels, machine.link)
            joules = machine.watts * sharing.ranks * (compute_s + exchange_s)
            return StepEstimate(head.qubits, sharing, step, memory, compute_s, exchange_s, joules)
    return None


def prices(head: QuantumHead, qubits: Sequence[int], machine: Machine, amplitude_bytes: int) -> list[StepEstimate]:
    """Return the prices of a head on more and more qubits, as far as the machine's ranks can hold them."""
    found = (price(head.model_copy(update={"qubits": width}), machine, amplitude_bytes) for width in qubits)
    return [one for one in found if one is not None]
