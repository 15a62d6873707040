"""The sizes of a head: its circuits, its number of parameters, and whether an embedding fits its qubits.

Owns what follows from settings alone, without torch, so that a plan can be made in no time. Does not own parameters or training.
"""

from __future__ import annotations

import functools

from hadamard.model.circuits.circuit import Circuit, encoder_circuit, pqc, second_module_circuit
from hadamard.model.errors import SettingsError
from hadamard.model.settings import (
    CLOSED_FORM,
    FourierHead,
    Head,
    LogisticHead,
    MlpHead,
    Noise,
    QuadraticHead,
    QuantumHead,
    SvcHead,
    Trial,
    TrialSettings,
)
from hadamard.model.simulators import ADJOINT_DEVICES

CLASSES = 2


def second_module_qubits(settings: QuantumHead) -> int:
    """Return the qubits of the second module: Q, or E x Q where the merge concatenates."""
    return settings.qubits * (settings.encoders if settings.merge == "concatenate" else 1)


@functools.lru_cache(maxsize=256)
def circuits(settings: QuantumHead) -> tuple[Circuit, Circuit]:
    """Return the circuits of one encoder and of the second module; one that the head does without has no gates.

    The second module's inputs are the merged outputs of the encoders: one after the other where blocks take them in turn. Without
    re-uploads nothing is measured before it: its PQC stands at the end of the encoder.
    """
    encoder = encoder_circuit(settings.qubits, settings.encoder_layers, settings.connectivity, settings.reading, settings.entangling)
    nothing = Circuit(settings.qubits, (), 0)
    if not has_encoder_circuit(settings):
        encoder = nothing
    if not settings.second_module:
        return encoder, nothing
    if settings.reuploads == 0:
        after = pqc(settings.qubits, settings.layers, settings.connectivity, settings.reading, encoder.weights, settings.entangling)
        return Circuit(settings.qubits, (*encoder.gates, *after), settings.measured), nothing
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
        settings.entangling,
    )
    return encoder, second


def has_encoder_circuit(settings: QuantumHead) -> bool:
    """Whether the embedding is loaded into a state that a circuit encodes."""
    return settings.encoder in ("circuit", "untrained")


def read_by_linear(settings: QuantumHead) -> int:
    """Return how many numbers the linear layer reads."""
    if not settings.second_module:
        return second_module_qubits(settings)
    return settings.measured * (settings.encoders if settings.reuploads == 0 and settings.merge == "concatenate" else 1)


def parameters(settings: Head, dimension: int) -> int | None:
    """Return how many parameters a head trains on embeddings of this dimension; None for an SVC, where it depends on the data."""
    if isinstance(settings, SvcHead):
        return None
    if isinstance(settings, LogisticHead):
        return dimension + 1
    if isinstance(settings, FourierHead):
        return settings.features + 1
    if isinstance(settings, MlpHead):
        inputs = settings.components or dimension
        if not settings.hidden:
            return (inputs + 1) * CLASSES
        return (inputs + 1) * settings.hidden + (settings.hidden + 1) * CLASSES
    if isinstance(settings, QuadraticHead):
        features = settings.forms * (2 * settings.frequencies or 1)
        return settings.forms * settings.rank * settings.components + (features + 1) * CLASSES
    encoder, second = circuits(settings)
    room = 2**settings.qubits - settings.constant
    projection = dimension * room if settings.reduction == "projection" and has_encoder_circuit(settings) and dimension > room else 0
    encoded = {"circuit": encoder.weights, "untrained": 0, "linear": dimension * settings.qubits, "pca": 0}[settings.encoder]
    return settings.encoders * encoded + second.weights + (read_by_linear(settings) + 1) * CLASSES + projection


def shape(trial: Trial) -> str:
    """Return what trials have in common that can be trained together: all that fixes the shapes of tensors and the course of an epoch.

    Learning rate, weight decay, angle scale, initial angles, seeds and split may differ; the split, not where the sentence encoder is
    tuned on it. Heads that are fitted in closed form share only their sentences.
    """
    settings = trial.settings
    exclude: dict[str, bool | set[str]] = {"training": {"lr", "weight_decay"}, "head": {"angle_scale", "initial_angles"}}
    if isinstance(settings.head, CLOSED_FORM):
        exclude = {"training": True, "head": True, "simulator": True, "mpi": True, "precision": True}
    elif not isinstance(settings.head, QuantumHead):
        exclude |= {"simulator": True, "mpi": True}
    alike = [settings.model_dump_json(exclude=exclude), trial.data_hash, trial.sentence_encoder_hash]
    match settings.sentence_encoder.representation:
        case "frozen":
            fold = trial.fold
            alike.append("" if fold is None else str(settings.data.held_out(fold)))
        case "setfit":
            alike += [str(trial.split_seed), "" if trial.fold is None else trial.fold.model_dump_json()]
        case "unfrozen":
            alike.append(trial.key)
    return " ".join(alike)


def check_head(head: Head, dimension: int, simulator: str) -> None:
    """Raise a SettingsError if a head's settings cannot go together, or not with this embedding and simulator.

    Args:
        head: Any head; only a quantum one can be wrong.
        dimension: Length of an embedding.
        simulator: The study's name for it.
    """
    if not isinstance(head, QuantumHead):
        return
    _check_ablations(head)
    if head.connectivity >= head.qubits:
        raise SettingsError(f"head.connectivity = {head.connectivity} needs more qubits than head.qubits = {head.qubits}")
    width = second_module_qubits(head) if head.reuploads else head.qubits
    if head.second_module and head.measured > width:
        raise SettingsError(f"head.measured = {head.measured}, but what is measured has {width} qubits")
    if head.merge == "blocks" and head.encoders > 1 and head.reuploads < head.encoders:
        raise SettingsError(
            f"head.merge = blocks feeds encoder e to block e, but head.encoders = {head.encoders} meet head.reuploads = {head.reuploads}"
        )
    if head.reduction == "projection" and simulator in ADJOINT_DEVICES:
        raise SettingsError(
            f"head.reduction = projection needs the gradient of the state, which {simulator} does not give; use simulator: auto"
        )
    check_noise(head.noise)
    if has_encoder_circuit(head):
        check_width(head, dimension)


def check_components(head: Head, dimension: int, train: int) -> None:
    """Raise a SettingsError if a head reads more principal components than there are of so many training sentences and dimensions."""
    name, wanted = "head.components", head.components if isinstance(head, MlpHead | QuadraticHead) else 0
    if isinstance(head, QuantumHead) and head.encoder == "pca":
        name, wanted = "head.encoder = pca, head.qubits", head.qubits
    if wanted > (most := min(dimension, train)):
        raise SettingsError(f"{name} = {wanted}, but {train} training sentences of {dimension} dimensions have {most} principal components")


def check_representation(settings: TrialSettings) -> None:
    """Raise a SettingsError if a head cannot be trained together with its sentence encoder, where it is to be."""
    if settings.sentence_encoder.representation != "unfrozen":
        return
    head = settings.head
    if isinstance(head, CLOSED_FORM):
        raise SettingsError(
            f"sentence_encoder.representation = unfrozen trains encoder and head together by gradient, but a {head.kind} head is fitted in "
            "one go. Use frozen or setfit, or head: {kind: mlp, hidden: 0}, which is a logistic regression trained by gradient"
        )
    if isinstance(head, QuantumHead) and has_encoder_circuit(head) and settings.simulator in ADJOINT_DEVICES:
        raise SettingsError(
            f"sentence_encoder.representation = unfrozen needs the gradient of the state, which {settings.simulator} does not give; "
            "use simulator: auto"
        )


def _check_ablations(head: QuantumHead) -> None:
    """Raise a SettingsError if parts are taken out of a head that others of its settings need."""
    if head.reuploads == 0 and head.second_module and head.encoder != "circuit":
        raise SettingsError(
            f"head.reuploads = 0 lets PQC 2 go on from the state of an encoder's circuit, but head.encoder = {head.encoder}. "
            "Use head.encoder: circuit, or at least 1 re-upload"
        )
    if head.encoder == "pca" and head.encoders > 1:
        raise SettingsError(f"head.encoder = pca gives all of head.encoders = {head.encoders} the same; use head.encoders: 1")
    if not head.second_module and head.merge == "blocks" and head.encoders > 1:
        raise SettingsError("head.merge = blocks feeds a second module, but head.second_module = false. Use mean or concatenate")
    if head.noise != Noise() and (not head.second_module or head.reuploads == 0):
        raise SettingsError(
            "head.noise is that of a second module by itself, but "
            + ("head.second_module = false" if not head.second_module else "head.reuploads = 0")
            + ". Take out head.noise, or give the head its second module"
        )


def check_noise(noise: Noise) -> None:
    """Raise a SettingsError if settings of the noise contradict each other."""
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
