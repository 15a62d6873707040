"""The simulator of every gate: states changed by few large matrix products, differentiated by the adjoint method.

Here are the passes over the states, forward and backward, on any torch device; how gates become blocks is in blocks.py, the matrices of
blocks in block_matrices.py.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.simulators.fused.block_matrices import BlockMatrices
from hadamard.model.simulators.fused.blocks import Block, Shuffle, plan
from hadamard.model.simulators.reference import batch_shape, padded

CHUNK_BYTES = {"cpu": 4 * 2**20}
"""States worked on together, by kind of device: as many as stay in a core's caches; all of them where nothing is said."""
COMPLEX = {torch.float32: torch.complex64, torch.float64: torch.complex128}

Matrices: TypeAlias = Sequence[torch.Tensor]
Gradients: TypeAlias = Sequence[torch.Tensor | None]


class FusedSimulator:
    """Simulates circuits of any gates, on the device and in the precision of the weights; real circuits on real amplitudes."""

    def __init__(self) -> None:
        """Look for a GPU, CUDA's or ROCm's."""
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.description = f"blocks of gates as matrix products, torch {torch.__version__}, on {self.device.type}"

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z> of the measured qubits, [trials, rows, measured]; see `base.Simulator`.

        Their gradient can be asked for once: it uses up the final states, which are all that is kept.
        """
        states = padded(states, circuit.qubits)
        shape = batch_shape(circuit, weights, inputs, states)
        prepared = _prepare(circuit, states is not None, weights.dtype, weights.device)
        matrices = prepared.matrices(weights, inputs)
        values: torch.Tensor = _Expectations.apply(prepared, shape, torch.is_grad_enabled(), states, *matrices)  # type: ignore[no-untyped-call]
        return values


class _Expectations(torch.autograd.Function):
    """Expectations of states under the matrices of blocks."""

    @staticmethod
    def forward(
        ctx: Any, prepared: _Prepared, shape: tuple[int, int], keep: bool, states: torch.Tensor | None, *matrices: torch.Tensor
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
            if keep and any(ctx.needs_input_grad):
                ctx.final.append((chunk, state))
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_values: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Undo step by step what was done to the final states, and take each block's gradient on the way."""
        prepared, matrices = ctx.prepared, ctx.saved_tensors
        if not ctx.final and of_values.numel():
            raise RuntimeError("the final states are used up: the gradient of these expectations can be asked for once")
        _, _, _, of_states, *of_matrices = ctx.needs_input_grad
        gradients = [torch.zeros_like(matrix) if needed else None for matrix, needed in zip(matrices, of_matrices, strict=True)]
        states = of_values.new_empty(*of_values.shape[:2], prepared.started) if of_states else None
        while ctx.final:
            chunk, state = ctx.final.pop()
            cotangent = _cotangent(state, prepared.signs, of_values[chunk.trials, chunk.rows])
            own, own_gradients = chunk.of(prepared, matrices), chunk.of(prepared, gradients)
            for step in reversed(prepared.steps):
                state = step.undo(state, own)
                cotangent = step.pull(cotangent, state, own, own_gradients)
            if states is not None:
                states[chunk.trials, chunk.rows] = cotangent.real.mT
        return None, None, None, states, *(None if gradient is None else gradient.conj() for gradient in gradients)


class _Prepared:
    """A plan and its constants on one device and in one precision."""

    def __init__(self, circuit: Circuit, from_states: bool, dtype: torch.dtype, device: torch.device) -> None:
        chosen = plan(circuit, from_states)
        self.dtype = dtype if circuit.real else COMPLEX[dtype]
        self.matrices = BlockMatrices(circuit, chosen, self.dtype, device)
        self.signs = torch.from_numpy(chosen.signs).to(device, dtype)
        self.started = 2**chosen.started
        self.steps: list[_Step] = []
        self.of_rows: list[bool] = []
        """For each block whether every row has its own matrix."""
        for step in chosen.steps:
            if isinstance(step, Shuffle):
                self.steps.append(_Shuffle(step, self.dtype, device))
            elif isinstance(step, Block):
                self.steps.append((_BlockOfRows if step.of_rows else _Block)(len(self.of_rows)))
                self.of_rows.append(step.of_rows)
            else:
                self.steps.append(_Turn())


_prepare = functools.lru_cache(maxsize=64)(_Prepared)


class _Step(Protocol):
    """What is done to states [trials, amplitudes, rows], or after a turn [trials, rows, amplitudes].

    A cotangent is the complex conjugate of the gradient of a state: its products with states then need no conjugates.
    """

    def do(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        """Return the state after the step."""

    def undo(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        """Return the state before the step."""

    def pull(self, cotangent: torch.Tensor, before: torch.Tensor, matrices: Matrices, gradients: Gradients) -> torch.Tensor:
        """Return the cotangent before the step, where the state was `before`.

        Add to the conjugate gradient of the trials' matrix, or set that of the rows' matrix, which no other chunk has.
        """


class _Shuffle:
    """Amplitudes exchanged and turned."""

    def __init__(self, step: Shuffle, dtype: torch.dtype, device: torch.device) -> None:
        back = np.argsort(step.source)
        self.source, self.back = torch.from_numpy(step.source).to(device), torch.from_numpy(back).to(device)
        self.phase = self.phase_back = self.phase_undone = None
        if step.phase is not None:
            phase = (step.phase if dtype.is_complex else step.phase.real)[:, None]
            self.phase, self.phase_back, self.phase_undone = (
                torch.from_numpy(each).to(device, dtype) for each in (phase, phase[back], phase[back].conj())
            )

    def do(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        return _times(state.index_select(1, self.source), self.phase)

    def undo(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        return _times(state.index_select(1, self.back), self.phase_undone)

    def pull(self, cotangent: torch.Tensor, before: torch.Tensor, matrices: Matrices, gradients: Gradients) -> torch.Tensor:
        return _times(cotangent.index_select(1, self.back), self.phase_back)


def _times(state: torch.Tensor, phase: torch.Tensor | None) -> torch.Tensor:
    return state if phase is None else state.mul_(phase)


class _Turn:
    """Rows change places with amplitudes."""

    def do(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        return state.mT.contiguous()

    undo = do

    def pull(self, cotangent: torch.Tensor, before: torch.Tensor, matrices: Matrices, gradients: Gradients) -> torch.Tensor:
        return cotangent.mT.contiguous()


class _Block:
    """Each trial's matrix on the leading qubits, rows last."""

    def __init__(self, number: int) -> None:
        self.number = number

    def do(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        matrix = matrices[self.number]
        return torch.bmm(matrix, state.view(len(matrix), matrix.shape[2], -1)).view(len(state), -1, state.shape[2])

    def undo(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        matrix = matrices[self.number]
        return torch.bmm(matrix.mH, state.view(len(matrix), matrix.shape[1], -1)).view(len(state), -1, state.shape[2])

    def pull(self, cotangent: torch.Tensor, before: torch.Tensor, matrices: Matrices, gradients: Gradients) -> torch.Tensor:
        matrix, gradient = matrices[self.number], gradients[self.number]
        cotangent = cotangent.view(len(matrix), matrix.shape[1], -1)
        if gradient is not None:
            gradient.baddbmm_(cotangent, before.view(len(matrix), matrix.shape[2], -1).mT)
        return torch.bmm(matrix.mT, cotangent).view_as(before)


class _BlockOfRows:
    """Each row's matrix on the leading qubits, amplitudes last; the product is transposed, so that they end up as the trailing ones."""

    def __init__(self, number: int) -> None:
        self.number = number

    def do(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        matrix = matrices[self.number]
        return torch.bmm(state.view(len(matrix), matrix.shape[2], -1).mT, matrix.mT).view(*state.shape[:2], -1)

    def undo(self, state: torch.Tensor, matrices: Matrices) -> torch.Tensor:
        matrix = matrices[self.number]
        return torch.bmm(matrix.mH, state.view(len(matrix), -1, matrix.shape[1]).mT).view(*state.shape[:2], -1)

    def pull(self, cotangent: torch.Tensor, before: torch.Tensor, matrices: Matrices, gradients: Gradients) -> torch.Tensor:
        matrix, gradient = matrices[self.number], gradients[self.number]
        cotangent = cotangent.view(len(matrix), -1, matrix.shape[1]).mT
        if gradient is not None:
            torch.bmm(cotangent, before.view(len(matrix), matrix.shape[2], -1).mT, out=gradient)
        return torch.bmm(matrix.mT, cotangent).view_as(before)


@dataclass(frozen=True)
class _Chunk:
    """Rows worked on together: all rows of some trials, or some rows of one."""

    trials: slice
    rows: slice
    flat: slice
    """The same rows among all rows of all trials."""

    def of(self, prepared: _Prepared, matrices: Sequence[Any]) -> list[Any]:
        """Return these rows' part of the blocks' matrices or of their gradients."""
        pairs = zip(matrices, prepared.of_rows, strict=True)
        return [None if matrix is None else matrix[self.flat if of_rows else self.trials] for matrix, of_rows in pairs]


def _chunks(prepared: _Prepared, shape: tuple[int, int]) -> Iterator[_Chunk]:
    """Share out all rows among chunks of about the same size."""
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
    """Return the initial states, rows last: those given, or |0...0> of the qubits that are there from the beginning."""
    if states is not None:
        given = states[chunk.trials, chunk.rows].mT
        return given.new_empty(given.shape, dtype=prepared.dtype).copy_(given)
    trials, rows = (part.stop - part.start for part in (chunk.trials, chunk.rows))
    state = prepared.signs.new_zeros(trials, prepared.started, rows, dtype=prepared.dtype)
    state[:, 0] = 1
    return state


def _measure(state: torch.Tensor, signs: torch.Tensor) -> torch.Tensor:
    """Return the expectations of states, [trials, rows, measured]."""
    if not state.is_complex():
        return (signs @ state.square()).mT
    of_parts = signs @ torch.view_as_real(state).flatten(2).square()
    return (of_parts[..., 0::2] + of_parts[..., 1::2]).mT


def _cotangent(state: torch.Tensor, signs: torch.Tensor, of_values: torch.Tensor) -> torch.Tensor:
    """Return the cotangent of states whose expectations have the gradient [trials, rows, measured]."""
    factors = signs.mT @ (2 * of_values.mT)
    return (factors * state).conj_physical_() if state.is_complex() else factors.mul_(state)
