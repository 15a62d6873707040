"""Groups the rotations of a program into passes over the state, each of which keeps its amplitudes in registers.

The order of rotations (those on different qubits may change places), and what fits one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hadamard.model.simulators.compiled.lowering import Rotation

ROTATIONS_PER_PASS = 3
"""Eight vectors each of state and cotangent, with their gradients, just fit the 32 registers of AVX-512."""


@dataclass(frozen=True)
class Pass:
    """Positions of rotations that one sweep over the state applies, in order; `on_lanes`: their targets lie inside a vector."""

    on_lanes: bool
    rotations: tuple[int, ...]


def group(
    rotations: Sequence[Rotation], lane_qubits: frozenset[int], far: frozenset[int] = frozenset(), per_pass: int = ROTATIONS_PER_PASS
) -> tuple[Pass, ...]:
    """Return passes that hold every rotation once, in an order that gives the same state.

    Args:
        rotations: The program's, in order.
        lane_qubits: Those whose bits lie inside a vector: as targets they have passes of their own, as a control only the first
            rotation of a pass may have one.
        far: Those along which a pass goes through memory and not through the cache. As targets they have passes of their own, and passes
            of either kind follow each other as long as they may: all those in the cache take one sweep through memory together.
        per_pass: The most rotations of a pass, apart from those on lanes.
    """
    before = _prerequisites(rotations)
    waiting = dict.fromkeys(range(len(rotations)))
    done: set[int] = set()
    passes: list[Pass] = []
    was_far = False
    while waiting:
        first = _first(rotations, waiting, before, done, far, was_far)
        chosen: list[int] = []
        candidate: int | None = first
        while candidate is not None:
            chosen.append(candidate)
            done.add(candidate)
            del waiting[candidate]
            candidate = _next(rotations, chosen, waiting, before, done, lane_qubits, far, per_pass)
        was_far = rotations[first].target in far
        passes.append(Pass(rotations[first].target in lane_qubits, tuple(chosen)))
    return tuple(passes)


def _prerequisites(rotations: Sequence[Rotation]) -> list[set[int]]:
    """Return for each rotation the ones that must come before it. Two CNOTs may share a control in any order."""
    turned: dict[int, int] = {}
    controlling: dict[int, set[int]] = {}
    before: list[set[int]] = []
    for position, rotation in enumerate(rotations):
        needs = controlling.pop(rotation.target, set()) | ({turned[rotation.target]} if rotation.target in turned else set())
        if rotation.control is not None:
            if rotation.control in turned:
                needs.add(turned[rotation.control])
            controlling.setdefault(rotation.control, set()).add(position)
        turned[rotation.target] = position
        before.append(needs)
    return before


def _first(
    rotations: Sequence[Rotation], waiting: dict[int, None], before: list[set[int]], done: set[int], far: frozenset[int], was_far: bool
) -> int:
    """Return the rotation that a pass begins with: the first that may come, of the kind of the pass before if there is one."""
    ready = [position for position in waiting if before[position] <= done]
    return next((position for position in ready if (rotations[position].target in far) == was_far), ready[0])


def _next(
    rotations: Sequence[Rotation],
    chosen: list[int],
    waiting: dict[int, None],
    before: list[set[int]],
    done: set[int],
    lane_qubits: frozenset[int],
    far: frozenset[int],
    per_pass: int,
) -> int | None:
    """Return the rotation to add to a pass: one controlled by the target before it if there is one, else the first that fits."""
    on_lanes, is_far = (rotations[chosen[0]].target in some for some in (lane_qubits, far))
    if len(chosen) == per_pass and not on_lanes:
        return None
    targets = [rotations[position].target for position in chosen]
    controls = {rotations[position].control for position in chosen}
    fallback = None
    for position in waiting:
        rotation = rotations[position]
        if not before[position] <= done or (rotation.target in lane_qubits) != on_lanes:
            continue
        if on_lanes:
            return position
        if (rotation.target in far) != is_far or rotation.target in targets or rotation.target in controls:
            continue
        if rotation.control in lane_qubits:
            continue
        if rotation.control == targets[-1]:
            return position
        if rotation.control not in targets and fallback is None:
            fallback = position
    return fallback
