"""How much of a state different ways of distributing it would move between ranks: ours, PennyLane's two, and a bound on all of ours.

`python -m benchmarks.exchanges` prints the table of docs/performance.md; it runs nothing.

What is said of PennyLane was read in the sources of Lightning 0.46: StateVectorCudaMPI.hpp and StateVectorKokkosMPI.hpp. Both are counted
generously: they also exchange for controls on global wires, which costs nothing here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.heads.quantum.settings import QuantumHead, encoder_and_second_module
from hadamard.model.simulators.sharded.stages import mixes, plan_stages, wires_of

PAPER_HEAD = QuantumHead(connectivity=2, encoder_layers=3, reuploads=2, layers=2)
"""The paper's head; its qubits are given where it is used."""


@dataclass(frozen=True)
class Moved:
    """States moved between ranks, over all of them, in one forward pass.

    Attributes:
        ours: By our plan of stages.
        swap_and_back: lightning.gpu's way.
        lazy_remap: lightning.kokkos' way.
        least: No plan of ours can move less.
    """

    ours: float
    swap_and_back: float
    lazy_remap: float
    least: float


def moved(circuits: Iterable[Circuit], shards: int) -> Moved:
    """Return what the ways move for circuits one after the other."""
    every = tuple(circuits)
    return Moved(
        sum(plan_stages(circuit, shards).moved for circuit in every),
        sum(swap_and_back(circuit, shards) for circuit in every),
        sum(lazy_remap(circuit, shards) for circuit in every),
        sum(least(circuit, shards) for circuit in every),
    )


def swap_and_back(circuit: Circuit, shards: int) -> float:
    """Return the states moved where the first wires stay global: a gate whose target is one of them swaps it in and out, half each."""
    return float(sum(mixed < _wires(shards) for gate in circuit.gates for mixed in mixes(gate)))


def lazy_remap(circuit: Circuit, shards: int) -> float:
    """Return the states moved where a global target is swapped in by the first local wire that the gate does not use, and stays.

    A CNOT between two global wires renumbers the ranks, which moves nothing.
    """
    total, order, wires = 0.0, list(range(circuit.qubits)), _wires(shards)
    for gate in circuit.gates:
        outside = [place for place in range(wires) if order[place] in mixes(gate)]
        if not outside or (gate.name == "CNOT" and set(gate.qubits) <= set(order[:wires])):
            continue
        inside = [place for place in range(wires, circuit.qubits) if order[place] not in gate.qubits]
        for out, into in zip(outside, inside, strict=False):
            order[out], order[into] = order[into], order[out]
        total += 1 - 2.0 ** -len(outside)
    return total


def least(circuit: Circuit, shards: int) -> float:
    """Return what any plan must move that applies each step within ranks, in any order in which steps that commute may come.

    Take a step, and a later one before which every wire is mixed by steps that must wait for the first. As many wires are global when the
    first is applied as ever; all of them must have come in when the last is, and it costs least to let them in at once. The next stretch
    begins with the step that ended this one, so that no exchange is counted twice. At the end, wires that are not mixed may stay out.
    """
    total, most = 0.0, 0
    mixed: defaultdict[int, set[int]] = defaultdict(set)  # by wire: what is mixed from the stretch's first step to steps that mix it
    touched: defaultdict[int, set[int]] = defaultdict(set)  # likewise, to steps that have to do with it at all
    for item in plan_stages(circuit, 1).stages[0].items:
        before = set[int]().union(*(touched[wire] for wire in mixes(item)), *(mixed[wire] for wire in wires_of(item)))
        if not before and most:
            continue  # it need not wait for the first step
        since = before.union(mixes(item))
        if len(since) == circuit.qubits:
            total, most, since = total + 1 - 1 / shards, 0, set(mixes(item))
            mixed.clear()
            touched.clear()
        most = max(most, len(since))
        for wire in wires_of(item):
            touched[wire] |= since
        for wire in mixes(item):
            mixed[wire] |= since
    come_in = max(0, _wires(shards) - (circuit.qubits - most))
    return total + 1 - 2.0**-come_in


def table(shards: Sequence[int] = (2, 4, 8, 16), qubits: Sequence[int] = range(20, 41, 4)) -> str:
    """Return all ways for the paper's head as a table in Markdown; only ours depends on the qubits."""
    heading = ["ranks", "lightning.gpu's way", "lightning.kokkos' way", *(f"ours, {width} qubits" for width in qubits), "at least"]
    lines = [heading, ["---:"] * len(heading)]
    for count in shards:
        by_width = [moved(encoder_and_second_module(PAPER_HEAD.model_copy(update={"qubits": width})), count) for width in qubits]
        others = [{way.swap_and_back for way in by_width}, {way.lazy_remap for way in by_width}, {way.least for way in by_width}]
        back, remap, least = (" to ".join(f"{states:.4g}" for states in sorted(values)) for values in others)
        lines.append([str(count), back, remap, *(f"{way.ours:.4g}" for way in by_width), least])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _wires(shards: int) -> int:
    return shards.bit_length() - 1


if __name__ == "__main__":
    print(table())
