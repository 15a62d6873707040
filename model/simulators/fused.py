"""The simulator of every gate: states changed by few large matrix products, differentiated by the adjoint method.

Owns the passes over the states, forward and backward, on any torch device. Does not own how gates become blocks, nor blocks matrices.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from model.circuit import Circuit
from model.simulators.block_matrices import BlockMatrices
from model.simulators.blocks import Block, Shuffle, plan
from model.simulators.state_vector import batch_shape

CHUNK_BYTES = {"cpu": 4 * 2**20}
"""States worked on together, by kind of device: as many as stay in a core's caches; all of them where nothing is said."""

Matrices: TypeAlias = list[torch.Tensor]
Gradients: TypeAlias = list[torch.Tensor | None]
COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}


class FusedSimulator:
    """Simulates circuits of any gates, on the device and in the precision of the weights; real circuits on real amplitudes."""

    def __init__(self) -> None:
        """Look for a GPU, CUDA's or ROCm's."""
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z> of the measured qubits, [trials, rows, measured]; see `model.simulators.Simulator`.

        Its gradient can be asked for once: the final states, all that is kept of them, are used up by it.
        """
        prepared = _prepare(circuit, states is not None, weights.dtype, weights.device)
        trials, rows = batch_shape(weights, inputs, states)
        matrices = prepared.matrices(weights, inputs)
        return _Expectations.apply(prepared, (trials, rows), states, *matrices)  # type: ignore[no-any-return, no-untyped-call]


class _Prepared:
    """A plan and its constants on one device and in one precision."""

    def __init__(self, circuit: Circuit, from_states: bool, dtype: torch.dtype, device: torch.device) -> None:
        chosen = plan(circuit, from_states)
        self.dtype = dtype if circuit.real else COMPLEX[dtype]
        self.matrices = BlockMatrices(circuit, chosen, self.dtype, device)
        self.signs = torch.from_numpy(chosen.signs).to(device, dtype)
        self.started = 2**chosen.started
        self.steps: list[_Shuffle | _Turn | _Block | _BlockOfRows] = []
        self.of_rows: list[bool] = []
        for step in chosen.steps:
            if isinstance(step, Shuffle):
                self.steps.append(_Shuffle(step, self.dtype, device))
            elif isinstance(step, Block):
                self.steps.append((_BlockOfRows if step.of_rows else _Block)(len(self.of_rows)))
                self.of_rows.append(step.of_rows)
            else:
                self.steps.append(_Turn())


_prepare = functools.lru_cache(maxsize=64)(_Prepared)


class _Shuffle:
    """Amplitudes exchanged and turned, rows last."""

    def __init__(self, step: Shuffle, dtype: torch.dtype, device: torch.device) -> None:
        back = np.argsort(step.source)
        self.source, self.back = (torch.from_numpy(index).to(device) for index in (step.source, back))
        self.phase: torch.Tensor | None = None
        if step.phase is not None:
            phase = torch.from_numpy(step.phase if dtype.is_complex else step.phase.real)[:, None].to(device, dtype)
            self.phase, self.phase_back = phase, phase[self.back]
            self.phase_undone = self.phase_back.conj().resolve_conj()

    def do(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        state = state.index_select(1, self.source)
        return state if self.phase is None else state.mul_(self.phase)

    def undo(
        self, state: torch.Tensor, cotangent: torch.Tensor, matrices: Matrices, gradients: Gradients
    ) -> tuple[torch.Tensor, torch.Tensor]:
        state, cotangent = state.index_select(1, self.back), cotangent.index_select(1, self.back)
        if self.phase is not None:
            state.mul_(self.phase_undone)
            cotangent.mul_(self.phase_back)
        return state, cotangent


class _Turn:
    """Rows change places with amplitudes."""

    def do(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        return state.transpose(1, 2).contiguous()

    def undo(
        self, state: torch.Tensor, cotangent: torch.Tensor, matrices: Matrices, gradients: Gradients
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return state.transpose(1, 2).contiguous(), cotangent.transpose(1, 2).contiguous()


class _Block:
    """A matrix for each trial on the leading qubits, rows last."""

    def __init__(self, number: int) -> None:
        self.number = number

    def do(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        matrix = matrices[self.number]
        trials, _, rows = state.shape
        return torch.bmm(matrix, state.view(trials, matrix.shape[2], -1)).view(trials, -1, rows)

    def undo(
        self, state: torch.Tensor, cotangent: torch.Tensor, matrices: Matrices, gradients: Gradients
    ) -> tuple[torch.Tensor, torch.Tensor]:
        matrix, gradient = matrices[self.number], gradients[self.number]
        trials, _, rows = state.shape
        side = matrix.shape[1]
        before = torch.bmm(matrix.mH, state.view(trials, side, -1))
        cotangent = cotangent.view(trials, side, -1)
        if gradient is not None:
            gradient += torch.bmm(cotangent, before.mT)
        return before.view(trials, -1, rows), torch.bmm(matrix.mT, cotangent).view(trials, -1, rows)


class _BlockOfRows:
    """A matrix for each row on the leading qubits, rows before amplitudes; the qubits come to lie last."""

    def __init__(self, number: int) -> None:
        self.number = number

    def do(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        matrix = matrices[self.number]
        trials, rows, _ = state.shape
        return torch.bmm(state.view(trials * rows, matrix.shape[2], -1).mT, matrix.mT).view(trials, rows, -1)

    def undo(
        self, state: torch.Tensor, cotangent: torch.Tensor, matrices: Matrices, gradients: Gradients
    ) -> tuple[torch.Tensor, torch.Tensor]:
        matrix, gradient = matrices[self.number], gradients[self.number]
        trials, rows, _ = state.shape
        side = matrix.shape[1]
        before = torch.bmm(matrix.mH, state.view(trials * rows, -1, side).mT)
        cotangent = cotangent.view(trials * rows, -1, side).mT
        if gradient is not None:
            gradient += torch.bmm(cotangent, before.mT)
        return before.view(trials, rows, -1), torch.bmm(matrix.mT, cotangent).view(trials, rows, -1)


class _Expectations(torch.autograd.Function):
    """Expectations of states under the matrices of blocks."""

    @staticmethod
    def forward(
        ctx: Any, prepared: _Prepared, shape: tuple[int, int], states: torch.Tensor | None, *matrices: torch.Tensor
    ) -> torch.Tensor:
        values = prepared.signs.new_empty(*shape, len(prepared.signs))
        ctx.prepared, ctx.final = prepared, []
        ctx.save_for_backward(*matrices)
        for chunk in _chunks(prepared, shape):
            state = _begin(prepared, states, chunk)
            own = chunk.of(prepared, matrices)
            for step in prepared.steps:
                state = step.do(state, own)
            values[chunk.trials, chunk.rows] = _measure(state, prepared.signs)
            if any(ctx.needs_input_grad):
                ctx.final.append((chunk, state))
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_values: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        prepared, matrices = ctx.prepared, ctx.saved_tensors
        if not ctx.final:
            raise RuntimeError("the final states are used up: the gradient of fused expectations can be asked for once")
        _, _, of_states, *of_matrices = ctx.needs_input_grad
        gradients = [torch.zeros_like(matrix) if needed else None for matrix, needed in zip(matrices, of_matrices, strict=True)]
        states = of_values.new_empty(*of_values.shape[:2], prepared.started) if of_states else None
        while ctx.final:
            chunk, state = ctx.final.pop()
            cotangent = _cotangent(state, prepared.signs, of_values[chunk.trials, chunk.rows])
            own, own_gradients = chunk.of(prepared, matrices), chunk.of(prepared, gradients)
            for step in reversed(prepared.steps):
                state, cotangent = step.undo(state, cotangent, own, own_gradients)
            if states is not None:
                states[chunk.trials, chunk.rows] = cotangent.real.mT
        return None, None, states, *(None if gradient is None else gradient.conj() for gradient in gradients)


@dataclass(frozen=True)
class _Chunk:
    """Rows worked on together: all of several trials, or some of one."""

    trials: slice
    rows: slice
    flat: slice
    """Of all rows of all trials."""

    def of(self, prepared: _Prepared, matrices: Sequence[Any]) -> list[Any]:
        """Return what belongs to these rows of matrices, or of gradients."""
        return [
            None if matrix is None else matrix[self.flat if of_rows else self.trials]
            for matrix, of_rows in zip(matrices, prepared.of_rows, strict=True)
        ]


def _chunks(prepared: _Prepared, shape: tuple[int, int]) -> Iterator[_Chunk]:
    """Yield all rows, in chunks of about the same size."""
    trials, rows = shape
    fit = max(1, CHUNK_BYTES.get(prepared.signs.device.type, sys.maxsize) // (prepared.signs.shape[1] * prepared.dtype.itemsize))
    parts = -(-rows // fit)
    together = max(1, fit // rows) if parts == 1 else 1
    for first in range(0, trials, together):
        last = min(first + together, trials)
        for part in range(parts):
            start, stop = rows * part // parts, rows * (part + 1) // parts
            yield _Chunk(slice(first, last), slice(start, stop), slice(first * rows + start, (last - 1) * rows + stop))


def _begin(prepared: _Prepared, states: torch.Tensor | None, chunk: _Chunk) -> torch.Tensor:
    """Return the initial states, rows last: those given, or 1 in front of zeros for the qubits that are there from the beginning."""
    shape = (chunk.trials.stop - chunk.trials.start, prepared.started, chunk.rows.stop - chunk.rows.start)
    if states is not None:
        return prepared.signs.new_empty(shape, dtype=prepared.dtype).copy_(states[chunk.trials, chunk.rows].mT)
    state = prepared.signs.new_zeros(shape, dtype=prepared.dtype)
    state[:, 0] = 1
    return state


def _measure(state: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    """Return the expectations of states, [trials, rows, measured]."""
    if not state.is_complex():
        return (signs @ state.square()).mT
    squares = torch.view_as_real(state).flatten(2).square()
    both = signs @ squares
    return (both[..., 0::2] + both[..., 1::2]).mT


def _cotangent(state: torch.Tensor, signs: torch.Tensor, of_values: torch.Tensor) -> torch.Tensor:
    """Return the conjugate gradient of states whose expectations have the gradient [trials, rows, measured]."""
    cotangent = state * (2 * signs.mT @ of_values.mT)
    return cotangent.conj_physical_() if cotangent.is_complex() else cotangent
