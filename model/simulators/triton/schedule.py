"""A program's rotations on a cyclic schedule: slot s rotates qubit s mod Q, and NEAR slots at a time pass under one thread's registers.

Which slot each rotation takes, and where each qubit's bit then lies.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from hadamard.model.simulators.compiled.lowering import Program


@dataclass(frozen=True)
class Schedule:
    """The order in which a program runs.

    Attributes:
        near: Qubits that one step of the schedule brings under the registers.
        steps: Of the schedule; there are `steps * near` slots.
        slots: The slot of each of the program's rotations; the other slots rest.
        masks: For each slot, the bit of the index that its control has at that time; 0 without control.
        readout: For each of the program's outputs, the bit of the index that its qubit has at the end.
    """

    near: int
    steps: int
    slots: tuple[int, ...]
    masks: tuple[int, ...]
    readout: tuple[int, ...]


@functools.lru_cache(maxsize=256)
def schedule_rotations(program: Program, near: int) -> Schedule:
    """Give each rotation, in the program's order, the first slot of its target behind all rotations that it does not commute with.

    Rotations that share no qubit commute, and so do those that share only their control. The rings of the paper's PQC run through the
    qubits in the schedule's own direction: about one slot in six rests.

    Args:
        program: What to run.
        near: Qubits per step, at most the program's.
    """
    qubits = program.qubits
    free_to_target, free_to_control = [0] * qubits, [0] * qubits  # the first slot that may do so with the qubit
    slots = []
    for rotation in program.rotations:
        control, target = rotation.control, rotation.target
        first = free_to_target[target] if control is None else max(free_to_target[target], free_to_control[control])
        slot = first + (target - first) % qubits
        slots.append(slot)
        free_to_target[target] = free_to_control[target] = slot + 1
        if control is not None:
            free_to_target[control] = max(free_to_target[control], slot + 1)
    steps = -(-max(free_to_target) // near)
    masks = [0] * (steps * near)
    for slot, rotation in zip(slots, program.rotations, strict=True):
        if rotation.control is not None:
            masks[slot] = _bit(rotation.control, slot // near * near, qubits)
    readout = tuple(_bit(qubit, steps * near, qubits) for qubit in program.measured)
    return Schedule(near, steps, tuple(slots), tuple(masks), readout)


def _bit(qubit: int, moved: int, qubits: int) -> int:
    """Return a qubit's bit of the index after the schedule has moved by `moved` qubits; at first qubit 0 has the most significant bit."""
    return int(2 ** (qubits - 1 - (qubit - moved) % qubits))
