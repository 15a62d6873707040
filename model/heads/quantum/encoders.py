"""Encoders of the quantum head, from an embedding to Q numbers in [-1, 1]: the paper's circuits, or a control in their place.

classifier.py merges their outputs and feeds them to the second module.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import Protocol, Self

import torch
from torch import nn

from hadamard.model.circuits.circuit import Circuit
from hadamard.model.heads.initialisation import normal, uniform
from hadamard.model.heads.principal_components import PrincipalComponents
from hadamard.model.heads.quantum.amplitude_encoding import AmplitudeEncoding
from hadamard.model.heads.quantum.settings import QuantumHead, encoder_and_second_module
from hadamard.model.simulators.base import Simulator


class Encoders(Protocol):
    """The E encoders of each of several trials' heads.

    Attributes:
        sizes: Lengths of the parts of a trial's parameters that belong to the encoders.
    """

    sizes: list[int]

    def initial_parameters(self, trial: int, max_angle: float, generator: torch.Generator) -> list[torch.Tensor]:
        """Draw the initial parts of a trial's parameters, one tensor per entry of `sizes`, angles uniformly in +-max_angle.

        Args:
            trial: The trial's index among these heads.
            max_angle: In radians.
            generator: The trial's.
        """
        ...

    def outputs(self, parts: Sequence[torch.Tensor], embeddings: torch.Tensor) -> torch.Tensor:
        """Return outputs [trials, E, rows, Q] of embeddings [trials, rows, dimension]; each part is [trials, size]."""
        ...

    def select(self, trials: Sequence[int]) -> Self:
        """Return the encoders of some of the trials."""
        ...


def build_encoders(settings: QuantumHead, train_embeddings: Sequence[torch.Tensor], simulator: Simulator) -> Encoders:
    """Return the encoders that the settings name; `train_embeddings` are [sentences, dimension] of each trial."""
    if settings.encoder == "linear":
        return LinearMaps(settings, train_embeddings[0].shape[1])
    if settings.encoder == "pca":
        return ComponentEncoders(settings, train_embeddings)
    return EncoderCircuits(settings, train_embeddings, simulator)


class EncoderCircuits:
    """The paper's encoders: amplitude encoding, a PQC, <Z> of its qubits.

    Untrained, a circuit's angles are drawn uniformly from the whole circle, once per trial, and are no parameters.
    """

    def __init__(self, settings: QuantumHead, train_embeddings: Sequence[torch.Tensor], simulator: Simulator) -> None:
        self.count, self.trained, self.simulator = settings.encoders, settings.encoder == "circuit", simulator
        self.encoding = AmplitudeEncoding(settings, train_embeddings)
        self.circuit: Circuit = encoder_and_second_module(settings)[0]
        self.sizes = [math.prod(self.encoding.projection)] if self.encoding.projection else []
        self.fixed_angles: dict[int, torch.Tensor] = {}
        if self.trained:
            self.sizes.append(self.count * self.circuit.weights)

    def initial_parameters(self, trial: int, max_angle: float, generator: torch.Generator) -> list[torch.Tensor]:
        """Draw the projection, if there is one, from a normal distribution, and the angles."""
        parts: list[torch.Tensor] = []
        if self.encoding.projection:
            parts.append(normal(math.prod(self.encoding.projection), generator) / self.encoding.dimension**0.5)
        angles = uniform(self.count * self.circuit.weights, max_angle if self.trained else math.pi, generator)
        if self.trained:
            return [*parts, angles]
        self.fixed_angles[trial] = angles
        return parts

    def outputs(self, parts: Sequence[torch.Tensor], embeddings: torch.Tensor) -> torch.Tensor:
        """Return the outputs by one call of the simulator, to which each encoder of a trial is a trial of its own."""
        trials, rows, _ = embeddings.shape
        if self.trained:
            *projection, weights = parts
        else:
            projection, weights = list(parts), torch.stack([self.fixed_angles[trial] for trial in range(trials)]).to(embeddings)
        states = self.encoding.states(embeddings, *projection)
        states = states[:, None].expand(-1, self.count, -1, -1).reshape(trials * self.count, rows, -1)
        outputs = self.simulator.expectations(self.circuit, weights.reshape(trials * self.count, -1), states=states)
        return outputs.view(trials, self.count, rows, -1)

    def select(self, trials: Sequence[int]) -> Self:
        """Return the encoders of some of the trials."""
        selected = copy.copy(self)
        selected.encoding = self.encoding.select(trials)
        if self.fixed_angles:
            selected.fixed_angles = {index: self.fixed_angles[trial] for index, trial in enumerate(trials)}
        return selected


class LinearMaps:
    """A control: for each encoder a trained linear map of the unit embedding to Q numbers, then the hyperbolic tangent."""

    def __init__(self, settings: QuantumHead, dimension: int) -> None:
        self.count, self.qubits, self.dimension = settings.encoders, settings.qubits, dimension
        self.sizes = [self.count * dimension * self.qubits]

    def initial_parameters(self, trial: int, max_angle: float, generator: torch.Generator) -> list[torch.Tensor]:
        """Draw the maps from a normal distribution of variance 1/dimension."""
        return [normal(self.sizes[0], generator) / self.dimension**0.5]

    def outputs(self, parts: Sequence[torch.Tensor], embeddings: torch.Tensor) -> torch.Tensor:
        """Return outputs."""
        maps = parts[0].view(len(embeddings), self.count, self.dimension, self.qubits)
        return torch.tanh(nn.functional.normalize(embeddings, dim=-1)[:, None] @ maps)

    def select(self, trials: Sequence[int]) -> Self:
        """Return the same encoders: they hold nothing of a trial."""
        return self


class ComponentEncoders:
    """A control: the first Q principal components of the training embeddings, scaled so that the largest is 1; nothing is trained."""

    def __init__(self, settings: QuantumHead, train_embeddings: Sequence[torch.Tensor]) -> None:
        self.principal = PrincipalComponents(train_embeddings, settings.qubits, centred=True)
        self.sizes: list[int] = []

    def initial_parameters(self, trial: int, max_angle: float, generator: torch.Generator) -> list[torch.Tensor]:
        """Return no parts: there are no parameters."""
        return []

    def outputs(self, parts: Sequence[torch.Tensor], embeddings: torch.Tensor) -> torch.Tensor:
        """Return outputs, clipped to [-1, 1] for embeddings farther out than all training embeddings."""
        return self.principal.of(embeddings).clamp(-1, 1)[:, None]

    def select(self, trials: Sequence[int]) -> Self:
        """Return the encoders of some of the trials."""
        selected = copy.copy(self)
        selected.principal = self.principal.select(trials)
        return selected
