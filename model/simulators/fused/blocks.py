"""Circuits cut into a few large steps: matrices on up to five qubits at once, and permutations of all amplitudes.

Which gates go into which step, and how qubits lie in the index of a state; pure, and without torch.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from hadamard.model.circuits.circuit import Circuit, Gate
from hadamard.model.circuits.gates import is_monomial, terms

WIDEST = 5
"""Qubits of the widest block: beyond, its matrix costs more than the passes over the state that it saves."""
WIDEST_OF_ROWS = 4
"""Qubits of the widest block whose matrix differs from row to row."""
NS_PER_AMPLITUDE = {  # measured on one core with AVX-512, states in cache; only their ratios matter
    True: {"shuffle": 0.1, "phase": 0.1, "turn": 0.9, "block": 0.1, "flops": 0.022},
    False: {"shuffle": 0.2, "phase": 0.25, "turn": 1.0, "block": 0.3, "flops": 0.085},
}
"""What steps cost, for real and for complex amplitudes: a block of k qubits takes `block` + 2**k `flops`."""


@dataclass(frozen=True)
class Chain:
    """Gates one after the other on a few qubits, the first qubit the most significant bit of their matrix's index."""

    qubits: tuple[int, ...]
    gates: tuple[Gate, ...]


@dataclass(frozen=True)
class Block:
    """The Kronecker product of chains, applied to the state as one matrix.

    Its qubits that the state already has are the leading bits of the state's index. Afterwards all its qubits are: the leading
    bits where the rows lie last, the trailing bits where they lie first.

    Attributes:
        chains: One chain, or several of one qubit each.
        of_rows: Whether an input is among the angles, so that every row has its own matrix.
        fresh: How many of its qubits, the first ones, are |0> until now and no part of the state yet.
    """

    chains: tuple[Chain, ...]
    of_rows: bool
    fresh: int

    @property
    def qubits(self) -> tuple[int, ...]:
        """All qubits, the most significant first."""
        return tuple(qubit for chain in self.chains for qubit in chain.qubits)


@dataclass(frozen=True, eq=False)
class Shuffle:
    """Amplitudes exchanged and turned: the new amplitude i is phase[i] times the old amplitude source[i]."""

    source: np.ndarray
    phase: np.ndarray | None
    """None where all phases are 1."""


@dataclass(frozen=True)
class Turn:
    """Rows move from the state's last axis to the one before, or back: blocks of rows want them there."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What to do with a state for a whole circuit.

    Attributes:
        started: How many qubits the state begins with; the others join with the block that first moves them.
        steps: In order; rows lie last at the beginning and at the end.
        signs: [measured, amplitudes] the eigenvalue of each measured qubit's Z for each amplitude of the final state.
        cost_ns: Estimated time per row, forward.
    """

    started: int
    steps: tuple[Block | Shuffle | Turn, ...]
    signs: np.ndarray
    cost_ns: float


@functools.lru_cache(maxsize=128)
def plan(circuit: Circuit, from_states: bool) -> Plan:
    """Return the cheapest of several plans: blocks of different widths, CNOTs and their like inside blocks or shuffled all at once."""
    widths = range(min(3, circuit.qubits), min(WIDEST, circuit.qubits) + 1)
    plans = [_Planner(circuit, from_states, width, apart).plan() for width in widths for apart in (False, True)]
    return min(plans, key=lambda each: each.cost_ns)


def light_cone(circuit: Circuit) -> list[Gate]:
    """Return the gates that can reach a measured qubit, in order."""
    seen, kept = set(range(circuit.measured)), []
    for gate in reversed(circuit.gates):
        if seen.intersection(gate.qubits):
            seen.update(gate.qubits)
            kept.append(gate)
    return kept[::-1]


class _Planner:
    """Takes gates from the front of a circuit, greedily: those before which no gate on the same qubits is left."""

    def __init__(self, circuit: Circuit, from_states: bool, width: int, apart: bool) -> None:
        """Begin a plan of blocks of at most `width` qubits, monomial gates kept `apart` from them, or only those at the very end."""
        self.circuit, self.width, self.width_of_rows = circuit, width, max(1, min(WIDEST_OF_ROWS, circuit.qubits // 2))
        self.gates = light_cone(circuit)
        self.left = list(range(len(self.gates)))
        self.places = [sum(1 << qubit for qubit in gate.qubits) for gate in self.gates]
        self.everywhere = 2**circuit.qubits - 1
        self.monomial = self._monomials(apart)
        # A shuffle cannot let a qubit join: one that a monomial gate meets first is there from the beginning.
        meets = {qubit: number for number in reversed(self.left) for qubit in self.gates[number].qubits}
        self.order = [qubit for qubit in range(circuit.qubits) if from_states or meets.get(qubit) in self.monomial]
        self.started = len(self.order)
        self.steps: list[Block | Shuffle | Turn] = []
        self.waiting: list[Gate] = []

    def plan(self) -> Plan:
        self._let_monomials_wait()
        while self.left:
            chain = self._chain_of_weights()
            if chain is not None:
                self._emit([chain], of_rows=False)
            else:
                self._emit(self._chains_of_rows(), of_rows=True)
            self._let_monomials_wait()
        source, _ = _shuffle(self.order, self.waiting, self.order)
        return Plan(self.started, tuple(self.steps), self._signs(source), _cost_ns(self.circuit.real, self.started, self.steps))

    def _monomials(self, apart: bool) -> set[int]:
        found, blocked = set(), set[int]()
        for number in reversed(self.left):
            gate = self.gates[number]
            if is_monomial(gate) and (apart or blocked.isdisjoint(gate.qubits)):
                found.add(number)
            else:
                blocked.update(gate.qubits)
        return found

    def _let_monomials_wait(self) -> None:
        """Take all monomial gates that are in front; the next shuffle, or at the end the signs, do their work."""
        blocked = set[int]()
        for number in list(self.left):
            gate = self.gates[number]
            if number in self.monomial and blocked.isdisjoint(gate.qubits):
                self.waiting.append(gate)
                self.left.remove(number)
            else:
                blocked.update(gate.qubits)

    def _runs(self) -> dict[int, list[int]]:
        """Return for each qubit its gates in front up to the first of two qubits."""
        runs: dict[int, list[int]] = {}
        ended = set[int]()
        for number in self.left:
            qubits = self.gates[number].qubits
            if len(qubits) > 1:
                ended.update(qubits)
            elif qubits[0] not in ended:
                runs.setdefault(qubits[0], []).append(number)
        return runs

    def _chain_of_weights(self) -> Chain | None:
        """Take a block of weights and fixed gates; None where an input is in front of everything.

        One-qubit gates next to an input on the same qubit are left to the blocks of rows, which take them at no cost.
        """
        later = {number for run in self._runs().values() if any(map(self._of_rows, run)) for number in run}
        later |= self.monomial | set(filter(self._of_rows, self.left))
        chosen, wider = 0, self._wider(0, later)
        while wider:
            chosen = max(wider, key=lambda qubits: (len(self._taken(qubits, later)), -qubits.bit_count()))
            wider = self._wider(chosen, later)
        if not chosen:
            return None
        qubits = tuple(qubit for qubit in range(self.circuit.qubits) if chosen >> qubit & 1)
        return Chain(qubits, self._take(self._taken(chosen, later)))

    def _taken(self, qubits: int, later: set[int]) -> list[int]:
        """Return the gates in front that a block on these qubits, the bits of an integer, can take."""
        taken, blocked = [], 0
        for number in self.left:
            places = self.places[number]
            if places & qubits:
                if number in later or places & (blocked | ~qubits):
                    blocked |= places & qubits
                    if blocked == qubits:
                        break
                else:
                    taken.append(number)
        return taken

    def _wider(self, qubits: int, later: set[int]) -> list[int]:
        """Return the qubits of all blocks that take one more gate in front than a block on these qubits."""
        wider, blocked = dict[int, None](), 0
        for number in self.left:
            places = self.places[number]
            free = number not in later and not places & blocked
            if not free or places & ~qubits:
                blocked |= places
                if free and (qubits | places).bit_count() <= self.width:
                    wider[qubits | places] = None
                if blocked == self.everywhere:
                    break
        return list(wider)

    def _chains_of_rows(self) -> list[Chain]:
        """Take all runs in front that hold an input, and gates of two qubits in front that take one."""
        runs: dict[tuple[int, ...], list[int]] = {(qubit,): run for qubit, run in self._runs().items() if any(map(self._of_rows, run))}
        blocked = set[int]()
        for number in self.left:
            qubits = self.gates[number].qubits
            if len(qubits) == 2 and self._of_rows(number) and blocked.isdisjoint(qubits):
                runs[qubits] = [number]
            blocked.update(qubits)
        return [Chain(qubits, self._take(run)) for qubits, run in runs.items()]

    def _of_rows(self, number: int) -> bool:
        angle = self.gates[number].angle
        return angle is not None and angle.of == "inputs"

    def _take(self, numbers: list[int]) -> tuple[Gate, ...]:
        self.left = [number for number in self.left if number not in numbers]
        return tuple(self.gates[number] for number in numbers)

    def _emit(self, chains: list[Chain], of_rows: bool) -> None:
        """Add blocks of chains on different qubits, and before them what puts their qubits and the rows where they want them."""
        blocks = [self._block(group, of_rows) for group in (self._groups(chains) if of_rows else [chains])]
        leading = [qubit for block in blocks for qubit in block.qubits[block.fresh :]]
        wanted = leading + [qubit for qubit in self.order if qubit not in leading]
        if self.waiting or wanted != self.order:
            self.steps.append(Shuffle(*_shuffle(self.order, self.waiting, wanted)))
            self.waiting = []
        if of_rows and self.steps[-1:] == [Turn()]:
            self.steps[-1:] = [*blocks, Turn()]
        else:
            self.steps += [Turn(), *blocks, Turn()] if of_rows else blocks
        self.order = wanted
        for block in blocks:
            rest = [qubit for qubit in self.order if qubit not in block.qubits]
            self.order = [*rest, *block.qubits] if of_rows else [*block.qubits, *rest]

    def _groups(self, chains: list[Chain]) -> list[list[Chain]]:
        """Share out chains of one qubit among blocks of about the same width, those of qubits that yet have to join apart."""
        places = {qubit: place for place, qubit in enumerate(self.order)}
        single = sorted((chain for chain in chains if len(chain.qubits) == 1), key=lambda chain: places.get(chain.qubits[0], -1))
        joining = [chain for chain in single if chain.qubits[0] not in places]
        groups = [[chain] for chain in chains if len(chain.qubits) == 2]
        for alike in (joining, single[len(joining) :]):
            count = -(-len(alike) // self.width_of_rows)
            groups += [alike[len(alike) * part // count : len(alike) * (part + 1) // count] for part in range(count)]
        return groups

    def _block(self, chains: list[Chain], of_rows: bool) -> Block:
        places = {qubit: place for place, qubit in enumerate(self.order)}
        ordered = [Chain(tuple(sorted(chain.qubits, key=lambda qubit: places.get(qubit, -1))), chain.gates) for chain in chains]
        return Block(tuple(ordered), of_rows, sum(qubit not in places for chain in chains for qubit in chain.qubits))

    def _signs(self, source: np.ndarray) -> np.ndarray:
        signs = np.ones((self.circuit.measured, len(source)), dtype=np.int8)
        for qubit in range(self.circuit.measured):
            if qubit in self.order:
                signs[qubit, source] = 1 - 2 * _bit(len(source), self.order.index(qubit))
        return signs


def _bit(amplitudes: int, place: int) -> np.ndarray:
    """Return for each index of a state its bit at a place, 0 the most significant."""
    return np.arange(amplitudes) >> (amplitudes.bit_length() - 2 - place) & 1


def _shuffle(order: list[int], gates: list[Gate], wanted: list[int]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return source and phase of monomial gates on a state whose qubits lie in `order`, and shall then lie as `wanted`."""
    amplitudes = 2 ** len(order)
    source, phase = np.arange(amplitudes), np.ones(amplitudes, dtype=complex)
    for gate in gates:
        matrix = terms(gate)[0]
        places = [len(order) - 1 - order.index(qubit) for qubit in gate.qubits]
        row = sum(((np.arange(amplitudes) >> place & 1) << shift for shift, place in enumerate(reversed(places))), start=np.array(0))
        column = (matrix != 0).argmax(axis=1)[row]
        before = np.arange(amplitudes)
        for shift, place in enumerate(reversed(places)):
            before = before ^ (((row ^ column) >> shift & 1) << place)
        source, phase = source[before], matrix[row, column] * phase[before]
    relaid = sum((_bit(amplitudes, wanted.index(q)) << (len(order) - 1 - place) for place, q in enumerate(order)), start=np.zeros(1, int))
    phase = phase[relaid]
    return source[relaid], None if (phase == 1).all() else phase


def _cost_ns(real: bool, started: int, steps: list[Block | Shuffle | Turn]) -> float:
    ns, qubits, cost = NS_PER_AMPLITUDE[real], started, 0.0
    for step in steps:
        if isinstance(step, Block):
            qubits += step.fresh
            each = ns["block"] + ns["flops"] * 2 ** (len(step.qubits) - step.fresh)
        elif isinstance(step, Shuffle):
            each = ns["shuffle"] + (0 if step.phase is None else ns["phase"])
        else:
            each = ns["turn"]
        cost += each * 2**qubits
    return cost
