"""The settings of the paper's head, and what follows from them: circuits, parameter counts, and checks. classifier.py trains it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import Field

from hadamard.model.circuits.circuit import Circuit, encoder_circuit, pqc, second_module_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.heads.base import CLASSES, CircuitUse, GradientHead, HeadBatch, check_components
from hadamard.model.lazy import load
from hadamard.model.settings import Settings

if TYPE_CHECKING:
    import torch

    from hadamard.model.simulators.base import Simulator


class Noise(Settings):
    """Noise of a quantum device in the second module: finite shots, gate errors and readout errors (paper.md, "Screening study")."""

    shots: Annotated[int, Field(ge=1, le=10**9)] | Literal["exact"] = "exact"
    """Measurements per expectation and measured qubit; `exact`: the expectation itself."""
    one_qubit_error: Annotated[float, Field(ge=0, le=1)] = 0.0
    """p of the depolarising channel (1-p) rho + p I/2 after every gate on one qubit."""
    two_qubit_error: Annotated[float, Field(ge=0, le=1)] = 0.0
    """p of the depolarising channel (1-p) rho + p I/4 after every gate on two qubits."""
    readout_error: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Probability that a measured bit is read as its opposite."""
    scale: Annotated[float, Field(ge=0)] = 1.0
    """Multiplies the three errors, so that a device's noise can be one factor of a design; 0: a device without errors."""
    trajectories: Annotated[int, Field(ge=1, le=10**6)] = 16
    """Runs per expectation, each with its own Pauli errors; without gate errors one run is made, since all would be the same."""
    gradient: Literal["exact-backward", "parameter-shift"] = "exact-backward"
    """`exact-backward`: the exact gradient of the sampled runs; `parameter-shift`: from further shots at angles shifted by +-pi/2, as on a
    device."""

    @property
    def gate_errors(self) -> bool:
        """Whether any gate has errors."""
        return self.scale > 0 and (self.one_qubit_error > 0 or self.two_qubit_error > 0)

    @property
    def errors(self) -> tuple[float, float, float]:
        """The scaled errors of gates on one qubit, of gates on two, and of readout."""
        return self.scale * self.one_qubit_error, self.scale * self.two_qubit_error, self.scale * self.readout_error


class QuantumHead(GradientHead):
    """The paper's head: E encoders, merge, N re-uploads and PQC 2, <Z> of the measured qubit, linear layer (paper.md, "Quantum head")."""

    simulated: ClassVar[bool] = True
    per_trial: ClassVar[frozenset[str]] = frozenset({"angle_scale", "initial_angles"})
    kind: Literal["quantum"] = "quantum"
    qubits: Annotated[int, Field(ge=2, le=46)] = 8
    encoder: Literal["circuit", "untrained", "linear", "pca"] = "circuit"
    """What maps an embedding to Q numbers: the paper's circuit, or a control. `untrained`: the circuit at fixed random angles; `linear`: a
    trained linear map of the unit embedding; `pca`: its first Q principal components, in [-1, 1]."""
    second_module: bool = True
    """False: the linear layer reads the merged outputs of the encoders."""
    entangling: bool = True
    """False: no circuit has a CNOT, so that qubits do not interact after the embedding is loaded."""
    reduction: Literal["none", "pca", "truncate", "projection"] = "none"
    """How an embedding longer than 2**qubits is reduced to that length; shorter ones are padded with zeros."""
    constant: bool = False
    """Append a constant before normalising, which gives the even amplitude-encoded head its linear terms back."""
    encoders: Annotated[int, Field(ge=1, le=64)] = 1
    """E, the number of parallel encoders."""
    encoder_layers: Annotated[int, Field(ge=0, le=1000)] = 2
    connectivity: Annotated[int, Field(ge=1, le=45)] = 1
    """C: rings of distance 1..C."""
    reuploads: Annotated[int, Field(ge=0, le=1000)] = 2
    """N, the number of re-uploading blocks [angle encoding, PQC 1], which PQC 2 follows. 0: nothing is measured in between, PQC 2 acts on
    an encoder's state, and outputs are merged after it."""
    layers: Annotated[int, Field(ge=0, le=1000)] = 2
    """Layers of each PQC in the second module."""
    merge: Literal["mean", "concatenate", "blocks"] = "mean"
    """How the outputs of E encoders become angles: their mean; concatenated, on E x Q qubits; or encoder e feeds block e mod E."""
    angle_scale: float | Literal["pi"] = "pi"
    """Factor from an encoder's output in [-1, 1] to an angle in radians."""
    share_blocks: bool = False
    """Whether the N re-uploading blocks share the angles of one PQC 1."""
    reading: Literal["A", "B"] = "A"
    """Which reading of the paper's PQC: A has Q(CL+1) angles, B one more ring set before the RY column, Q(C(L+1)+1)."""
    measured: Annotated[int, Field(ge=1, le=46)] = 1
    """Q_m: qubits 0..Q_m-1 of the second module are measured."""
    initial_angles: Annotated[float, Field(gt=0)] = 0.1
    """Initial angles are uniform in [-initial_angles, initial_angles] (radians)."""
    noise: Noise = Noise()
    """Shots and errors of the second module; the encoders are always simulated exactly."""

    @property
    def has_encoder_circuit(self) -> bool:
        """Whether the embedding is loaded into a state that a circuit encodes."""
        return self.encoder in ("circuit", "untrained")

    @property
    def second_module_qubits(self) -> int:
        """The width of the second module: Q, or E x Q where the merge concatenates."""
        return self.qubits * (self.encoders if self.merge == "concatenate" else 1)

    @property
    def linear_inputs(self) -> int:
        """How many numbers the linear layer reads."""
        if not self.second_module:
            return self.second_module_qubits
        return self.measured * (self.encoders if self.reuploads == 0 and self.merge == "concatenate" else 1)

    def check(self, dimension: int, train: int) -> None:
        """Check settings against each other, and that the embedding fits the qubits.

        Raises:
            SettingsError: They cannot go together.
        """
        _check_parts(self)
        _check_noise(self.noise)
        if self.has_encoder_circuit:
            check_width(self, dimension)
        if self.encoder == "pca":
            check_components("head.encoder = pca, head.qubits", self.qubits, dimension, train)

    def parameters(self, dimension: int) -> int:
        """Return the angles of all circuits, the numbers of a projection or a linear encoder, and those of the linear layer."""
        encoder, second = encoder_and_second_module(self)
        capacity = 2**self.qubits - self.constant
        projected = self.reduction == "projection" and self.has_encoder_circuit and dimension > capacity
        encoded = {"circuit": encoder.weights, "untrained": 0, "linear": dimension * self.qubits, "pca": 0}[self.encoder]
        linear = (self.linear_inputs + 1) * CLASSES
        return self.encoders * encoded + second.weights + linear + (dimension * capacity if projected else 0)

    def principal_components(self, dimension: int) -> int:
        """Return how many a PCA reduces the embedding to, as amplitudes of a state or in place of an encoder."""
        if self.encoder == "pca":
            return self.qubits
        capacity = 2**self.qubits - self.constant
        return capacity if self.reduction == "pca" and self.has_encoder_circuit and dimension > capacity else 0

    def circuits(self) -> tuple[CircuitUse, ...]:
        """Return the encoder, E rows per sentence, and the second module, a row per trajectory and shifted angle of a gradient."""
        encoder, second = encoder_and_second_module(self)
        trajectories = self.noise.trajectories if self.noise.gate_errors else 1
        evaluations = 1
        if self.noise.gradient == "parameter-shift":
            evaluations += 2 * sum(gate.angle is not None for gate in second.gates)
        uses = CircuitUse(encoder, self.encoders, self.encoders), CircuitUse(second, trajectories * evaluations, trajectories)
        return tuple(use for use in uses if use.circuit.gates)

    def state_gradient(self, embeddings_trained: bool) -> str | None:
        """Return the setting by which a projection, or the sentence encoder, is trained through the initial state."""
        if self.reduction == "projection":
            return "head.reduction = projection"
        return "sentence_encoder.representation = unfrozen" if embeddings_trained and self.has_encoder_circuit else None

    @classmethod
    def build(cls, settings: Sequence[Self], train_embeddings: Sequence[torch.Tensor], simulator: Simulator | None) -> HeadBatch:
        """Make the heads of several trials."""
        batch: HeadBatch = load("hadamard.model.heads.quantum.classifier:QuantumClassifier")(settings, train_embeddings, simulator)
        return batch


@functools.lru_cache(maxsize=256)
def encoder_and_second_module(settings: QuantumHead) -> tuple[Circuit, Circuit]:
    """Return the circuits of one encoder and of the second module; one that the head does not have is without gates.

    The second module's inputs are the merged outputs of the encoders, concatenated where blocks take them in turn. Without re-uploads
    nothing is measured before it: its PQC is the end of the encoder's circuit.
    """
    encoder = encoder_circuit(settings.qubits, settings.encoder_layers, settings.connectivity, settings.reading, settings.entangling)
    no_circuit = Circuit(settings.qubits, (), 0)
    if not settings.has_encoder_circuit:
        encoder = no_circuit
    if not settings.second_module:
        return encoder, no_circuit
    if settings.reuploads == 0:
        after = pqc(settings.qubits, settings.layers, settings.connectivity, settings.reading, encoder.weights, settings.entangling)
        return Circuit(settings.qubits, (*encoder.gates, *after), settings.measured), no_circuit
    qubits = settings.second_module_qubits
    in_turn = settings.encoders if settings.merge == "blocks" else 1
    second = second_module_circuit(
        qubits,
        [block % in_turn * qubits for block in range(settings.reuploads)],
        settings.layers,
        settings.connectivity,
        settings.measured,
        settings.reading,
        settings.share_blocks,
        settings.entangling,
    )
    return encoder, second


def check_width(head: QuantumHead, dimension: int) -> None:
    """Check that the embedding fits the qubits, or that a reduction is named.

    Raises:
        SettingsError: It is too long, and would not be reduced.
    """
    length = dimension + head.constant
    if length > 2**head.qubits and head.reduction == "none":
        need = (length - 1).bit_length()
        raise SettingsError(
            f"head.qubits = {head.qubits} holds {2**head.qubits} amplitudes, but the embedding has {length}"
            f"{' with its constant' if head.constant else ''}. Use at least {need} qubits, or name how to shorten it: "
            "head.reduction: pca, truncate or projection"
        )


def _check_parts(head: QuantumHead) -> None:
    """Check that the parts of the head fit each other, and that none is left out that others need."""
    if head.reuploads == 0 and head.second_module and head.encoder != "circuit":
        raise SettingsError(
            f"head.reuploads = 0 lets PQC 2 act on the state of an encoder's circuit, but head.encoder = {head.encoder}. "
            "Use head.encoder: circuit, or at least 1 re-upload"
        )
    if head.encoder == "pca" and head.encoders > 1:
        raise SettingsError(
            f"head.encoder = pca gives all of head.encoders = {head.encoders} encoders the same output; use head.encoders: 1"
        )
    if not head.second_module and head.merge == "blocks" and head.encoders > 1:
        raise SettingsError("head.merge = blocks feeds a second module, but head.second_module = false. Use mean or concatenate")
    if head.noise != Noise() and (not head.second_module or head.reuploads == 0):
        raise SettingsError(
            "head.noise applies to a separate second module, but "
            + ("head.second_module = false" if not head.second_module else "head.reuploads = 0")
            + ". Remove head.noise, or give the head a second module"
        )
    if head.connectivity >= head.qubits:
        raise SettingsError(f"head.connectivity = {head.connectivity} needs more qubits than head.qubits = {head.qubits}")
    width = head.second_module_qubits if head.reuploads else head.qubits
    if head.second_module and head.measured > width:
        raise SettingsError(f"head.measured = {head.measured}, but what is measured has {width} qubits")
    if head.merge == "blocks" and head.encoders > 1 and head.reuploads < head.encoders:
        raise SettingsError(
            f"head.merge = blocks feeds encoder e to block e, but head.encoders = {head.encoders} meet head.reuploads = {head.reuploads}"
        )


def _check_noise(noise: Noise) -> None:
    """Check the settings of the noise against each other."""
    for name, error, most in zip(("one_qubit_error", "two_qubit_error", "readout_error"), noise.errors, (1, 1, 0.5), strict=True):
        if error > most:
            raise SettingsError(
                f"head.noise.scale = {noise.scale:g} times head.noise.{name} = {getattr(noise, name):g} is {error:g}, but at most {most} "
                "can be: use a smaller scale"
            )
    if noise.shots == "exact" and noise.gradient == "parameter-shift":
        raise SettingsError(
            "head.noise.gradient = parameter-shift is a gradient from shots, but head.noise.shots = exact. "
            "Give head.noise.shots a number, or set head.noise.gradient: exact-backward"
        )
    if noise.shots != "exact" and noise.gate_errors and noise.trajectories > noise.shots:
        raise SettingsError(
            f"head.noise.shots = {noise.shots} cannot be spread over head.noise.trajectories = {noise.trajectories}: "
            "each trajectory needs a shot. Use fewer trajectories or more shots"
        )
