"""The compiled simulator: real circuits on the CPU, a whole batch and circuit per call, differentiated by the adjoint method.

The way from torch tensors to the kernels (kernels/), and their place in autograd.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.errors import SettingsError
from hadamard.model.simulators.compiled import native
from hadamard.model.simulators.compiled.lowering import lower
from hadamard.model.simulators.compiled.programs import kernel_program, lane_bits_for
from hadamard.model.simulators.reference import batch_shape

SMALL_WORK = 2**18
"""Amplitudes x rotations of a batch below which a second thread costs more than it saves."""


class CompiledSimulator:
    """Runs real circuits in our own kernels, in float32 or float64 as the weights are, on torch's number of threads."""

    device = torch.device("cpu")
    description = f"C++ kernels, {8 * native.vector_bytes}-bit vectors, on cpu"

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z> of the measured qubits, [trials, rows, measured]; see `base.Simulator`.

        The numbers of a trial depend neither on the other trials nor on threads, to the last bit. Memory: one state per row, kept for
        the gradient, and two states per thread and vector of rows.

        Raises:
            SettingsError: A gate is not real, or the weights are neither float32 nor float64, or not on the CPU.
        """
        if weights.device != self.device:
            raise SettingsError(f"simulator compiled needs its tensors on {self.device}, not on {weights.device}")
        return _Expectations.apply(circuit, torch.is_grad_enabled(), weights, inputs, states)  # type: ignore[no-any-return, no-untyped-call]


class _Expectations(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, circuit: Circuit, keep: bool, weights: torch.Tensor, inputs: torch.Tensor | None, states: torch.Tensor | None
    ) -> torch.Tensor:
        trials, rows = batch_shape(circuit, weights, inputs, states)
        dtype = weights.dtype
        if dtype not in (torch.float32, torch.float64):
            raise SettingsError(f"simulator compiled computes in float32 or float64, not in {dtype}")
        weights = weights.contiguous()
        inputs = None if inputs is None else inputs.to(dtype).contiguous()
        states = None if states is None else states.to(dtype).contiguous()
        program, lanes = _program(circuit, dtype, rows)
        keep = keep and any(ctx.needs_input_grad)
        saved = weights.new_empty((trials * -(-rows // lanes) * lanes, 2**circuit.qubits) if keep else 0)
        values = weights.new_empty((trials, rows, circuit.measured))
        threads = _threads(trials * rows * 2**circuit.qubits * len(circuit.gates))
        amplitudes = 0 if states is None else states.shape[2]
        native.forward(
            program, dtype == torch.float32, trials, rows, weights.data_ptr(), _address(inputs), _address(states), amplitudes,
            saved.data_ptr() if keep else 0, values.data_ptr(), threads,
        )  # fmt: skip
        ctx.save_for_backward(weights, inputs, saved)
        ctx.program, ctx.batch, ctx.threads = program, (trials, rows, amplitudes), threads
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        weights, inputs, saved = ctx.saved_tensors
        trials, rows, amplitudes = ctx.batch
        _, _, _, of_inputs, of_states = ctx.needs_input_grad
        cotangent = cotangent.contiguous()
        weight_gradient = torch.zeros_like(weights)
        input_gradient = torch.zeros_like(inputs) if of_inputs else None
        state_gradient = weights.new_empty((trials, rows, amplitudes)) if of_states else None
        native.backward(
            ctx.program, weights.dtype == torch.float32, trials, rows, weights.data_ptr(), _address(inputs), saved.data_ptr(),
            cotangent.data_ptr(), weight_gradient.data_ptr(), _address(input_gradient), _address(state_gradient),
            amplitudes, ctx.threads,
        )  # fmt: skip
        return None, None, weight_gradient, input_gradient, state_gradient


def _address(tensor: torch.Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()


def _threads(work: int) -> int:
    return 1 if work < SMALL_WORK else torch.get_num_threads()


@functools.lru_cache(maxsize=256)
def _program(circuit: Circuit, dtype: torch.dtype, rows: int) -> tuple[native.Program, int]:
    """Return the kernels' form of a circuit, and how many rows lie side by side in a vector."""
    program = lower(circuit)
    lane_bits = lane_bits_for(circuit.qubits, dtype.itemsize, rows)
    bits = {qubit: circuit.qubits - 1 - qubit for qubit in range(circuit.qubits)}
    measured = tuple(zip(program.measured, program.signs, strict=True))
    compiled = kernel_program(program.rotations, bits, circuit.qubits, lane_bits, measured, program.weights, program.inputs)
    return compiled, native.vector_bytes // dtype.itemsize >> lane_bits
