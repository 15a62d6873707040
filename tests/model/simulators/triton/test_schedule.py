"""The schedule: every rotation has a slot of its target, and none overtakes one that it does not commute with."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hadamard.model.circuits.circuit import Circuit, encoder_circuit, second_module_circuit
from hadamard.model.simulators.compiled.lowering import Rotation, lower
from hadamard.model.simulators.triton.schedule import schedule_rotations
from tests.support.circuits import ALL_REAL, random_circuits


def commute(first: Rotation, second: Rotation) -> bool:
    return first.target not in (second.target, second.control) and second.target != first.control


@given(circuit=random_circuits(ALL_REAL), near=st.integers(1, 5))
def test_slots_keep_the_order_of_what_does_not_commute(circuit: Circuit, near: int) -> None:
    program = lower(circuit)
    schedule = schedule_rotations(program, min(near, circuit.qubits))
    assert len(set(schedule.slots)) == len(schedule.slots) == len(program.rotations)
    assert len(schedule.masks) == schedule.steps * schedule.near
    for slot, rotation in zip(schedule.slots, program.rotations, strict=True):
        assert slot % circuit.qubits == rotation.target
    for later, (slot, rotation) in enumerate(zip(schedule.slots, program.rotations, strict=True)):
        for earlier in range(later):
            assert schedule.slots[earlier] < slot or commute(program.rotations[earlier], rotation)


@given(circuit=random_circuits(ALL_REAL), near=st.integers(1, 5))
def test_masks_and_readout_follow_the_turning_index(circuit: Circuit, near: int) -> None:
    program = lower(circuit)
    schedule = schedule_rotations(program, min(near, circuit.qubits))
    order = list(range(circuit.qubits))  # the qubit of each bit of the index, most significant first
    controls = {slot: rotation.control for slot, rotation in zip(schedule.slots, program.rotations, strict=True)}
    for slot, mask in enumerate(schedule.masks):
        assert order[slot % schedule.near] == slot % circuit.qubits
        control = controls.get(slot)
        assert mask == (0 if control is None else 1 << (circuit.qubits - 1 - order.index(control)))
        if slot % schedule.near == schedule.near - 1:
            order = order[schedule.near :] + order[: schedule.near]
    assert schedule.readout == tuple(1 << (circuit.qubits - 1 - order.index(qubit)) for qubit in program.measured)


@pytest.mark.parametrize("qubits", [6, 10, 14])
def test_few_slots_of_the_papers_circuits_rest(qubits: int) -> None:
    for circuit in (encoder_circuit(qubits, 3, 2), second_module_circuit(qubits, [0, 0], 2, 2, 1)):
        program = lower(circuit)
        assert len(program.rotations) / len(schedule_rotations(program, 5).masks) > 0.7
