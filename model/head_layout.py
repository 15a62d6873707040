"""The sizes of a head: its circuits, its number of parameters, and whether an embedding fits its qubits.

Owns what follows from settings alone, without torch, so that a plan can be made in no time. Does not own parameters or training.
"""

from __future__ import annotations

import functools

from model.circuit import Circuit, encoder_circuit, second_module_circuit
from model.errors import SettingsError
from model.settings import Head, LogisticHead, MlpHead, Noise, QuantumHead, SvcHead, Trial
from model.simulators import ADJOINT_DEVICES

CLASSES = 2


def second_module_qubits(settings: QuantumHead) -> int:
    """Return the qubits of the second module: Q, or E x Q where the merge concatenates."""
    return settings.qubits * (settings.encoders if settings.merge == "concatenate" else 1)


@functools.lru_cache(maxsize=256)
def circuits(settings: QuantumHead) -> tuple[Circuit, Circuit]:
    """Return the circuits of one encoder and of the second module.

    The second module's inputs are the merged outputs of the encoders: one after the other where blocks take them in turn.
    """
    encoder = encoder_circuit(settings.qubits, settings.encoder_layers, settings.connectivity, settings.reading)
    qubits = second_module_qubits(settings)
    in_turn = settings.encoders if settings.merge == "blocks" else 1
    second = second_module_circuit(
        qubits,
        [block % in_turn * qubits for block in range(settings.reuploads)],
        settings.layers,
        settings.connectivity,
        settings.measured,
        settings.reading,
        settings.share_blocks,
    )
    return encoder, second


def parameters(settings: Head, dimension: int) -> int | None:
    """Return how many parameters a head trains on embeddings of this dimension; None for an SVC, where it depends on the data."""
    if isinstance(settings, SvcHead):
        return None
    if isinstance(settings, LogisticHead):
        return dimension + 1
    if isinstance(settings, MlpHead):
        if not settings.hidden:
            return (dimension + 1) * CLASSES
        return (dimension + 1) * settings.hidden + (settings.hidden + 1) * CLASSES
    encoder, second = circuits(settings)
    room = 2**settings.qubits - settings.constant
    projection = dimension * room if settings.reduction == "projection" and dimension > room else 0
    return settings.encoders * encoder.weights + second.weights + (settings.measured + 1) * CLASSES + projection


def shape(trial: Trial) -> str:
    """Return what trials have in common that can be trained together: all that fixes the shapes of tensors and the course of an epoch.

    Learning rate, weight decay, angle scale, initial angles, seeds and split may differ. Heads that are fitted in closed form share
    only their sentences.
    """
    settings = trial.settings
    exclude: dict[str, bool | set[str]] = {"training": {"lr", "weight_decay"}, "head": {"angle_scale", "initial_angles"}}
    if isinstance(settings.head, LogisticHead | SvcHead):
        exclude = {"training": True, "head": True, "simulator": True, "mpi": True, "precision": True}
    elif isinstance(settings.head, MlpHead):
        exclude |= {"simulator": True, "mpi": True}
    return " ".join([settings.model_dump_json(exclude=exclude), trial.data_hash, trial.sentence_encoder_hash])


def check_head(head: Head, dimension: int, simulator: str) -> None:
    """Raise a SettingsError if a head's settings cannot go together, or not with this embedding and simulator.

    Args:
        head: Any head; only a quantum one can be wrong.
        dimension: Length of an embedding.
        simulator: The study's name for it.
    """
    if not isinstance(head, QuantumHead):
        return
    if head.connectivity >= head.qubits:
        raise SettingsError(f"head.connectivity = {head.connectivity} needs more qubits than head.qubits = {head.qubits}")
    if head.measured > second_module_qubits(head):
        raise SettingsError(f"head.measured = {head.measured}, but the second module has {second_module_qubits(head)} qubits")
    if head.merge == "blocks" and head.reuploads < head.encoders:
        raise SettingsError(
            f"head.merge = blocks feeds encoder e to block e, but head.encoders = {head.encoders} meet head.reuploads = {head.reuploads}"
        )
    if head.reduction == "projection" and simulator in ADJOINT_DEVICES:
        raise SettingsError(
            f"head.reduction = projection needs the gradient of the state, which {simulator} does not give; use simulator: auto"
        )
    check_noise(head.noise)
    check_width(head, dimension)


def check_noise(noise: Noise) -> None:
    """Raise a SettingsError if settings of the noise contradict each other."""
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


def rows_per_sentence(head: QuantumHead) -> int:
    """Return how many rows of the second module one sentence takes in a training step: its trajectories, and as many per shifted angle.

    An evaluation, which needs no gradient, takes the trajectories alone. Encoders always take one row.
    """
    trajectories = head.noise.trajectories if head.noise.gate_errors else 1
    if head.noise.gradient == "exact-backward":
        return trajectories
    _, second = circuits(head)
    return trajectories * (1 + 2 * sum(gate.angle is not None for gate in second.gates))


def check_width(head: QuantumHead, dimension: int) -> None:
    """Raise a SettingsError if the embedding does not fit the qubits and no reduction is named, or a PCA cannot do it."""
    length = dimension + head.constant
    if length > 2**head.qubits and head.reduction == "none":
        need = (length - 1).bit_length()
        raise SettingsError(
            f"head.qubits = {head.qubits} holds {2**head.qubits} amplitudes, but the embedding has {length}"
            f"{' with its constant' if head.constant else ''}. Use at least {need} qubits, or name how to shorten it: "
            "head.reduction: pca, truncate or projection"
        )
