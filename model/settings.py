"""What determines the result of one trial: data, sentence encoder, head, training, simulator and seeds.

Owns the settings' names, types, defaults and limits, as frozen pydantic models; any of them may be a factor by its dotted path.
Does not own designs, factors or where things run: those belong to the study.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag

EVALUATION_ROWS = 256
"""Sentences of each trial evaluated at once: memory does not grow with the corpus."""


def _power_of_two(number: int) -> int:
    if number.bit_count() != 1:
        raise ValueError(f"should be a power of two (1, 2, 4, ...), not {number}: each doubling shares the states out by one qubit more")
    return number


PowerOfTwo = Annotated[int, Field(ge=1), AfterValidator(_power_of_two)]


class Settings(BaseModel):
    """Base of all settings: frozen; an unknown key or a value of another type is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Fold(Settings):
    """One part of the drawn sentences, held out while the others train: of a k-fold cross-validation that is repeated with other parts."""

    repeat: Annotated[int, Field(ge=0)]
    index: Annotated[int, Field(ge=0)]
    of: Annotated[int, Field(ge=2)]


class Data(Settings):
    """The labelled sentences and how a split draws from them (paper: 256 + 256 drawn, 85/15 into 435 and 77, test on the rest)."""

    name: str = "reviews"
    """`reviews` (our own grammar, nothing to download), `sst2`, or any name of your own together with `path`."""
    path: str | None = None
    """A TSV file with the header `text<TAB>label`, or a directory of such files, which are pooled. None: see `name`."""
    train_per_class: Annotated[int, Field(ge=2)] = 256
    """Sentences drawn per class and split; train and validation together."""
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Part of the drawn sentences kept for validation."""
    sentences: Annotated[int, Field(ge=100, le=20_000)] = 2000
    """How many sentences the `reviews` grammar writes. Other corpora ignore it."""
    difficulty: Annotated[float, Field(ge=0, le=1)] = 0.5
    """How compositional the `reviews` sentences are: 0 plain words of praise and blame, 1 nearly all negated, hedged or contrasted."""

    @property
    def sides(self) -> tuple[int, int]:
        """How many sentences a split has for training and for validation."""
        drawn = 2 * self.train_per_class
        validation = round(self.validation_fraction * drawn)
        return drawn - validation, validation

    def held_out(self, fold: Fold) -> int:
        """Return how many of the drawn sentences of each class a fold holds out; the parts differ by one at most."""
        return self.train_per_class // fold.of + (fold.index < self.train_per_class % fold.of)


class Tuning(Settings):
    """How a sentence encoder is tuned, where its representation is not `frozen`."""

    pairs: Annotated[int, Field(ge=1)] = 5
    """`setfit`: so many pairs of its own class, and as many of the other, are drawn for each sentence and epoch (R of Tunstall et al.)."""
    epochs: Annotated[int, Field(ge=1)] = 1
    """`setfit`: passes over pairs, drawn anew for each."""
    batch: Annotated[int, Field(ge=1)] = 16
    """`setfit`: pairs of a step."""
    lr: Annotated[float, Field(gt=0)] = 2e-5
    """Of the sentence encoder's own weights, whatever that of the head is."""
    precision: Literal["bfloat16", "float32"] = "bfloat16"
    """Of its matrix products; processors without them for bfloat16 are faster in float32."""


class SentenceEncoder(Settings):
    """The sentence transformer that turns a sentence into an embedding."""

    name: str = "all-MiniLM-L6-v2"
    """A name on the Hugging Face hub (`sentence-transformers/` may be left out) or a local directory."""
    representation: Literal["frozen", "setfit", "unfrozen"] = "frozen"
    """`frozen`: embeddings as they come; `setfit`: tuned by contrast on the training side of each split before any head is trained
    (Tunstall et al., arXiv 2209.11055); `unfrozen`: tuned together with the head, which then has to be one that is trained by gradient."""
    tuning: Tuning = Tuning()


class Noise(Settings):
    """What a quantum device would add to the second module: finite shots, gate errors and misread bits (paper.md, "Screening study")."""

    shots: Annotated[int, Field(ge=1)] | Literal["exact"] = "exact"
    """Measurements behind each expectation and measured qubit; `exact` for the expectation itself."""
    one_qubit_error: Annotated[float, Field(ge=0, le=1)] = 0.0
    """p of the depolarising channel (1-p) rho + p I/2 after every gate on one qubit."""
    two_qubit_error: Annotated[float, Field(ge=0, le=1)] = 0.0
    """p of the depolarising channel (1-p) rho + p I/4 after every gate on two qubits."""
    readout_error: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Probability that a measured bit is read as its opposite."""
    scale: Annotated[float, Field(ge=0)] = 1.0
    """Multiplies the three errors, so that a device's may be a factor as a whole; 0: a device without errors."""
    trajectories: Annotated[int, Field(ge=1)] = 16
    """Runs with Pauli errors of their own behind each expectation; without gate errors they would all be the same, and there is one."""
    gradient: Literal["exact-backward", "parameter-shift"] = "exact-backward"
    """From the expectations that were sampled, `exact-backward`, or from shots of its own at angles shifted by +-pi/2, as a device does."""

    @property
    def gate_errors(self) -> bool:
        """Whether any gate can fail."""
        return self.scale > 0 and (self.one_qubit_error > 0 or self.two_qubit_error > 0)

    @property
    def errors(self) -> tuple[float, float, float]:
        """Those of gates on one and two qubits and of readout, scaled."""
        return self.scale * self.one_qubit_error, self.scale * self.two_qubit_error, self.scale * self.readout_error


class QuantumHead(Settings):
    """The paper's head: E encoders, merge, N re-uploads and PQC 2, <Z> of the measured qubit, linear layer (paper.md, "Quantum head")."""

    kind: Literal["quantum"] = "quantum"
    qubits: Annotated[int, Field(ge=2, le=46)] = 8
    encoder: Literal["circuit", "untrained", "linear", "pca"] = "circuit"
    """What turns an embedding into Q numbers: the paper's circuit, or a control. `untrained`: the circuit at random angles that stay as
    they are; `linear`: a trained linear map of the unit embedding; `pca`: its first Q principal components, between -1 and 1."""
    second_module: bool = True
    """Without it, the linear layer reads the merged outputs of the encoders."""
    entangling: bool = True
    """Without it, no circuit has a CNOT, so that qubits never meet after the embedding is loaded."""
    reduction: Literal["none", "pca", "truncate", "projection"] = "none"
    """What brings an embedding longer than 2**qubits down to that length; shorter ones are padded with zeros."""
    constant: bool = False
    """Append a constant before normalising, which gives the even amplitude-encoded head its linear terms back."""
    encoders: Annotated[int, Field(ge=1)] = 1
    """E, the number of parallel encoders."""
    encoder_layers: Annotated[int, Field(ge=0)] = 2
    connectivity: Annotated[int, Field(ge=1)] = 1
    """C: rings of distance 1..C."""
    reuploads: Annotated[int, Field(ge=0)] = 2
    """N, the number of re-uploading blocks [angle encoding, PQC 1]; PQC 2 follows them. With 0 nothing is measured in between: PQC 2 goes
    on from an encoder's state, and outputs are merged after it."""
    layers: Annotated[int, Field(ge=0)] = 2
    """Layers of each PQC in the second module."""
    merge: Literal["mean", "concatenate", "blocks"] = "mean"
    """How E outputs become the angles: their mean; one after the other over more qubits; or encoder e feeding block e mod E."""
    angle_scale: float | Literal["pi"] = "pi"
    """What an encoder's output in [-1, 1] is multiplied by to make an angle."""
    share_blocks: bool = False
    """Whether the N re-uploading blocks share the angles of one PQC 1."""
    reading: Literal["A", "B"] = "A"
    """Which reading of the paper's PQC: A has Q(CL+1) angles, B one more ring set before the RY column, Q(C(L+1)+1)."""
    measured: Annotated[int, Field(ge=1)] = 1
    """Q_m: qubits 0..Q_m-1 of the second module are measured."""
    initial_angles: Annotated[float, Field(gt=0)] = 0.1
    """Angles start uniform in [-initial_angles, initial_angles] (radians)."""
    noise: Noise = Noise()
    """Shots and errors of the second module; the encoders are always simulated exactly."""


class LogisticHead(Settings):
    """Logistic regression on the embedding."""

    kind: Literal["logistic"]
    C: Annotated[float, Field(gt=0)] = 1.0


class SvcHead(Settings):
    """Support vector classifier with an RBF kernel on the embedding."""

    kind: Literal["svc"]
    C: Annotated[float, Field(gt=0)] = 1.0


class FourierHead(Settings):
    """Logistic regression on random Fourier features of an RBF kernel (Rahimi and Recht 2007): as many parameters as one likes."""

    kind: Literal["fourier"]
    features: Annotated[int, Field(ge=1)] = 885
    """With the bias, 886 parameters: those of the paper's best head."""
    gamma: Annotated[float, Field(gt=0)] = 1.0
    """Of the kernel exp(-gamma |x - y|^2)."""
    C: Annotated[float, Field(gt=0)] = 1.0


class MlpHead(Settings):
    """Multi-layer perceptron with one hidden layer (0: none), trained like the quantum head."""

    kind: Literal["mlp"]
    hidden: Annotated[int, Field(ge=0)] = 48
    components: Annotated[int, Field(ge=0)] = 0
    """Principal components of the training embeddings that it reads; 0: the embedding itself."""


class QuadraticHead(Settings):
    """What a quantum head computes, without a circuit: quadratic forms of low rank, a Fourier series in each, and a linear layer.

    An encoder's outputs are quadratic forms of the unit embedding, and the second module is a trigonometric polynomial in them
    (paper.md, "Quantum head").
    """

    kind: Literal["quadratic"]
    components: Annotated[int, Field(ge=1)] = 32
    """Principal components of the training embeddings that it reads."""
    forms: Annotated[int, Field(ge=1)] = 12
    rank: Annotated[int, Field(ge=1)] = 2
    """Of each form: so many squares of linear functions, their signs in turn plus and minus."""
    frequencies: Annotated[int, Field(ge=0)] = 2
    """Highest frequency of the Fourier series; 0: the linear layer reads the forms themselves."""


def _kind(given: object) -> object:
    return given.get("kind", "quantum") if isinstance(given, dict) else getattr(given, "kind", None)


Head = Annotated[
    Annotated[QuantumHead, Tag("quantum")]
    | Annotated[LogisticHead, Tag("logistic")]
    | Annotated[SvcHead, Tag("svc")]
    | Annotated[FourierHead, Tag("fourier")]
    | Annotated[MlpHead, Tag("mlp")]
    | Annotated[QuadraticHead, Tag("quadratic")],
    Discriminator(_kind),
]
"""Any head; one without `kind` is quantum."""
CLOSED_FORM = (LogisticHead, SvcHead, FourierHead)
"""The heads that are fitted in one go, not trained by gradient."""


class Training(Settings):
    """How a head is trained by gradient: Adam on the cross-entropy (paper.md, "Quantum head")."""

    epochs: Annotated[int, Field(ge=1)] = 30
    batch: Annotated[int, Field(ge=1)] = 16
    lr: Annotated[float, Field(gt=0)] = 0.01
    weight_decay: Annotated[float, Field(ge=0)] = 0.0


class Mpi(Settings):
    """How many MPI processes train a trial together, where one is not enough (docs/mpi.md)."""

    ranks: PowerOfTwo | Literal["auto"] = "auto"
    """Processes in all, `shards` for each group of them; `auto`: as many as the memory that each may take makes necessary."""
    shards: PowerOfTwo | Literal["auto"] = "auto"
    """Ranks that share a state, each holding a shard; groups of so many share out a batch. `auto`: as few as memory allows."""


class TrialSettings(Settings):
    """Every setting that a trial's result depends on, apart from the seeds."""

    data: Data = Data()
    sentence_encoder: SentenceEncoder = SentenceEncoder()
    head: Head = QuantumHead()
    training: Training = Training()
    simulator: Literal[
        "auto",
        "compiled",
        "triton",
        "fused",
        "torch",
        "custatevec",
        "sharded",
        "default.qubit",
        "lightning.qubit",
        "lightning.kokkos",
        "lightning.gpu",
    ] = "auto"
    """`auto`, one of our own (`compiled`, `triton`, `fused`, `torch`, `custatevec`, `sharded`), or a PennyLane device."""
    mpi: Mpi = Mpi()
    precision: Literal["float32", "float64"] = "float32"
    """Of amplitudes, angles and parameters."""


class Trial(Settings):
    """One row x split, as written to `trial.json`: what is trained, retried and tracked."""

    key: str
    arm: str
    """What is compared: `r07` for row 7 of the design, or a baseline's name."""
    candidate: int | None = None
    """Which of the settings that the arm may choose from, counted from 0; None where there is nothing to choose."""
    fold: Fold | None = None
    """Given, the trial is part of a cross-validation inside the drawn sentences, and sees no test sentence."""
    settings: TrialSettings
    data_hash: str
    sentence_encoder_hash: str
    split: int
    split_seed: int
    """Seeds the draw of train, validation and test."""
    seed: int
    """Seeds initial parameters and batch order."""
    replicate: int = 0
    """Tells apart rows of the design with the same settings."""
    factors: dict[str, float | int | str | bool] = {}
    """The row's factor values by dotted path, for the tables; empty for a baseline."""

    @property
    def digest(self) -> str:
        """The hash at the end of the key: the trial's identity, whatever number its row has."""
        return self.key.rsplit("-", 1)[-1]
