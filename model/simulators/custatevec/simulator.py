"""The simulator on NVIDIA's cuStateVec: the blocks of `fused`, applied in place to one complex state per row.

Here are the sweeps forward and back, and gradients of the blocks' matrices; calls are in library.py, the plan in in_place.py.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.simulators.custatevec.in_place import Apply, Gather, in_place
from hadamard.model.simulators.custatevec.library import Library, open_library
from hadamard.model.simulators.fused.block_matrices import BlockMatrices
from hadamard.model.simulators.fused.blocks import plan
from hadamard.model.simulators.fused.simulator import COMPLEX
from hadamard.model.simulators.reference import batch_shape, padded


class CuStateVecSimulator:
    """Simulates circuits of any gates on one GPU by NVIDIA, in the precision of the weights."""

    def __init__(self, library: Library | None = None) -> None:
        """Open the library, or take one that is open.

        Raises:
            SettingsError: The library or a GPU for it is missing.
        """
        self.library = library or open_library()
        self.device = self.library.device
        self.description = f"cuStateVec's kernels, on {self.device.type}"

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z> of the measured qubits, [trials, rows, measured]; see `base.Simulator`.

        Their gradient can be asked for once: it uses up the final states, which are all that is kept.
        """
        states = padded(states, circuit.qubits)
        shape = batch_shape(circuit, weights, inputs, states)
        prepared = _prepare(circuit, weights.dtype, weights.device)
        matrices = [matrix.contiguous() for matrix in prepared.matrices(weights, inputs)]
        values: torch.Tensor = _Expectations.apply(  # type: ignore[no-untyped-call]
            self.library, prepared, shape, torch.is_grad_enabled(), states, *matrices
        )
        return values


class _Prepared:
    """A plan and its constants on one device and in one precision."""

    def __init__(self, circuit: Circuit, dtype: torch.dtype, device: torch.device) -> None:
        chosen = in_place(circuit)
        self.qubits, self.dtype = circuit.qubits, COMPLEX[dtype]
        self.matrices = BlockMatrices(circuit, plan(circuit, True), self.dtype, device)
        self.signs = torch.from_numpy(chosen.signs).to(device, dtype)
        self.steps = [_Gathered(step, self.dtype, device) if isinstance(step, Gather) else step for step in chosen.steps]

    def begin(self, shape: tuple[int, int], states: torch.Tensor | None) -> torch.Tensor:
        """Return the initial states of all rows of all trials, [trials * rows, amplitudes]."""
        if states is not None:
            return states.flatten(0, 1).to(self.dtype, copy=True, memory_format=torch.contiguous_format)
        state = self.signs.new_zeros(shape[0] * shape[1], 2**self.qubits, dtype=self.dtype)
        state[:, 0] = 1
        return state


_prepare = functools.lru_cache(maxsize=64)(_Prepared)


class _Gathered:
    """A gather's tables on one device; cuStateVec has none for many states at once."""

    def __init__(self, step: Gather, dtype: torch.dtype, device: torch.device) -> None:
        self.source, self.back = (torch.from_numpy(places).to(device) for places in (step.source, np.argsort(step.source)))
        self.phase = None if step.phase is None else torch.from_numpy(step.phase).to(device, dtype)

    def do(self, states: torch.Tensor) -> None:
        states.copy_(states.index_select(1, self.source))
        if self.phase is not None:
            states.mul_(self.phase)

    def undo(self, states: torch.Tensor) -> None:
        if self.phase is not None:
            states.mul_(self.phase.conj())
        states.copy_(states.index_select(1, self.back))


class _Expectations(torch.autograd.Function):
    """Expectations of states under the matrices of blocks.

    The gradient of a real loss by a state, its cotangent, is taken back through a unitary step exactly as the state is, by the step's
    adjoint. So both lie in one buffer, and each step back is one call for all.
    """

    @staticmethod
    def forward(
        ctx: Any,
        library: Library,
        prepared: _Prepared,
        shape: tuple[int, int],
        keep: bool,
        states: torch.Tensor | None,
        *matrices: torch.Tensor,
    ) -> torch.Tensor:
        state = prepared.begin(shape, states)
        which = _Which(shape, 1, state.device)
        for step in prepared.steps:
            if isinstance(step, Apply):
                library.apply(state, matrices[step.number], which.of(step), step.targets(prepared.qubits), adjoint=False)
            else:
                step.do(state)
        values = torch.view_as_real(state).square().sum(-1) @ prepared.signs.mT
        ctx.library, ctx.prepared, ctx.shape, ctx.final = library, prepared, shape, []
        ctx.save_for_backward(*matrices)
        if keep and any(ctx.needs_input_grad):
            ctx.final.append(state)
        return values.view(*shape, -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_values: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Undo step by step what was done to the final states, and take each block's gradient on the way."""
        if not ctx.final:
            raise RuntimeError("the final states are used up: the gradient of these expectations can be asked for once")
        prepared, matrices = ctx.prepared, ctx.saved_tensors
        _, _, _, _, of_states, *of_matrices = ctx.needs_input_grad
        gradients: list[torch.Tensor | None] = [None] * len(matrices)
        both = _with_cotangents(ctx.final, prepared.signs, of_values.flatten(0, 1))
        halves = both.chunk(2)
        which = _Which(ctx.shape, 2, both.device)
        for step in reversed(prepared.steps):
            if not isinstance(step, Apply):
                for half in halves:  # one after the other, since a gather takes a copy
                    step.undo(half)
                continue
            matrix = matrices[step.number]
            ctx.library.apply(both, matrix, which.of(step), step.targets(prepared.qubits), adjoint=True)
            if of_matrices[step.number]:
                gradients[step.number] = _gradient(step, matrix, *halves)
        initial = halves[1].real.reshape(*ctx.shape, -1) if of_states else None
        return None, None, None, None, initial, *gradients


class _Which:
    """For each state of a buffer the number of its matrix, by kind of block; a buffer holds all rows once, or twice with the cotangents."""

    def __init__(self, shape: tuple[int, int], times: int, device: torch.device) -> None:
        rows = torch.arange(shape[0] * shape[1], dtype=torch.int32, device=device)
        self.rows, self.trials = rows.repeat(times), (rows // shape[1]).repeat(times)

    def of(self, step: Apply) -> torch.Tensor:
        return self.rows if step.of_rows else self.trials


def _with_cotangents(final: list[torch.Tensor], signs: torch.Tensor, of_values: torch.Tensor) -> torch.Tensor:
    """Return the final states, whose own memory is given back, and after them the gradients by them, for that by their expectations."""
    both = torch.cat([final[0], final.pop()])
    both[len(of_values) :] *= 2 * of_values @ signs
    return both


def _gradient(step: Apply, matrix: torch.Tensor, state: torch.Tensor, cotangent: torch.Tensor) -> torch.Tensor:
    """Return the gradient by a block's matrices, of state and cotangent before the block.

    It is the cotangent after the block times the adjoint of the state before it, and the former is the matrix times the cotangent before.
    """
    before = _led_by(step, cotangent) @ _led_by(step, state).mH
    if not step.of_rows:
        before = before.view(len(matrix), -1, *before.shape[1:]).sum(1)
    return matrix @ before


def _led_by(step: Apply, states: torch.Tensor) -> torch.Tensor:
    """Return states as [n, 2**qubits, rest], the block's qubits first; a copy where they do not lead already."""
    turned = states.view(len(states), 2**step.offset, -1).mT
    return turned.reshape(len(states), 2**step.qubits, -1)
