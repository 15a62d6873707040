"""The Triton kernels: a whole real circuit on one sample's state, forward and adjoint, without leaving the multiprocessor.

This runs on the GPU; the order of the slots is in schedule.py, the angles and the memory in simulator.py.

How a state lies. Its index has `NEAR + FAR` bits, qubit 0 first. The first NEAR bits count the registers of one thread, so that a rotation
of a near qubit is arithmetic between registers; the FAR bits count threads. The program is a schedule of slots,
of which slot s rotates qubit s mod (NEAR + FAR).
After NEAR slots the index is turned by NEAR bits, in one exchange through shared memory, and the next qubits are near.
A slot is a CNOT (control anywhere: `mask` is its bit in the index, 0 for none), then an RY; cosine 1, sine 0 and mask 0 is a slot at rest.
There are no branches: Triton's layout pass keeps every state in registers as long as no state flows through an `if`.
ROWS samples lie side by side where one is too small to occupy a warp.
"""

# mypy: disable-error-code="no-untyped-def, untyped-decorator"
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _turn(state, NEAR: tl.constexpr, FAR: tl.constexpr, ROWS: tl.constexpr):
    """Move the near bits behind the far ones: what comes next is near."""
    return tl.reshape(tl.trans(state, [1, 0, 2]), [2**NEAR, 2**FAR, ROWS])


@triton.jit
def _turn_back(state, NEAR: tl.constexpr, FAR: tl.constexpr, ROWS: tl.constexpr):
    return tl.trans(tl.reshape(state, [2**FAR, 2**NEAR, ROWS]), [1, 0, 2])


@triton.jit
def _halves(state, SLOT: tl.constexpr, NEAR: tl.constexpr, FAR: tl.constexpr, ROWS: tl.constexpr):
    """Return the amplitudes where a slot's qubit is 0 and where it is 1, each [before it, after it, far, rows]."""
    pairs = tl.reshape(state, [2**SLOT, 2, 2 ** (NEAR - 1 - SLOT), 2**FAR, ROWS])
    return tl.split(tl.trans(pairs, [0, 2, 3, 4, 1]))


@triton.jit
def _whole(zero, one, NEAR: tl.constexpr, FAR: tl.constexpr, ROWS: tl.constexpr):
    """Undo `_halves`."""
    return tl.reshape(tl.trans(tl.join(zero, one), [0, 4, 1, 2, 3]), [2**NEAR, 2**FAR, ROWS])


@triton.jit
def _controlled(mask, SLOT: tl.constexpr, NEAR: tl.constexpr, FAR: tl.constexpr):
    """Return where, in a half, the control is 1."""
    before = tl.arange(0, 2**SLOT)[:, None, None, None] << (NEAR - SLOT + FAR)
    after = tl.arange(0, 2 ** (NEAR - 1 - SLOT))[None, :, None, None] << FAR
    return ((before + after + tl.arange(0, 2**FAR)[None, None, :, None]) & mask) != 0


@triton.jit
def forward(
    masks, cosines, sines, initial, final, readout, values,
    rows, steps, measured, row_stride, amplitude_stride,
    FROM_ZERO: tl.constexpr, NEAR: tl.constexpr, FAR: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Run `steps` x NEAR slots, keep the final states, and write <Z> of the measured qubits, [measured, rows].

    masks [slots]; cosines, sines [slots, rows] of half the angles; initial, final: states, by strides; readout [measured]: each one's bit
    of the index.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = row < rows
    row = tl.minimum(row, rows - 1).to(tl.int64)
    index = (tl.arange(0, 2**NEAR)[:, None, None] << FAR) + tl.arange(0, 2**FAR)[None, :, None]
    place = row[None, None, :] * row_stride + index * amplitude_stride
    if FROM_ZERO:
        first = tl.broadcast_to(index == 0, [2**NEAR, 2**FAR, ROWS])
        state = tl.where(first, 1.0, 0.0).to(final.dtype.element_ty)
    else:
        state = tl.load(initial + place)
    for step in range(steps):
        for SLOT in tl.static_range(NEAR):
            slot = step * NEAR + SLOT
            c = tl.load(cosines + row + slot * rows)
            s = tl.load(sines + row + slot * rows)
            control = _controlled(tl.load(masks + slot), SLOT, NEAR, FAR)
            zero, one = _halves(state, SLOT, NEAR, FAR, ROWS)
            flipped, unflipped = tl.where(control, one, zero), tl.where(control, zero, one)
            state = _whole(c * flipped - s * unflipped, s * flipped + c * unflipped, NEAR, FAR, ROWS)
        state = _turn(state, NEAR, FAR, ROWS)
    tl.store(final + place, state, mask=inside[None, None, :])
    chance = state * state
    for output in range(measured):
        signed = tl.where((index & tl.load(readout + output)) == 0, chance, -chance)
        value = tl.sum(tl.reshape(signed, [2 ** (NEAR + FAR), ROWS]), axis=0)
        tl.store(values + row + output * rows, value, mask=inside)


@triton.jit
def adjoint(
    masks, cosines, sines, final, readout, cotangents, slopes, initial_cotangent,
    rows, steps, measured, row_stride, amplitude_stride,
    OF_STATES: tl.constexpr, NEAR: tl.constexpr, FAR: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Run the slots backwards on final state and cotangent, and write each slot's gradient by its angle, slopes [slots, rows].

    cotangents [measured, rows]; initial_cotangent: the gradient by the initial states, by strides; the rest as in `forward`.
    """
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)
    inside = row < rows
    row = tl.minimum(row, rows - 1).to(tl.int64)
    index = (tl.arange(0, 2**NEAR)[:, None, None] << FAR) + tl.arange(0, 2**FAR)[None, :, None]
    place = row[None, None, :] * row_stride + index * amplitude_stride
    state = tl.load(final + place)
    cotangent = tl.zeros_like(state)
    for output in range(measured):  # <Z> = sum of +- amplitude**2
        doubled = 2 * tl.load(cotangents + row + output * rows)[None, None, :] * state
        cotangent += tl.where((index & tl.load(readout + output)) == 0, doubled, -doubled)
    for done in range(steps):
        state, cotangent = _turn_back(state, NEAR, FAR, ROWS), _turn_back(cotangent, NEAR, FAR, ROWS)
        for SLOT in tl.static_range(NEAR - 1, -1, -1):
            slot = (steps - 1 - done) * NEAR + SLOT
            c = tl.load(cosines + row + slot * rows)
            s = tl.load(sines + row + slot * rows)
            control = _controlled(tl.load(masks + slot), SLOT, NEAR, FAR)
            zero, one = _halves(state, SLOT, NEAR, FAR, ROWS)
            co_zero, co_one = _halves(cotangent, SLOT, NEAR, FAR, ROWS)
            # dRY/dt = RY (0 -1; 1 0) / 2, and RY commutes with that matrix: the states behind the gate serve as well
            slope = tl.sum(tl.reshape(co_one * zero - co_zero * one, [2 ** (NEAR + FAR - 1), ROWS]), axis=0) / 2
            tl.store(slopes + row + slot * rows, slope, mask=inside)
            zero, one = c * zero + s * one, c * one - s * zero
            state = _whole(tl.where(control, one, zero), tl.where(control, zero, one), NEAR, FAR, ROWS)
            co_zero, co_one = c * co_zero + s * co_one, c * co_one - s * co_zero
            cotangent = _whole(tl.where(control, co_one, co_zero), tl.where(control, co_zero, co_one), NEAR, FAR, ROWS)
    if OF_STATES:
        tl.store(initial_cotangent + place, cotangent, mask=inside[None, None, :])
