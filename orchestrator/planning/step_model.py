"""The model of a training step of several ranks: its stages, messages, bytes and memory, and its seconds at the rates of a machine.

Stages are planned by `model/simulators/sharded/stages.py`. `cost_model.py` has the rates of ranks on one node.
"""

from __future__ import annotations

from dataclasses import dataclass

from hadamard.model.heads.base import HeadSettings
from hadamard.model.simulators.sharded.stages import plan_stages
from hadamard.orchestrator.planning.rank_layout import RankLayout

GRADIENT_MOVES = 3
"""A forward pass moves the state; a gradient moves state and cotangent back, in messages that hold both."""
EXCHANGE_BUFFER = 0.25
"""Part of a shard that is being sent at any time."""


@dataclass(frozen=True)
class Kernels:
    """Speed of one rank: forward and gradient of one gate, or rotation.

    Attributes:
        gate_s: Seconds, however small a shard is.
        cached_s: Seconds per amplitude while a row's shard, and its cotangent, stay in a cache.
        uncached_s: Seconds per amplitude of larger shards.
        cache_bytes: The largest shard that stays in a cache.
    """

    gate_s: float
    cached_s: float
    uncached_s: float
    cache_bytes: int


@dataclass(frozen=True)
class Link:
    """Speed at which a rank sends to the others of its group: bytes per second, and seconds of a message however small it is."""

    bytes_s: float
    message_s: float


@dataclass(frozen=True)
class Step:
    """A training step: forward and gradient of a head on some sentences.

    Attributes:
        stages: Number of stages of all circuits.
        messages: Number of messages that one rank sends, each to one other, forward and backward.
        moved_bytes: Bytes sent by all ranks together.
        rank_bytes: Bytes that one rank sends, in the group with the most rows.
        gates: Number of gates or rotations of all circuits.
        gate_amplitudes: Amplitudes of one rank, summed over these.
        shard_bytes: The larger shard of one row.
        state_bytes: Memory of one rank for states, cotangent, and what is being sent.
    """

    stages: int
    messages: int
    moved_bytes: float
    rank_bytes: float
    gates: int
    gate_amplitudes: float
    shard_bytes: int
    state_bytes: int


def step_of(head: HeadSettings, sentences: int, layout: RankLayout, amplitude_bytes: int) -> Step:
    """Return a training step.

    Args:
        head: Of the trials.
        sentences: Of all trials of a pack together.
        layout: The ranks.
        amplitude_bytes: 4 or 8.
    """
    uses = head.circuits()
    plans = [plan_stages(use.circuit, layout.shards) for use in uses]
    states = [amplitude_bytes * 2**use.circuit.qubits for use in uses]
    rows = [use.training_rows * sentences for use in uses]
    share = [layout.rows(count) / layout.shards for count in rows]
    return Step(
        stages=sum(len(plan.stages) for plan in plans),
        messages=2 * sum(2 ** len(stage.exchange.places) - 1 for plan in plans for stage in plan.stages if stage.exchange),
        moved_bytes=sum(GRADIENT_MOVES * plan.moved * state * count for plan, state, count in zip(plans, states, rows, strict=True)),
        rank_bytes=sum(GRADIENT_MOVES * plan.moved * state * part for plan, state, part in zip(plans, states, share, strict=True)),
        gates=sum(plan.items for plan in plans),
        gate_amplitudes=sum(plan.items * part * 2**use.circuit.qubits for plan, use, part in zip(plans, uses, share, strict=True)),
        shard_bytes=max(states) // layout.shards,
        state_bytes=amplitude_bytes * rank_amplitudes(head, sentences, layout),
    )


def rank_amplitudes(head: HeadSettings, sentences: int, layout: RankLayout) -> int:
    """Return the most amplitudes that a rank holds during a step: the states of earlier circuits, and a circuit's state and cotangent."""
    held = [use.training_rows * 2**use.circuit.qubits * layout.rows(sentences) for use in head.circuits()]
    kept: int = sum(held[:-1]) or sum(held)
    return round((kept + (2 + EXCHANGE_BUFFER) * max(held, default=0)) / layout.shards)


def step_seconds(step: Step, kernels: Kernels, link: Link) -> tuple[float, float]:
    """Return the seconds for which a rank computes, and those for which it sends and receives."""
    amplitude_s = kernels.cached_s if step.shard_bytes <= kernels.cache_bytes else kernels.uncached_s
    return (
        step.gates * kernels.gate_s + step.gate_amplitudes * amplitude_s,
        step.rank_bytes / link.bytes_s + step.messages * link.message_s,
    )
