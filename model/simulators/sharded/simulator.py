"""The sharded simulator: states shared by MPI ranks, behind the same protocol as simulators of one process; for rank 0 to call.

The way from torch tensors to a call of all ranks, and its place in autograd; what ranks do with it is in rank_protocol.py.
"""

from __future__ import annotations

import itertools
import weakref
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.errors import SettingsError
from hadamard.model.mpi.ranks import Ranks
from hadamard.model.simulators.reference import batch_shape
from hadamard.model.simulators.sharded.part import Backward, Forward, Parts
from hadamard.model.simulators.sharded.rank_protocol import RankSimulator, all_or_none, play
from hadamard.model.simulators.sharded.stages import LEAST_LOCAL


class ShardedSimulator:
    """Has all ranks simulate: our own shards, or a PennyLane device that knows MPI. Angles and values are on the CPU."""

    device = torch.device("cpu")

    def __init__(self, ranks: Ranks, simulator: str, parts: Parts) -> None:
        """Lead the ranks that this program has joined; the others follow (`rank_protocol.follow`).

        Args:
            ranks: All of them.
            simulator: Its name in the registry, by which the others open their parts.
            parts: Opens this rank's own.
        """
        self.ranks, self.simulator = ranks, simulator
        self.description = f"{simulator} on {ranks.count} ranks"
        self.player = RankSimulator(ranks, parts)
        self._numbers = itertools.count()
        self._forgotten: list[int] = []

    def expectations(
        self, circuit: Circuit, weights: torch.Tensor, inputs: torch.Tensor | None = None, states: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Return <Z> of the measured qubits, [trials, rows, measured]; see `hadamard.model.simulators.base.Simulator`.

        Their gradient can be asked for once: it uses up the final states, which the ranks keep for it.

        Raises:
            SettingsError: The states have too few qubits to be shared by this many ranks.
        """
        if circuit.qubits < (least := (self.ranks.shards.bit_length() - 1) + LEAST_LOCAL):
            raise SettingsError(
                f"{self.ranks.shards} ranks cannot share states of {circuit.qubits} qubits, only of {least} or more; use fewer mpi.shards"
            )
        return _Expectations.apply(self, circuit, torch.is_grad_enabled(), weights, inputs, states)  # type: ignore[no-any-return, no-untyped-call]

    def call(self, call: Forward | Backward) -> list[np.ndarray]:
        """Have all ranks do a call, this one included."""
        with all_or_none(self.ranks):
            self.ranks.world.bcast((self.simulator, call))
            return play(self.player, call)
        raise AssertionError("all ranks have been ended")

    def next_number(self) -> int:
        """Return a number for a call."""
        return next(self._numbers)

    def forgotten(self) -> tuple[int, ...]:
        """Return the calls whose gradient cannot be asked for any more, each once."""
        taken = tuple(self._forgotten)
        del self._forgotten[: len(taken)]  # in place: calls that are still alive hold this list
        return taken

    def forget_with(self, owner: object, number: int) -> None:
        """Have a call's states released when its owner is gone."""
        weakref.finalize(owner, self._forgotten.append, number)


class _Call:
    """A call whose gradient may be asked for; it is forgotten with this."""


class _Expectations(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        simulator: ShardedSimulator,
        circuit: Circuit,
        keep: bool,
        weights: torch.Tensor,
        inputs: torch.Tensor | None,
        states: torch.Tensor | None,
    ) -> torch.Tensor:
        _, rows = batch_shape(circuit, weights, inputs, states)
        keep = keep and any(ctx.needs_input_grad)
        of_rows = [None if tensor is None else tensor.detach().to(weights.dtype).numpy() for tensor in (inputs, states)]
        number = simulator.next_number()
        call = Forward(number, circuit, keep, weights.detach().numpy(), of_rows[0], of_rows[1], rows, simulator.forgotten())
        (values,) = simulator.call(call)
        ctx.simulator, ctx.number, ctx.circuit = simulator, number, circuit
        ctx.amplitudes = states.shape[2] if states is not None and ctx.needs_input_grad[5] else 0
        ctx.is_used = not keep
        if keep:
            ctx.call = _Call()
            simulator.forget_with(ctx.call, number)
        return torch.from_numpy(values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, cotangent: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        circuit = ctx.circuit
        if ctx.is_used:
            raise RuntimeError("the final states are used up: the gradient of these expectations can be asked for once")
        ctx.is_used = True
        call = Backward(ctx.number, cotangent.contiguous().numpy(), circuit.weights, circuit.inputs, ctx.amplitudes)
        gradients = [torch.from_numpy(gradient) for gradient in ctx.simulator.call(call)]
        wanted = ctx.needs_input_grad[3:]
        return None, None, None, *(gradient if want else None for gradient, want in zip(gradients, wanted, strict=True))
