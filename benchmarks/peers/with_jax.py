"""JAX as a peer: the whole head in one jitted function, float32 real amplitudes, written for XLA's CPU compiler.

Each ring is one `lax.scan` over its gates: the state's qubits turn by one place after each gate, so that all gates act on the same
axes. That compiles in seconds where the unrolled circuit takes minutes, and runs twice as fast. The batch lies in the last axis, where
XLA vectorises, and goes through in blocks that stay in cache.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable

os.environ["JAX_PLATFORMS"] = "cpu"
if os.environ.get("OMP_NUM_THREADS") == "1":  # XLA does not ask that variable, and reads its own when it is loaded
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"

import jax
import jax.numpy as jnp
from jax import Array, lax

from benchmarks.peers.arrays import z_signs
from hadamard.model.circuits.circuit import pqc_angles
from hadamard.orchestrator.timing.paper_head import (
    ANGLE_SCALE,
    BLOCK_LAYERS,
    CONNECTIVITY,
    ENCODER_LAYERS,
    LAST_LAYERS,
    Case,
    Step,
)

ROWS_AT_ONCE = 4
"""The fastest block at 10 and 14 qubits; 1 and 32 take up to twice as long."""


def prepare(case: Case) -> Step:
    """Return the step, compiled."""
    arguments = [jnp.asarray(part, jnp.float32) for part in (case.encoder_weights, case.second_weights, case.states, case.cotangent)]
    compiled = jax.jit(_head(case.encoder.qubits)).lower(*arguments).compile()

    def step() -> tuple[Array, Array, Array]:
        values, (encoder, second) = jax.block_until_ready(compiled(*arguments))
        return values, encoder, second

    return step


def _head(qubits: int) -> Callable[..., tuple[Array, tuple[Array, Array]]]:
    """Return the function from weights, states [rows, 2**qubits] and cotangent to values and gradients."""
    signs = jnp.asarray(z_signs(qubits), jnp.float32)

    def loss(encoder: Array, second: Array, states: Array, cotangent: Array) -> tuple[Array, Array]:
        state = _pqc(states.T, encoder, ENCODER_LAYERS, qubits)
        inputs = ANGLE_SCALE * signs.T @ (state * state)
        state = jnp.zeros_like(state).at[0].set(1)
        first = 0
        for layers in BLOCK_LAYERS:
            after = first + pqc_angles(qubits, layers, CONNECTIVITY)
            state = _pqc(_column(state, jnp.cos(inputs / 2), jnp.sin(inputs / 2)), second[first:after], layers, qubits)
            first = after
        state = _pqc(state, second[first:], LAST_LAYERS, qubits)
        values = signs[:, 0] @ (state * state)
        return cotangent @ values, values

    gradient = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)

    def head(encoder: Array, second: Array, states: Array, cotangent: Array) -> tuple[Array, tuple[Array, Array]]:
        blocks = math.gcd(len(states), ROWS_AT_ONCE)
        rows = (states.reshape(-1, blocks, states.shape[1]), cotangent.reshape(-1, blocks))
        (_, values), gradients = lax.map(lambda block: gradient(encoder, second, *block), rows)
        return values.reshape(-1), jax.tree.map(lambda part: part.sum(axis=0), gradients)

    return head


def _pqc(state: Array, weights: Array, layers: int, qubits: int) -> Array:
    """Apply the paper's PQC (reading A) to [2**qubits, rows]: a layer, the RY column, the other layers."""
    halves = weights.reshape(-1, qubits) / 2
    cos, sin = jnp.cos(halves), jnp.sin(halves)

    def layer(state: Array, angles: tuple[Array, Array]) -> tuple[Array, None]:
        for distance in range(1, CONNECTIVITY + 1):
            state = _ring(state, angles[0][distance - 1], angles[1][distance - 1], distance)
        return state, None

    state, _ = layer(state, (cos, sin))
    state = _column(state, cos[CONNECTIVITY], sin[CONNECTIVITY])
    others = [part[CONNECTIVITY + 1 :].reshape(layers - 1, CONNECTIVITY, qubits) for part in (cos, sin)]
    return lax.scan(layer, state, tuple(others))[0]


def _column(state: Array, cos: Array, sin: Array) -> Array:
    """Apply RY to every qubit in turn; cos and sin are [qubits], or [qubits, rows]."""

    def gate(state: Array, turn: tuple[Array, Array]) -> tuple[Array, None]:
        cos, sin = turn
        zero, unit = state.reshape(2, -1, state.shape[-1])
        return _next_qubit(jnp.stack([cos * zero - sin * unit, sin * zero + cos * unit])), None

    return lax.scan(gate, state, (cos, sin))[0]


def _ring(state: Array, cos: Array, sin: Array, distance: int) -> Array:
    """Apply CNOT from each qubit to the one `distance` further on, with RY on that after each; cos and sin are [qubits]."""

    def gate(state: Array, turn: tuple[Array, Array]) -> tuple[Array, None]:
        cos, sin = turn
        split = state.reshape(2, 2 ** (distance - 1), 2, -1, state.shape[-1])
        zero = jnp.stack([split[0, :, 0], split[1, :, 1]])  # of the target after the CNOT
        unit = jnp.stack([split[0, :, 1], split[1, :, 0]])
        return _next_qubit(jnp.stack([cos * zero - sin * unit, sin * zero + cos * unit], axis=2)), None

    return lax.scan(gate, state, (cos, sin))[0]


def _next_qubit(state: Array) -> Array:
    """Put the first qubit last and return [2**qubits, rows]."""
    rows = state.shape[-1]
    return state.reshape(2, -1, rows).swapaxes(0, 1).reshape(-1, rows)
