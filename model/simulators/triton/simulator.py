"""The GPU simulator: real circuits whose state fits one multiprocessor, a whole batch per launch, differentiated by the adjoint method.

The way from torch tensors to the sweeps (sweeps.py), and their place in autograd; the order of rotations is in schedule.py.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Literal

import torch
from torch.autograd.function import once_differentiable

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.errors import SettingsError
from hadamard.model.simulators.compiled.lowering import lower
from hadamard.model.simulators.reference import batch_shape, padded
from hadamard.model.simulators.triton.schedule import Schedule, schedule_rotations

STATE_BYTES = 2**16
"""The largest state. The adjoint sweep holds two of them in the 256 KiB of registers of one multiprocessor and works in the other half;
an exchange passes through as many bytes of shared memory (163 to 227 KiB on data-centre GPUs, 64 KiB on AMD's, 99 KiB on most others)."""
THREAD_BYTES = 2**7
"""What one thread holds of a state: 32 registers, as many for the cotangent, and 64 to work in, where 512 threads share them."""
MOST_ROWS = 32
"""Rows that one program takes where states are small: one per thread of a warp."""
OUT_OF_REACH = "`simulator: auto` chooses one that runs here"


def fits(circuit: Circuit, dtype: torch.dtype) -> bool:
    """Return whether this simulator takes a circuit: real gates, and at most 14 qubits in float32, 13 in float64."""
    return circuit.real and dtype in (torch.float32, torch.float64) and dtype.itemsize << circuit.qubits <= STATE_BYTES


class TritonSimulator:
    """Runs real circuits on a GPU, in float32 or float64 as the weights are; on a CPU only under Triton's interpreter, for tests."""

    def __init__(self) -> None:
        """Look for Triton and a GPU.

        Raises:
            SettingsError: There is none.
        """
        import triton

        if not torch.cuda.is_available() and not triton.knobs.runtime.interpret:
            raise SettingsError(f"simulator triton needs a GPU, and torch {torch.__version__} sees none here; {OUT_OF_REACH}")
        self.device = torch.device("cpu" if triton.knobs.runtime.interpret else "cuda")
        self.description = f"one GPU kernel per circuit, Triton {triton.__version__}, on {self.device.type}"

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z> of the measured qubits, [trials, rows, measured]; see `base.Simulator`.

        Memory: per row its final state, kept for the gradient, and six numbers per slot of the schedule.

        Raises:
            SettingsError: A gate is not real, the state does not fit, or the weights are not on a GPU.
        """
        lower(circuit)  # its error says which gate is not real
        if not fits(circuit, weights.dtype):
            raise SettingsError(
                f"simulator triton holds real states of up to {STATE_BYTES // 1024} KiB (14 qubits in float32, 13 in float64), "
                f"not of {circuit.qubits} qubits in {weights.dtype}; `simulator: auto` takes one that does"
            )
        if weights.device.type != self.device.type:
            raise SettingsError(f"simulator triton needs its tensors on {self.device}, not on {weights.device}")
        states = padded(states, circuit.qubits)
        trials, rows = batch_shape(circuit, weights, inputs, states)
        plan = _plan(circuit, weights.dtype, weights.device)
        angles = _angles(plan, weights, inputs, rows)
        flat = None if states is None else states.to(weights.dtype).reshape(trials * rows, -1)
        values: torch.Tensor = _Sweeps.apply(plan, angles.reshape(-1, trials * rows), flat)  # type: ignore[no-untyped-call]
        return values.reshape(-1, trials, rows).permute(1, 2, 0)


@dataclass(frozen=True, eq=False)
class _Terms:
    """The parts of all angles that are columns of one source: angles[slots] += scales * source[columns]."""

    slots: torch.Tensor
    columns: torch.Tensor
    scales: torch.Tensor


@dataclass(frozen=True, eq=False)
class _Plan:
    """What depends on circuit, precision and device alone.

    Attributes:
        schedule: The order of the rotations.
        far: Qubits whose bits count threads.
        rows: Rows that one program of the launch takes.
        warps: Warps that it has.
        masks: The schedule's, on the device.
        readout: The schedule's, on the device.
        signs: [measured, 1], each output's sign.
        offsets: [slots], the constant part of each angle.
        weights: The parts that are columns of the weights.
        inputs: The parts that are columns of the inputs.
    """

    schedule: Schedule
    far: int
    rows: int
    warps: int
    masks: torch.Tensor
    readout: torch.Tensor
    signs: torch.Tensor
    offsets: torch.Tensor
    weights: _Terms
    inputs: _Terms


@functools.lru_cache(maxsize=256)
def _plan(circuit: Circuit, dtype: torch.dtype, device: torch.device) -> _Plan:
    program = lower(circuit)
    near = min(program.qubits, (THREAD_BYTES // dtype.itemsize).bit_length() - 1)
    schedule = schedule_rotations(program, near)
    amplitudes = 2**program.qubits
    warp_amplitudes = _warp_threads(device) * THREAD_BYTES // dtype.itemsize
    offsets = [0.0] * len(schedule.masks)
    for slot, rotation in zip(schedule.slots, program.rotations, strict=True):
        offsets[slot] = rotation.offset

    def terms(of: Literal["weights", "inputs"]) -> _Terms:
        found = [
            (slot, term.column, term.scale)
            for slot, rotation in zip(schedule.slots, program.rotations, strict=True)
            for term in rotation.terms
            if term.of == of
        ]
        slots, columns, scales = zip(*found, strict=True) if found else ((), (), ())
        return _Terms(
            torch.tensor(slots, dtype=torch.int64, device=device),
            torch.tensor(columns, dtype=torch.int64, device=device),
            torch.tensor(scales, dtype=dtype, device=device),
        )

    return _Plan(
        schedule=schedule,
        far=program.qubits - near,
        rows=min(max(warp_amplitudes // amplitudes, 1), MOST_ROWS),
        warps=max(amplitudes // warp_amplitudes, 1),
        masks=torch.tensor(schedule.masks, dtype=torch.int32, device=device),
        readout=torch.tensor(schedule.readout, dtype=torch.int32, device=device),
        signs=torch.tensor(program.signs, dtype=dtype, device=device)[:, None],
        offsets=torch.tensor(offsets, dtype=dtype, device=device),
        weights=terms("weights"),
        inputs=terms("inputs"),
    )


def _warp_threads(device: torch.device) -> int:
    """Return how many threads a warp has: 32 on NVIDIA's GPUs, 64 on most of AMD's."""
    return int(torch.cuda.get_device_properties(device).warp_size) if device.type == "cuda" else 32


def _angles(plan: _Plan, weights: torch.Tensor, inputs: torch.Tensor | None, rows: int) -> torch.Tensor:
    """Return the angle of every slot in every row, [slots, trials, rows], differentiable."""
    own = plan.weights
    parts = own.scales[:, None] * weights.t()[own.columns]
    angles = plan.offsets[:, None].expand(-1, len(weights)).index_add(0, own.slots, parts)[:, :, None].expand(-1, -1, rows)
    own = plan.inputs
    if inputs is None or not len(own.slots):
        return angles
    return angles.index_add(0, own.slots, own.scales[:, None, None] * inputs.to(weights.dtype).permute(2, 0, 1)[own.columns])


class _Sweeps(torch.autograd.Function):
    """[slots, rows] angles and [rows, 2**qubits] states to [measured, rows] expectations."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, angles: torch.Tensor, states: torch.Tensor | None) -> torch.Tensor:
        halves = angles / 2
        cosines, sines = torch.cos(halves), torch.sin(halves)
        final = _empty_states(plan, angles)
        initial = final if states is None else _laid_out(plan, states)
        values = angles.new_empty(len(plan.readout), angles.shape[1])
        _launch("forward", plan, final, (plan.masks, cosines, sines, initial, final, plan.readout, values), FROM_ZERO=states is None)
        ctx.plan = plan
        ctx.save_for_backward(cosines, sines, final)
        return values * plan.signs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangents: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor | None]:
        plan: _Plan = ctx.plan
        cosines, sines, final = ctx.saved_tensors
        of_states = ctx.needs_input_grad[2]
        slopes = torch.empty_like(cosines)
        initial = _empty_states(plan, cosines) if of_states else final
        cotangents = (cotangents * plan.signs).contiguous()
        _launch("adjoint", plan, final, (plan.masks, cosines, sines, final, plan.readout, cotangents, slopes, initial), OF_STATES=of_states)
        return None, slopes, initial if of_states else None


def _empty_states(plan: _Plan, like: torch.Tensor) -> torch.Tensor:
    """Return room for [rows, 2**qubits]; next to each other in memory lies what neighbouring threads hold."""
    amplitudes, rows = 2 ** (plan.schedule.near + plan.far), like.shape[1]
    return like.new_empty(rows, amplitudes) if plan.rows == 1 else like.new_empty(amplitudes, rows).t()


def _laid_out(plan: _Plan, states: torch.Tensor) -> torch.Tensor:
    return states.contiguous() if plan.rows == 1 else states.t().contiguous().t()


def _launch(sweep: str, plan: _Plan, states: torch.Tensor, tensors: tuple[torch.Tensor, ...], **choices: bool) -> None:
    """Run a sweep over all rows; `states` are any of its states, for their layout."""
    rows = states.shape[0]
    grid = (-(-rows // plan.rows),)
    with torch.cuda.device_of(states):  # type: ignore[no-untyped-call]
        getattr(_sweeps(), sweep)[grid](
            *tensors, rows, plan.schedule.steps, len(plan.readout), *states.stride(),
            NEAR=plan.schedule.near, FAR=plan.far, ROWS=plan.rows, num_warps=plan.warps, enable_fp_fusion=True, **choices,
        )  # fmt: skip


@functools.cache
def _sweeps() -> ModuleType:
    from hadamard.model.simulators.triton import sweeps

    return sweeps
