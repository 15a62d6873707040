"""Cuts a circuit into stages between which ranks exchange amplitudes, ahead of time: which wires number the ranks, and for how long.

Which wires are local when, and in which order gates run, decides the bytes that must move; messages are in exchange.py.

With 2**g ranks, g wires of the state are global: they number the ranks, and each rank holds the amplitudes of all the others, its shard.
A gate that mixes amplitudes along a wire needs it local; a control, or a diagonal gate, may stand on a global one. Between two stages,
wires change places by one all-to-all.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hadamard.model.circuits.circuit import Circuit, Gate
from hadamard.model.circuits.gates import terms
from hadamard.model.simulators.compiled.lowering import Rotation, lower

Item = Rotation | Gate
LOWEST = 4
"""Places that lie inside the widest vector of float32."""
LEAST_LOCAL = 2
"""Wires that stay local, whatever the number of ranks: a gate of two qubits may mix along both of its wires."""


@dataclass(frozen=True)
class Exchange:
    """Places of wires in the order that change: (global, local) each."""

    places: tuple[tuple[int, int], ...]

    @property
    def moved(self) -> float:
        """How much of the state moves between ranks, as a share of all of it."""
        return 1 - 2.0 ** -len(self.places)


@dataclass(frozen=True)
class Stage:
    """What is done without a message.

    Attributes:
        order: The wires, the most significant bit of an amplitude's index first: the global ones, which number the ranks, then the local.
        items: What is applied, in order.
        exchange: What follows it; None after the last stage.
    """

    order: tuple[int, ...]
    items: tuple[Item, ...]
    exchange: Exchange | None


@dataclass(frozen=True)
class StagePlan:
    """A circuit in stages.

    Attributes:
        shards: Ranks that share the state.
        stages: In order; at least one.
        measured: For each of the circuit's outputs, the wire whose <Z> it is, and the sign that it takes.
        items: How many there are in all.
    """

    shards: int
    stages: tuple[Stage, ...]
    measured: tuple[tuple[int, int], ...]

    @property
    def exchanges(self) -> int:
        """All-to-alls of a forward pass."""
        return len(self.stages) - 1

    @property
    def moved(self) -> float:
        """States that a forward pass moves between ranks, over all of them; a gradient moves state and cotangent back, twice as much."""
        return sum(stage.exchange.moved for stage in self.stages if stage.exchange)

    @property
    def items(self) -> int:
        """Gates, or rotations, of all stages."""
        return sum(len(stage.items) for stage in self.stages)


@functools.lru_cache(maxsize=256)
def plan_stages(circuit: Circuit, shards: int) -> StagePlan:
    """Return the stages of a circuit on this many ranks, a power of two.

    Each stage keeps those wires global with which it gets furthest, found one by one. More search found no better plans for the paper's
    circuits (docs/performance.md).

    Raises:
        ValueError: Fewer than LEAST_LOCAL wires would stay local.
    """
    wires = shards.bit_length() - 1
    if circuit.qubits - wires < LEAST_LOCAL:
        raise ValueError(f"{shards} shards of a state of {circuit.qubits} qubits: each needs {LEAST_LOCAL} qubits, or more")
    items, measured = _items(circuit)
    left = list(items)
    chosen: list[tuple[frozenset[int], list[Item]]] = []
    while left or not chosen:
        held = _hold(left, range(circuit.qubits), wires, chosen[-1][0] if chosen else frozenset())
        done, left = _apart(left, held)
        chosen.append((held, done))
    orders = _orders(circuit.qubits, [held for held, _ in chosen])
    stages = tuple(
        Stage(order, tuple(done), _exchange(order, then) if then else None)
        for order, (_, done), then in zip(orders, chosen, [*orders[1:], None], strict=True)
    )
    return StagePlan(shards, stages, measured)


def places_of(stage: Stage, amplitudes: int, shards: int, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which of the leading amplitudes of a state lie in a rank's shard at a stage, and where in it."""
    qubits = len(stage.order)
    index = np.arange(amplitudes)
    place = np.zeros_like(index)
    for position, wire in enumerate(stage.order):
        place |= (index >> (qubits - 1 - wire) & 1) << (qubits - 1 - position)
    local = 2**qubits // shards
    mine = place // local == rank
    return index[mine], place[mine] % local


def mixes(item: Item) -> tuple[int, ...]:
    """Return the wires that an item needs local: those along which it mixes amplitudes."""
    if isinstance(item, Rotation):
        return (item.target,)
    if _is_diagonal(item):
        return ()
    controlled = item.name in ("CNOT", "CRX", "CRY")
    return item.qubits[1:] if controlled else item.qubits


def wires_of(item: Item) -> tuple[int, ...]:
    """Return all the wires of an item."""
    if isinstance(item, Rotation):
        return (item.target,) if item.control is None else (item.control, item.target)
    return item.qubits


def _is_diagonal(gate: Gate) -> bool:
    constants = terms(gate)
    return bool((constants == constants * np.eye(constants.shape[-1])).all())


def _items(circuit: Circuit) -> tuple[tuple[Item, ...], tuple[tuple[int, int], ...]]:
    """Return what is to be applied, and the measured wires with their signs: of a real circuit its rotations, else its gates.

    A SWAP is no work: whatever follows it means the other wire.
    """
    if circuit.real:
        program = lower(circuit)
        return program.rotations, tuple(zip(program.measured, program.signs, strict=True))
    place, gates = list(range(circuit.qubits)), []
    for gate in circuit.gates:
        if gate.name == "SWAP":
            first, second = gate.qubits
            place[first], place[second] = place[second], place[first]
        else:
            gates.append(Gate(gate.name, tuple(place[qubit] for qubit in gate.qubits), gate.angle, gate.matrix))
    return tuple(gates), tuple((wire, 1) for wire in place[: circuit.measured])


def _apart(items: Sequence[Item], held: Iterable[int]) -> tuple[list[Item], list[Item]]:
    """Return what can be done, in order, while some wires are held global, and what is left.

    What is left blocks whatever does not commute with it: along a wire that it mixes everything, along its others what mixes.
    """
    done: list[Item] = []
    left: list[Item] = []
    no_mixing, nothing = set(held), set[int]()
    for item in items:
        mixed, wires = mixes(item), wires_of(item)
        if no_mixing.isdisjoint(mixed) and nothing.isdisjoint(wires):
            done.append(item)
            continue
        left.append(item)
        nothing.update(mixed)
        no_mixing.update(wires)
    return done, left


def _hold(items: Sequence[Item], wires: Iterable[int], count: int, before: frozenset[int]) -> frozenset[int]:
    """Return this many wires with which, held global, most can be done; of equally good ones those that are global already."""
    held: frozenset[int] = frozenset()
    for _ in range(count):
        rest = [wire for wire in wires if wire not in held]
        held |= {max(rest, key=lambda wire: (len(_apart(items, held | {wire})[0]), wire in before))}
    return held


def _orders(qubits: int, held: Sequence[frozenset[int]]) -> list[tuple[int, ...]]:
    """Return the order of wires in each stage; a wire that becomes global changes places with one that becomes local.

    Local wires lie in descending order: neighbours in a ring stay neighbours, so that passes stay in the cache; and in the paper's
    circuits the last wires become global first, which then lie at the most significant places: what moves lies in few long pieces. The
    least significant places, where it would lie in crumbs, go to wires that become global late or never.
    """

    def first_held(wire: int) -> int:
        return next((number for number, wires in enumerate(held) if wire in wires), len(held))

    local = sorted(set(range(qubits)) - held[0], reverse=True)
    lowest = sorted(local, key=lambda wire: (-first_held(wire), wire))[:LOWEST]
    order = sorted(held[0]) + [wire for wire in local if wire not in lowest] + sorted(lowest, reverse=True)
    orders = [tuple(order)]
    for before, after in itertools.pairwise(held):
        for outgoing, incoming in zip(sorted(before - after), sorted(after - before), strict=True):
            one, other = order.index(outgoing), order.index(incoming)
            order[one], order[other] = order[other], order[one]
        orders.append(tuple(order))
    return orders


def _exchange(before: Sequence[int], after: Sequence[int]) -> Exchange:
    """Return the places whose wires change, global ones with local ones."""
    pairs = ((place, after.index(wire)) for place, wire in enumerate(before) if after[place] != wire)
    return Exchange(tuple((one, other) for one, other in pairs if one < other))
