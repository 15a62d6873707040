"""The program that `hadamard doctor --mpi` starts on two ranks: do they meet, do messages arrive, do simulators distribute states?

Rank 0 prints a JSON line for each answer: LAUNCHER python -m hadamard.orchestrator.commands.doctor.two_ranks [simulators]
"""

from __future__ import annotations

import json
import signal
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hadamard.model.errors import UserError
from hadamard.model.mpi import ranks
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.orchestrator.commands.doctor.check import check, refused
from hadamard.orchestrator.commands.doctor.mpi import LIMIT_S, RANKS

if TYPE_CHECKING:
    from mpi4py import MPI

    from hadamard.model.mpi.ranks import Ranks
    from hadamard.model.simulators.base import Simulator

MESSAGE_BYTES = 32 * 2**20
REPEATS = 8
QUBITS = 8


def main() -> None:
    """Say how many ranks there are; if as many as there should be, try the rest."""
    signal.alarm(LIMIT_S)  # whatever it waits for, and whether its launcher lives or not
    from mpi4py import MPI

    world = MPI.COMM_WORLD
    if world.rank == 0:  # of several programs of one rank each, every one says so
        _say({"world": world.size})
    if world.size != RANKS:
        return
    _answer(world, "messages", partial(_messages, world))
    if "simulators" in sys.argv:
        joined = ranks.join(RANKS, RANKS)
        for name in (kind.name for kind in SIMULATORS.values() if kind.parts):
            _answer(world, name, partial(_simulator, joined, name))


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line), flush=True)


def _answer(world: MPI.Comm, what: str, attempt: Callable[[], str]) -> None:
    """Print the check that an attempt is, as rank 0 saw it unless only another one failed; what is no UserError ends all ranks."""
    try:
        answer = check(what, True, attempt())
    except UserError as error:
        answer = refused(what, error)
    except Exception:  # the other rank would wait for this one
        traceback.print_exc()
        world.Abort(1)
        raise
    answers = world.gather(answer.model_dump())
    if answers is not None:
        _say(min(answers, key=lambda answer: answer["ok"]))


def _messages(world: MPI.Comm) -> str:
    """Add up and exchange a few MB; what arrives is compared with what was sent."""
    partner = 1 - world.rank
    mine = np.arange(MESSAGE_BYTES // 4, dtype=np.float32) + world.rank
    total, other = np.empty_like(mine), np.empty_like(mine)
    world.Allreduce(mine, total)
    world.Sendrecv(mine, partner, recvbuf=other, source=partner)
    right = (total == 2 * (mine - world.rank) + 1).all(), (other == mine - world.rank + partner).all()
    world.Barrier()
    began = time.perf_counter()
    for _ in range(REPEATS):
        world.Sendrecv(mine, partner, recvbuf=other, source=partner)
    rate = REPEATS * MESSAGE_BYTES / (time.perf_counter() - began)
    for well, what in zip(right, ("a sum over both ranks is wrong", "a message arrived changed"), strict=True):
        if not well:  # said when nothing is on its way any more: the other rank may find nothing wrong
            raise UserError(f"{what}. Try another MPI library, such as pip install 'hadamard[mpi]' brings")
    return f"{MESSAGE_BYTES / 1e6:.0f} MB summed and exchanged, {rate / 1e9:.1f} GB/s each way"


def _simulator(joined: Ranks, name: str) -> str:
    """Compare a small circuit's values and gradients with those of one process, on rank 0; the other only follows."""
    import torch

    from hadamard.model.circuits.circuit import second_module_circuit
    from hadamard.model.simulators.registry import REFERENCE, open_simulator
    from hadamard.model.simulators.sharded.rank_protocol import dismiss, follow

    torch.set_num_threads(1)
    if not joined.leads:
        follow(joined)
        return ""
    torch.manual_seed(0)
    circuit = second_module_circuit(QUBITS, [0, 0], layers=1, connectivity=2, measured=2)
    weights, inputs = torch.randn(1, circuit.weights), torch.randn(1, 3, circuit.inputs)

    def values_and_gradients(simulator: Simulator) -> list[torch.Tensor]:
        leaves = [weights.clone().requires_grad_(), inputs.clone().requires_grad_()]
        values = simulator.expectations(circuit, *leaves)
        return [values.detach(), *torch.autograd.grad(values.sum(), leaves)]

    try:
        on_ranks = values_and_gradients(open_simulator(name, joined))
    finally:
        dismiss(joined)
    expected = values_and_gradients(open_simulator(REFERENCE))
    error = max(float((ours - theirs).abs().max()) for ours, theirs in zip(on_ranks, expected, strict=True))
    if not error < 1e-4:
        raise UserError(f"wrong by {error:.2g} on {RANKS} ranks. Do not use it here, and please report it")
    return f"{QUBITS} qubits on {RANKS} ranks as on one, values and gradients to {error:.0e}"


if __name__ == "__main__":
    main()
