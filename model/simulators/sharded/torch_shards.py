"""One rank's shards in torch: circuits of any gates, on the CPU or on a GPU, gate by gate, differentiated by the adjoint method.

Real circuits on the CPU are faster in the kernels (compiled_shards.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.simulators.compiled.lowering import Rotation, Term
from hadamard.model.simulators.fused.simulator import COMPLEX
from hadamard.model.simulators.sharded.exchange import Exchanger
from hadamard.model.simulators.sharded.local_gates import LocalGate
from hadamard.model.simulators.sharded.part import Part
from hadamard.model.simulators.sharded.stages import Item, Stage, places_of, plan_stages

CUDA_AWARE = "HADAMARD_CUDA_AWARE_MPI"
"""Set to 1 where MPI may be given addresses of GPU memory: no MPI library can be asked without a crash if it may not."""
GPU_PIECE_BYTES = 64 * 2**20
SHORT_RUN = 1024


class TorchParts:
    """Opens the shards of one rank; of several ranks on a node with GPUs, each takes one."""

    def __init__(self, exchanger: Exchanger, device: torch.device) -> None:
        self.exchanger, self.device = exchanger, device

    def __call__(self, circuit: Circuit, weights: np.ndarray, inputs: np.ndarray | None, rows: int) -> Part:
        """Return this rank's part of a circuit on this many rows."""
        return TorchShards(circuit, self.exchanger, self.device, weights, inputs, rows)


class GpuExchanger(Exchanger):
    """Sends parts of shards that lie on a GPU: from there where MPI can, else by way of main memory."""

    piece_bytes = GPU_PIECE_BYTES

    def _swap_piece(self, parts: Sequence[torch.Tensor], partner: int) -> None:  # type: ignore[override]
        outgoing = torch.stack(list(parts))
        if os.environ.get(CUDA_AWARE) != "1":
            outgoing = outgoing.cpu()
        incoming = torch.empty_like(outgoing)
        torch.cuda.synchronize()  # MPI knows nothing of torch's streams
        self.group.Sendrecv(outgoing, partner, recvbuf=incoming, source=partner)
        for part, came in zip(parts, incoming, strict=True):
            part.copy_(came)
        Exchanger.sent_bytes += outgoing.nbytes


def torch_parts(exchanger: Exchanger, place: int) -> TorchParts:
    """Return what opens shards on this rank's GPU, by its place among the ranks of its node, or on the CPU where there is none."""
    if not torch.cuda.is_available():
        return TorchParts(exchanger, torch.device("cpu"))
    device = torch.device("cuda", place % torch.cuda.device_count())
    torch.cuda.set_device(device)
    return TorchParts(GpuExchanger(exchanger.group), device)


class TorchShards:
    """This rank's shards of the states of some rows of all trials: [trials, rows, amplitudes], real where the circuit is."""

    def __init__(
        self, circuit: Circuit, exchanger: Exchanger, device: torch.device, weights: np.ndarray, inputs: np.ndarray | None, rows: int
    ) -> None:
        """Take angles; see `CompiledShards`."""
        self.circuit, self.exchanger, self.device = circuit, exchanger, device
        self.plan = plan_stages(circuit, exchanger.group.size)
        self.weights = torch.from_numpy(weights).to(device)
        self.inputs = None if inputs is None else torch.from_numpy(np.ascontiguousarray(inputs)).to(device)
        self.dtype = self.weights.dtype if circuit.real else COMPLEX[self.weights.dtype]
        self.shape = (len(weights), rows, 2**circuit.qubits // exchanger.group.size)
        self.state: torch.Tensor | None = None

    def forward(self, states: np.ndarray | None, keep: bool) -> np.ndarray:
        """Return this rank's part of the values [trials, rows, measured]; see `CompiledShards.forward`."""
        trials, rows, _ = self.shape
        leading = np.ones((trials, rows, 1)) if states is None else states
        index, place = places_of(self.plan.stages[0], leading.shape[2], self.plan.shards, self.exchanger.group.rank)
        state = torch.zeros(self.shape, dtype=self.dtype, device=self.device)
        state[:, :, torch.from_numpy(place).to(self.device)] = torch.from_numpy(leading[:, :, index]).to(self.device, self.dtype)
        for stage in self.plan.stages:
            for item in stage.items:
                gate = self._local(item, stage)
                gate.mix(state, gate.matrices(self._angle(item)))
            self._swap([state], stage)
        self.state = state if keep else None
        weights = state.real.square().add_(state.imag.square()) if state.is_complex() else state.square()
        of_place = self._z(weights)
        values = torch.stack([of_place[self._place(wire)] * sign for wire, sign in self.plan.measured], dim=2)
        return values.to(self.weights.dtype).cpu().numpy()

    def backward(self, cotangent: np.ndarray, amplitudes: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Return this rank's part of the gradients; see `CompiledShards.backward`."""
        assert self.state is not None, "the states are used up"
        state = self.state
        given = torch.from_numpy(np.ascontiguousarray(cotangent)).to(self.device)
        conjugate = self._factors(given).mul(state.conj()) if state.is_complex() else self._factors(given).mul_(state)
        of = {"weights": torch.zeros_like(self.weights)}
        if self.inputs is not None:
            of["inputs"] = torch.zeros_like(self.inputs)
        for stage in reversed(self.plan.stages):
            self._swap([state, conjugate], stage)
            for item in reversed(stage.items):
                gate, angle = self._local(item, stage), self._angle(item)
                matrices = gate.matrices(angle)
                gate.mix(state, matrices.mH)
                if angle is not None:
                    self._add(of, item, gate.product(conjugate, gate.slopes(angle), state))
                gate.mix(conjugate, matrices.mT)
        of_states = self._unload(conjugate, amplitudes) if amplitudes else None
        self.release()
        of_weights, *of_inputs = (gradient.cpu().numpy() for gradient in of.values())
        return of_weights, of_inputs[0] if of_inputs else None, of_states

    def release(self) -> None:
        """Give the states' memory back."""
        self.state = None

    def _local(self, item: Item, stage: Stage) -> LocalGate:
        return LocalGate(item, stage, self.plan.shards, self.exchanger.group.rank, torch.empty(0, dtype=self.dtype, device=self.device))

    def _place(self, wire: int) -> int:
        """Return where a wire lies after the last stage: below 0 if it is global."""
        return self.plan.stages[-1].order.index(wire) - self.exchanger.wires

    def _z(self, weights: torch.Tensor) -> dict[int, torch.Tensor]:
        """Return this shard's part of <Z> by place, [trials, rows] each, from the squares of its amplitudes."""
        found: dict[int, torch.Tensor] = {}
        for place in range(self.shape[2].bit_length() - 1):
            zero, one = weights.view(*self.shape[:2], 2, -1).unbind(2)
            found[place] = _sum(zero) - _sum(one)
            weights = zero + one
        for place in range(-self.exchanger.wires, 0):
            found[place] = self._sign_of_rank(place) * weights[:, :, 0].double()
        return found

    def _sign_of_rank(self, place: int) -> int:
        return 1 - 2 * (self.exchanger.group.rank >> (-1 - place) & 1)

    def _factors(self, cotangent: torch.Tensor) -> torch.Tensor:
        """Return by what a final state has to be multiplied to make its cotangent, [trials, rows, amplitudes]."""
        factors = torch.zeros(self.shape, dtype=self.weights.dtype, device=self.device)
        for number, (wire, sign) in enumerate(self.plan.measured):
            given = 2 * sign * cotangent[:, :, number, None]
            if (place := self._place(wire)) < 0:
                factors += self._sign_of_rank(place) * given
            else:
                zero, one = factors.view(*self.shape[:2], 2**place, 2, -1).unbind(3)
                zero += given[..., None]
                one -= given[..., None]
        return factors

    def _swap(self, shards: list[torch.Tensor], stage: Stage) -> None:
        if stage.exchange:
            views: list[Any] = [shard.view(-1, shard.shape[2], 1) for shard in shards]
            self.exchanger.swap([view.numpy() if self.device.type == "cpu" else view for view in views], stage.exchange)

    def _angle(self, item: Item) -> torch.Tensor | None:
        """Return an item's angle, [trials, rows or 1]; None for one that has none."""
        if not isinstance(item, Rotation) and item.angle is None:
            return None
        offset = item.offset if isinstance(item, Rotation) else 0.0
        parts = [self._columns(term.of)[..., term.column] * term.scale for term in _angle_terms(item)]
        return sum(parts, start=torch.full((1, 1), offset, dtype=self.weights.dtype, device=self.device))

    def _columns(self, of: str) -> torch.Tensor:
        if of == "weights":
            return self.weights[:, None]
        assert self.inputs is not None
        return self.inputs

    def _add(self, of: dict[str, torch.Tensor], item: Item, gradient: torch.Tensor) -> None:
        """Add the gradient [trials, rows] by an item's angle to those of what it is made of."""
        for term in _angle_terms(item):
            of[term.of][..., term.column] += term.scale * (gradient.sum(dim=1) if term.of == "weights" else gradient)

    def _unload(self, cotangent: torch.Tensor, amplitudes: int) -> np.ndarray:
        of_states = np.zeros((*self.shape[:2], amplitudes), self.weights.cpu().numpy().dtype)
        index, place = places_of(self.plan.stages[0], amplitudes, self.plan.shards, self.exchanger.group.rank)
        of_states[:, :, index] = cotangent.real[:, :, torch.from_numpy(place).to(self.device)].cpu().numpy()
        return of_states


def _sum(weights: torch.Tensor) -> torch.Tensor:
    """Return sums over the last axis, added up in double precision, but for short runs."""
    return weights.reshape(*weights.shape[:-1], -1, min(SHORT_RUN, weights.shape[-1])).sum(dim=-1).double().sum(dim=-1)


def _angle_terms(item: Item) -> tuple[Term, ...]:
    if isinstance(item, Rotation):
        return item.terms
    return () if item.angle is None else (Term(item.angle.of, item.angle.column, 1.0),)
