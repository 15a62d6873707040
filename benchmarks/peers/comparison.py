"""The results of all contestants, with the ratios between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.peers.contestants import BY_NAME, Peer
from benchmarks.peers.gemm import GemmRate, gemm_rate, step_flop
from hadamard.model.simulators.select import resolve
from hadamard.orchestrator.timing.comparison import Result
from hadamard.orchestrator.timing.comparison import compare as compare_steps
from hadamard.orchestrator.timing.machine import PACKAGES, Machine, this_machine
from hadamard.orchestrator.timing.paper_head import circuits
from hadamard.orchestrator.timing.simulators import REFERENCE_FACTORY


@dataclass(frozen=True)
class Comparison:
    """All results, sizes in order, with what they were measured on.

    Attributes:
        ours: What `simulator: auto` chooses, by qubits.
    """

    results: tuple[Result, ...]
    ours: dict[int, str]
    rows: int
    threads: int
    gemm: GemmRate
    machine: Machine

    def seconds(self, result: Result) -> float | None:
        """Return the seconds of a step: of CPU where one thread did it, by the clock where several or a GPU did."""
        return result.seconds(self.threads)

    def faster(self, result: Result, name: str) -> float | None:
        """Return how many times faster a result is than the named contestant at its size; None if either is not measured."""
        own = self.seconds(result)
        other = next((self.seconds(other) for other in self.results if (other.name, other.qubits) == (name, result.qubits)), None)
        return other / own if own is not None and other is not None else None

    def ours_faster(self, result: Result) -> float | None:
        """Return how many times faster our own is than a result, as auto chooses; None if either is not measured."""
        factor = self.faster(result, self.ours[result.qubits])
        return 1 / factor if factor is not None else None

    def gemm_share(self, result: Result) -> float | None:
        """Return useful flop per second over the machine's rate; for our own on the CPU alone."""
        if result.timing is None or result.timing.on_gpu or BY_NAME[result.name].package is not None:
            return None
        return step_flop(result.qubits, self.rows) / self.gemm.flop_per_s / result.timing.cpu_s

    @property
    def wrong(self) -> bool:
        """Whether anybody's numbers are wrong."""
        return any(result.status == "wrong" for result in self.results)


def compare(peers: Sequence[Peer], sizes: Sequence[int], rows: int, threads: int, limit_s: float, say: Callable[[str], None]) -> Comparison:
    """Measure everything, one process after the other; `say` is told what is being measured, never a time."""
    gemm = gemm_rate()
    contestants = [peer.contestant for peer in peers]
    results = tuple(compare_steps(contestants, REFERENCE_FACTORY, sizes, rows, threads, limit_s, say))
    ours = {qubits: resolve("auto", circuits(qubits)).name for qubits in sizes}
    return Comparison(results, ours, rows, threads, gemm, this_machine((*PACKAGES, "qulacs", "jax")))
