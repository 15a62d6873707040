"""What turns embeddings into the numbers that a quantum head's second module reads: the paper's circuits, or a control in their place.

Owns the encoders' parameters and their outputs between -1 and 1. Does not own the second module, nor how outputs are merged.
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
from hadamard.model.heads.principal_components import Principal
from hadamard.model.heads.quantum.amplitude_encoding import AmplitudeEncoding
from hadamard.model.heads.quantum.settings import QuantumHead, encoder_and_second_module
from hadamard.model.simulators.base import Simulator


class Encoders(Protocol):
    """The E encoders of each of a team's heads.

    Attributes:
        sizes: Of the parts of a trial's parameters that are theirs.
    """

    sizes: list[int]

    def start(self, trial: int, angles: float, generator: torch.Generator) -> list[torch.Tensor]:
        """Draw the initial parts of a trial's parameters, angles uniform in +-angles; `trial` is its place in the team."""
        ...

    def outputs(self, parts: Sequence[torch.Tensor], embeddings: torch.Tensor) -> torch.Tensor:
        """Return outputs [trials, E, rows, Q] of embeddings [trials, rows, dimension]; parts are [trials, size] each."""
        ...

    def only(self, trials: Sequence[int]) -> Self:
        """Return the encoders of some of the trials."""
        ...


def encoders(settings: QuantumHead, train_embeddings: Sequence[torch.Tensor], simulator: Simulator) -> Encoders:
    """Return the encoders that the settings name, for heads trained on embeddings [sentences, dimension] each."""
    if settings.encoder == "linear":
        return LinearMaps(settings, train_embeddings[0].shape[1])
    if settings.encoder == "pca":
        return Components(settings, train_embeddings)
    return EncoderCircuits(settings, train_embeddings, simulator)


class EncoderCircuits:
    """The paper's: amplitude encoding, a PQC, <Z> of its qubits. Untrained, its angles are drawn from the whole circle and stay."""

    def __init__(self, settings: QuantumHead, train_embeddings: Sequence[torch.Tensor], simulator: Simulator) -> None:
        self.count, self.trained, self.simulator = settings.encoders, settings.encoder == "circuit", simulator
        self.encoding = AmplitudeEncoding(settings, train_embeddings)
        self.circuit: Circuit = encoder_and_second_module(settings)[0]
        self.sizes = [math.prod(self.encoding.projection)] if self.encoding.projection else []
        self.drawn: dict[int, torch.Tensor] = {}
        if self.trained:
            self.sizes.append(self.count * self.circuit.weights)

    def start(self, trial: int, angles: float, generator: torch.Generator) -> list[torch.Tensor]:
        """Draw the projection, if any, normal, and the angles."""
        found = [normal(math.prod(self.encoding.projection), generator) / self.encoding.dimension**0.5] if self.encoding.projection else []
        weights = uniform(self.count * self.circuit.weights, angles if self.trained else math.pi, generator)
        if self.trained:
            return [*found, weights]
        self.drawn[trial] = weights
        return found

    def outputs(self, parts: Sequence[torch.Tensor], embeddings: torch.Tensor) -> torch.Tensor:
        """Return outputs, by one call of the simulator: to it, the encoders of a trial are trials of their own."""
        trials, rows, _ = embeddings.shape
        projection, weights = (
            (parts[:-1], parts[-1]) if self.trained else (parts, torch.stack([self.drawn[trial] for trial in range(trials)]).to(embeddings))
        )
        states = self.encoding.states(embeddings, *projection)
        states = states[:, None].expand(-1, self.count, -1, -1).reshape(trials * self.count, rows, -1)
        outputs = self.simulator.expectations(self.circuit, weights.reshape(trials * self.count, -1), states=states)
        return outputs.view(trials, self.count, rows, -1)

    def only(self, trials: Sequence[int]) -> Self:
        """Return the encoders of some of the trials."""
        some = copy.copy(self)
        some.encoding = self.encoding.only(trials)
        some.drawn = {place: self.drawn[trial] for place, trial in enumerate(trials)} if self.drawn else {}
        return some


class LinearMaps:
    """A control: a trained linear map of the unit embedding to Q numbers for each encoder, between -1 and 1 by the hyperbolic tangent."""

    def __init__(self, settings: QuantumHead, dimension: int) -> None:
        self.count, self.qubits, self.dimension = settings.encoders, settings.qubits, dimension
        self.sizes = [self.count * dimension * self.qubits]

    def start(self, trial: int, angles: float, generator: torch.Generator) -> list[torch.Tensor]:
        """Draw the maps normal, as large as gives outputs of about one over the root of the dimension."""
        return [normal(self.sizes[0], generator) / self.dimension**0.5]

    def outputs(self, parts: Sequence[torch.Tensor], embeddings: torch.Tensor) -> torch.Tensor:
        """Return outputs."""
        maps = parts[0].view(len(embeddings), self.count, self.dimension, self.qubits)
        return torch.tanh(nn.functional.normalize(embeddings, dim=-1)[:, None] @ maps)

    def only(self, trials: Sequence[int]) -> Self:
        """Return the encoders of some of the trials, which are no different."""
        return self


class Components:
    """A control: the first Q principal components of the training embeddings, in units of their largest; nothing is trained."""

    def __init__(self, settings: QuantumHead, train_embeddings: Sequence[torch.Tensor]) -> None:
        self.principal = Principal(train_embeddings, settings.qubits, centred=True)
        self.sizes: list[int] = []

    def start(self, trial: int, angles: float, generator: torch.Generator) -> list[torch.Tensor]:
        """Return nothing: there are no parameters."""
        return []

    def outputs(self, parts: Sequence[torch.Tensor], embeddings: torch.Tensor) -> torch.Tensor:
        """Return outputs; those of an embedding farther out than any trained on end at -1 and 1."""
        return self.principal.of(embeddings).clamp(-1, 1)[:, None]

    def only(self, trials: Sequence[int]) -> Self:
        """Return the encoders of some of the trials."""
        some = copy.copy(self)
        some.principal = self.principal.only(trials)
        return some
