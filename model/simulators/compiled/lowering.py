"""Real circuits reduced to one kind of step: a CNOT, if any, and the RY of its target.

All that can be settled before any state exists: Paulis pushed to the end, rotations merged, the light cone.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from dataclasses import dataclass
from typing import Literal

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.errors import SettingsError


@dataclass(frozen=True)
class Term:
    """A part of an angle: `scale` times a column of the weights or inputs."""

    of: Literal["weights", "inputs"]
    column: int
    scale: float


@dataclass(frozen=True)
class Rotation:
    """CNOT from `control` (if there is one) to `target`, then RY of the target by the sum of the terms and the offset (radians)."""

    control: int | None
    target: int
    terms: tuple[Term, ...] = ()
    offset: float = 0.0


@dataclass(frozen=True)
class Program:
    """What a real circuit does to its measured qubits.

    Attributes:
        qubits: Width of the state.
        rotations: The steps in order.
        measured: For each of the circuit's outputs, the qubit whose <Z> it is (a SWAP moves it).
        signs: For each of the circuit's outputs, +1, or -1 where an X was pushed past the end.
        weights: Columns of weights that the circuit takes; some may be read by no rotation.
        inputs: Columns of inputs, likewise.
    """

    qubits: int
    rotations: tuple[Rotation, ...]
    measured: tuple[int, ...]
    signs: tuple[int, ...]
    weights: int
    inputs: int


@functools.lru_cache(maxsize=256)
def lower(circuit: Circuit) -> Program:
    """Return the shortest program known for a circuit's measured values.

    Raises:
        SettingsError: A gate is not real.
    """
    walk = _Walk(circuit.qubits)
    for gate in circuit.gates:
        own = () if gate.angle is None else (Term(gate.angle.of, gate.angle.column, 1.0),)
        qubits = [walk.place[qubit] for qubit in gate.qubits]
        match gate.name, qubits:
            case "RY", [target]:
                walk.rotate(target, own)
            case "CNOT", [control, target]:
                walk.cnot(control, target)
            case "X", [target]:
                walk.x[target] ^= True
            case "Z", [target]:
                walk.z[target] ^= True
            case "H", [target]:
                walk.hadamard(target)
            case "CZ", [control, target]:
                walk.hadamard(target)
                walk.cnot(control, target)
                walk.hadamard(target)
            case "CRY", [control, target]:  # half of it, undone where the control is 0 and doubled where it is 1
                half = tuple(dataclasses.replace(term, scale=term.scale / 2) for term in own)
                walk.rotate(target, half)
                walk.cnot(control, target)
                walk.rotate(target, half, sign=-1)
                walk.cnot(control, target)
            case "SWAP", _:
                first, second = gate.qubits
                walk.place[first], walk.place[second] = walk.place[second], walk.place[first]
            case _:
                raise SettingsError(
                    f"this simulator keeps real amplitudes and has no gate {gate.name}; `simulator: auto` takes one that has"
                )
    measured = tuple(walk.place[: circuit.measured])
    signs = tuple(-1 if walk.x[qubit] else 1 for qubit in measured)
    return Program(circuit.qubits, light_cone(walk.rotations, measured), measured, signs, circuit.weights, circuit.inputs)


def light_cone(rotations: list[Rotation], measured: tuple[int, ...]) -> tuple[Rotation, ...]:
    """Return the rotations that can reach a measured qubit, walking backwards from the measurement.

    A qubit of the cone stays `diagonal` (only its Z matters) until a rotation of its own is met; a CNOT that it merely controls
    leaves its Z alone.
    """
    diagonal = dict.fromkeys(measured, True)
    kept: list[Rotation] = []
    for rotation in reversed(rotations):
        control, target = rotation.control, rotation.target
        controls_more_than_z = control is not None and not diagonal.get(control, True)
        if target not in diagonal and not controls_more_than_z:
            continue
        kept.append(rotation)
        diagonal[target] = False
        if control is not None:
            diagonal.setdefault(control, True)
    return tuple(reversed(kept))


class _Walk:
    """A walk through the gates. The circuit's state is the program's, times X and Z where the frame says so (up to a global sign)."""

    def __init__(self, qubits: int) -> None:
        self.rotations: list[Rotation] = []
        self.place = list(range(qubits))
        """Where a SWAP has moved each of the circuit's qubits."""
        self.x, self.z = [False] * qubits, [False] * qubits
        self.last: list[int | None] = [None] * qubits
        """For each qubit, the last rotation that touches it."""

    def rotate(self, target: int, terms: tuple[Term, ...], offset: float = 0.0, sign: int = 1) -> None:
        """RY(t) X = X RY(-t) and RY(t) Z = Z RY(-t); two rotations of one qubit in a row are one."""
        if self.x[target] != self.z[target]:
            sign = -sign
        terms = tuple(dataclasses.replace(term, scale=sign * term.scale) for term in terms)
        last = self.last[target]
        if last is not None and (before := self.rotations[last]).target == target:
            merged = dataclasses.replace(before, terms=before.terms + terms, offset=before.offset + sign * offset)
            self.rotations[last] = merged
            return
        self.last[target] = len(self.rotations)
        self.rotations.append(Rotation(None, target, terms, sign * offset))

    def cnot(self, control: int, target: int) -> None:
        """A CNOT copies an X of its control to its target and a Z of its target to its control."""
        self.x[target] ^= self.x[control]
        self.z[control] ^= self.z[target]
        self.last[control] = self.last[target] = len(self.rotations)
        self.rotations.append(Rotation(control, target))

    def hadamard(self, target: int) -> None:
        """H = RY(pi/2) Z."""
        self.z[target] ^= True
        self.rotate(target, (), math.pi / 2)
