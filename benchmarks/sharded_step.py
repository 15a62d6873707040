"""Times training steps whose states are sharded over ranks, beside what the model of a step says.

Run it by `mpiexec -n 2 python -m benchmarks.sharded_step`. With one rank there is nothing to exchange, which gives the rate of the
kernels; with more, the rest gives that of the messages.
"""

from __future__ import annotations

import time

import torch
import typer

from benchmarks.exchanges import PAPER_HEAD
from hadamard.model.heads.quantum.settings import encoder_and_second_module
from hadamard.model.mpi import ranks
from hadamard.model.simulators.registry import open_parts
from hadamard.model.simulators.sharded.exchange import Exchanger
from hadamard.model.simulators.sharded.rank_protocol import all_or_none, dismiss, follow
from hadamard.model.simulators.sharded.simulator import ShardedSimulator
from hadamard.orchestrator.planning.cost_model import LOCAL_LINK, SHARDED_KERNELS
from hadamard.orchestrator.planning.rank_layout import RankLayout
from hadamard.orchestrator.planning.step_model import step_of, step_seconds

EMBEDDING = 384
HEADING = ("ranks", "shards", "qubits", "measured, s", "predicted, s", "of it exchanges, s", "predicted / measured", "sent / predicted")


def main(qubits: str = "16,18,20,22", sentences: int = 1, shards: int = 0, repeats: int = 8) -> None:
    """Time steps of the paper's head on some sentences; `--shards` ranks to a group, 0 for all."""
    from mpi4py import MPI

    size = MPI.COMM_WORLD.size
    mine = ranks.join(size, shards or size)
    torch.set_num_threads(1)
    if not mine.leads:
        follow(mine)
        return
    with all_or_none(mine):
        simulator = ShardedSimulator(mine, "sharded", open_parts("sharded", mine))
        typer.echo(f"| {' | '.join(HEADING)} |\n{'|---' * len(HEADING)}|")
        for width in map(int, qubits.split(",")):
            typer.echo(_line(simulator, width, sentences, RankLayout(size, mine.shards), repeats))
    dismiss(mine)


def _line(simulator: ShardedSimulator, qubits: int, sentences: int, layout: RankLayout, repeats: int) -> str:
    before = Exchanger.sent_bytes
    measured = min(_step_s(simulator, qubits, sentences) for _ in range(repeats))  # the least: others may use the same cores
    sent = (Exchanger.sent_bytes - before) / repeats
    step = step_of(PAPER_HEAD.model_copy(update={"qubits": qubits}), sentences, layout, 4)
    compute_s, exchange_s = step_seconds(step, SHARDED_KERNELS, LOCAL_LINK)
    predicted = compute_s + exchange_s
    of_bytes = f"{sent / step.rank_bytes:.3f}" if step.rank_bytes else "nothing"
    cells = (f"{measured:.3g}", f"{predicted:.3g}", f"{exchange_s:.2g}", f"{predicted / measured:.2f}", of_bytes)
    return f"| {layout.ranks} | {layout.shards} | {qubits} | {' | '.join(cells)} |"


def _step_s(simulator: ShardedSimulator, qubits: int, sentences: int) -> float:
    """Return the seconds of forward and gradient of the paper's head on some sentences."""
    encoder, second = encoder_and_second_module(PAPER_HEAD.model_copy(update={"qubits": qubits}))
    generator = torch.Generator().manual_seed(1)
    states = torch.nn.functional.normalize(torch.randn(1, sentences, min(EMBEDDING, 2**qubits), generator=generator), dim=2)
    weights = [torch.rand(1, circuit.weights, generator=generator).requires_grad_() for circuit in (encoder, second)]
    began = time.perf_counter()
    outputs = simulator.expectations(encoder, weights[0], states=states)
    values = simulator.expectations(second, weights[1], inputs=torch.pi * outputs)
    torch.autograd.backward(values.sum())
    return time.perf_counter() - began


if __name__ == "__main__":
    typer.run(main)
