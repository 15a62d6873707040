"""Embeddings of a corpus: computed once per (data hash, encoder hash), kept in a cache, shared by memory map.

Owns the cache and the encoding run (`python -m model.embeddings`). Does not own where corpora and encoders come from.
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model import text
from model.errors import EXIT_USER_ERROR, UserError
from model.journal import locked, why_not_writable, write_atomically
from model.sentence_encoders import LocatedSentenceEncoder, locate
from model.settings import TrialSettings

Embeddings = npt.NDArray[np.float32]


def cache_directory() -> Path:
    """Return the directory of cached embeddings: $HADAMARD_CACHE, else hadamard/ in the user's cache directory."""
    base = os.environ.get("HADAMARD_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hadamard"


def cached_file(data_hash: str, sentence_encoder_hash: str) -> Path:
    """Return where the embeddings of this corpus by this encoder are kept."""
    return cache_directory() / "embeddings" / f"{data_hash[:16]}-{sentence_encoder_hash[:16]}.npy"


def load(data_hash: str, sentence_encoder_hash: str) -> Embeddings:
    """Return the cached embeddings [sentences, dimension] as a memory map that all processes of the node share; not to be written to."""
    # copy on write: torch warns of every array that it could not write to
    mapped: Embeddings = np.load(cached_file(data_hash, sentence_encoder_hash), mmap_mode="c")
    return mapped


def check_cache() -> None:
    """Raise a UserError unless the cache can be written."""
    if why := why_not_writable(cache_directory()):
        raise UserError(f"the embedding cache {cache_directory()} cannot be written: {why}. Set HADAMARD_CACHE to another directory")


def ensure(corpus: text.Corpus, encoder: LocatedSentenceEncoder, threads: int) -> Path:
    """Compute the embeddings unless they are cached; two processes asking at once compute them once, where files can be locked."""
    path = cached_file(corpus.hash, encoder.hash)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path.with_suffix(".lock"), "w") as lock:
        locked(lock, wait=True)
        if not path.exists():
            buffer = io.BytesIO()
            np.save(buffer, _encode(corpus.texts, encoder, threads))
            write_atomically(path, buffer.getvalue())
    return path


def _encode(texts: tuple[str, ...], encoder: LocatedSentenceEncoder, threads: int) -> Embeddings:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # the model is on disk; without this every load asks the hub for news
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(threads)
    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model = SentenceTransformer(str(encoder.directory))
    encoded: Embeddings = model.encode(list(texts), batch_size=64, convert_to_numpy=True, show_progress_bar=sys.stderr.isatty())
    if encoded.shape[1] != encoder.dimension:
        raise AssertionError(f"{encoder.directory} describes {encoder.dimension} dimensions but gave {encoded.shape[1]}")
    return encoded.astype(np.float32)


def main() -> None:
    """Compute what a trial's settings need: `python -m model.embeddings SETTINGS_JSON THREADS`."""
    settings = TrialSettings.model_validate_json(sys.argv[1])
    try:
        ensure(text.load(settings.data), locate(settings.sentence_encoder.name), int(sys.argv[2]))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)


if __name__ == "__main__":
    main()
