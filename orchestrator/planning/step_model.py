"""A training step that ranks share: its stages, messages, bytes and memory, and the seconds it takes at given rates.

Owns this model of a step. Does not own the stages, nor the rates of any machine (estimates.py, scale_view.py).
"""

from __future__ import annotations

from dataclasses import dataclass

from hadamard.model.heads.base import HeadSettings
from hadamard.model.simulators.sharded.stages import plan_stages
from hadamard.orchestrator.planning.rank_layout import RankLayout

GRADIENT_MOVES = 3
"""A forward pass moves the state; a gradient moves state and cotangent back, in messages that hold both."""
EXCHANGE_BUFFER = 0.25
"""Part of a shard that is on its way at any time."""


@dataclass(frozen=True)
class Kernels:
    """Forward and gradient of one gate, or rotation, by one rank.

    Attributes:
        gate_s: Seconds that it takes however small a shard is.
        near_s: Seconds per amplitude while a row's shard, and its cotangent, stay in a cache.
        far_s: Likewise where they do not.
        near_bytes: The largest shard that does.
    """

    gate_s: float
    near_s: float
    far_s: float
    near_bytes: int


@dataclass(frozen=True)
class Link:
    """What a rank sends to the others of its group: bytes per second, and seconds that a message takes however small it is."""

    bytes_s: float
    message_s: float


@dataclass(frozen=True)
class Step:
    """A training step: forward and gradient of a head on some sentences.

    Attributes:
        stages: Of both circuits.
        messages: Of one rank, to one other each, forward and backward.
        moved_bytes: Between ranks, over all of them.
        rank_bytes: What one rank sends of them, in a group that has as many rows as any.
        gates: Gates or rotations of both circuits, one after the other.
        gate_amplitudes: Of one rank, summed over these.
        shard_bytes: The larger shard of one row.
        state_bytes: Of one rank: states, cotangent, and what is on its way.
    """

    stages: int
    messages: int
    moved_bytes: float
    rank_bytes: float
    gates: int
    gate_amplitudes: float
    shard_bytes: int
    state_bytes: int


def step_of(head: HeadSettings, sentences: int, sharing: RankLayout, amplitude_bytes: int) -> Step:
    """Return a training step on so many sentences, all trials of a pack together."""
    uses = head.circuits()
    plans = [plan_stages(use.circuit, sharing.shards) for use in uses]
    states = [amplitude_bytes * 2**use.circuit.qubits for use in uses]
    rows = [use.training_rows * sentences for use in uses]
    share = [sharing.rows(count) / sharing.shards for count in rows]
    return Step(
        stages=sum(len(plan.stages) for plan in plans),
        messages=2 * sum(2 ** len(stage.exchange.places) - 1 for plan in plans for stage in plan.stages if stage.exchange),
        moved_bytes=sum(GRADIENT_MOVES * plan.moved * state * count for plan, state, count in zip(plans, states, rows, strict=True)),
        rank_bytes=sum(GRADIENT_MOVES * plan.moved * state * part for plan, state, part in zip(plans, states, share, strict=True)),
        gates=sum(plan.items for plan in plans),
        gate_amplitudes=sum(plan.items * part * 2**use.circuit.qubits for plan, use, part in zip(plans, uses, share, strict=True)),
        shard_bytes=max(states) // sharing.shards,
        state_bytes=amplitude_bytes * shared_amplitudes(head, sentences, sharing),
    )


def shared_amplitudes(head: HeadSettings, sentences: int, sharing: RankLayout) -> int:
    """Return the most amplitudes that a rank holds during a step: what earlier circuits left, and a circuit's state and cotangent."""
    held = [use.training_rows * 2**use.circuit.qubits * sharing.rows(sentences) for use in head.circuits()]
    kept: int = sum(held[:-1]) or sum(held)
    return round((kept + (2 + EXCHANGE_BUFFER) * max(held, default=0)) / sharing.shards)


def step_seconds(step: Step, kernels: Kernels, link: Link) -> tuple[float, float]:
    """Return for how long a rank computes, and for how long it sends and receives."""
    amplitude_s = kernels.near_s if step.shard_bytes <= kernels.near_bytes else kernels.far_s
    return (
        step.gates * kernels.gate_s + step.gate_amplitudes * amplitude_s,
        step.rank_bytes / link.bytes_s + step.messages * link.message_s,
    )
