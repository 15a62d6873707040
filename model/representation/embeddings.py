"""Embeddings of a corpus, kept in a cache and shared by memory map: one file for each sentence encoder, and one for each tuned on a split.

Owns the cache and the encoding run (`python -m hadamard.model.representation.embeddings`). Does not own where corpora and
encoders come from, nor the tuning.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hadamard.model.data import corpus as text
from hadamard.model.errors import EXIT_USER_ERROR, StopRequest, UserError
from hadamard.model.files.atomic import locked, why_not_writable, write_atomically
from hadamard.model.representation.sentence_encoders import LocatedSentenceEncoder, locate
from hadamard.model.settings import Tuning
from hadamard.model.trial import Trial, TrialSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Embeddings = npt.NDArray[np.float32]
TUNING_VERSION = 1
"""Raised when a change of the code changes what tuning gives: what the cache and ledgers hold of before is then not found."""
ENCODED_AT_ONCE = 1000
"""Sentences between two looks whether to stop: seconds on a core."""
LOST_LOCK_S = 3600.0
"""Longer than embedding or tuning takes: the lock is then that of a node that was lost, and computing twice does no harm."""


def cache_directory() -> Path:
    """Return the directory of cached embeddings: $HADAMARD_CACHE, else hadamard/ in the user's cache directory."""
    base = os.environ.get("HADAMARD_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hadamard"


def cached_file(data_hash: str, sentence_encoder_hash: str) -> Path:
    """Return where the embeddings of this corpus by this encoder are kept."""
    return cache_directory() / "embeddings" / f"{data_hash[:16]}-{sentence_encoder_hash[:16]}.npy"


def tuned_file(trial: Trial) -> Path:
    """Return where the embeddings by the sentence encoder are kept that was tuned on the training side of this trial."""
    data, fold = trial.settings.data, trial.fold
    drawn = [data.train_per_class, data.validation_fraction, trial.split_seed, fold.model_dump() if fold else None]
    how = json.dumps([TUNING_VERSION, trial.settings.sentence_encoder.tuning.model_dump(), drawn], sort_keys=True)
    untuned = cached_file(trial.data_hash, trial.sentence_encoder_hash)
    return untuned.with_name(f"{untuned.stem}-setfit-{hashlib.sha256(how.encode()).hexdigest()[:16]}.npy")


def load(file: Path) -> Embeddings:
    """Return cached embeddings [sentences, dimension] as a memory map that all processes of the node share; not to be written to."""
    mapped: Embeddings = np.load(file, mmap_mode="c")  # copy on write: torch warns of every array that it could not write to
    return mapped


def check_cache() -> None:
    """Raise a UserError unless the cache can be written."""
    if why := why_not_writable(cache_directory()):
        raise UserError(f"the embedding cache {cache_directory()} cannot be written: {why}. Set HADAMARD_CACHE to another directory")


def ensure(corpus: text.Corpus, encoder: LocatedSentenceEncoder, threads: int) -> Path:
    """Compute the embeddings of the encoder as it is unless they are cached; return their file."""

    def compute() -> Embeddings:
        import torch
        from sentence_transformers import SentenceTransformer

        without_network()
        torch.set_num_threads(threads)
        encoded = _encode(SentenceTransformer(str(encoder.directory)), corpus.texts)
        if encoded.shape[1] != encoder.dimension:
            raise AssertionError(f"{encoder.directory} describes {encoder.dimension} dimensions but gave {encoded.shape[1]}")
        return encoded

    return _once(cached_file(corpus.hash, encoder.hash), compute, lambda: False)


def ensure_tuned(trial: Trial, corpus: text.Corpus, split: text.Split, should_stop: Callable[[], bool]) -> Path:
    """Tune the sentence encoder on the training side of a trial's split, and embed by it, unless that is cached; return the file.

    Args:
        trial: Any of those that share the split, or fold, and the way of tuning.
        corpus: What it reads.
        split: Its sides of the corpus. Sentences on none of them are not embedded: their rows hold no numbers.
        should_stop: Asked between the steps of tuning.

    Raises:
        StopRequest: It was told to stop; the next call begins anew.
    """

    def compute() -> Embeddings:
        from hadamard.model.representation import contrastive

        without_network()
        settings = trial.settings.sentence_encoder
        texts = [corpus.texts[row] for row in split.train]
        encoder = locate(settings.name)
        model = contrastive.tuned(encoder.directory, texts, corpus.labels[split.train], settings.tuning, trial.split_seed, should_stop)
        rows = np.sort(np.concatenate([split.train, split.validation, split.test]))
        whole = np.full((len(corpus.texts), encoder.dimension), np.nan, np.float32)
        for some in np.array_split(rows, max(1, len(rows) // ENCODED_AT_ONCE)):
            if should_stop():
                raise StopRequest
            whole[some] = _encode(model, tuple(corpus.texts[row] for row in some), settings.tuning)
        return whole

    return _once(tuned_file(trial), compute, should_stop)


def busy(trial: Trial) -> bool:
    """Whether another process is tuning the sentence encoder that a trial reads by: whoever has other work should do that first."""
    if trial.settings.sentence_encoder.representation != "setfit" or (file := tuned_file(trial)).exists():
        return False
    try:
        with open(file.with_suffix(".lock")) as lock:
            return not locked(lock, wait=False)
    except FileNotFoundError:
        return False


def _once(file: Path, compute: Callable[[], Embeddings], should_stop: Callable[[], bool]) -> Path:
    """Write what is computed unless it is there; two processes asking at once compute it once, where files can be locked.

    Raises:
        StopRequest: It was told to stop while another process computed.
    """
    if file.exists():
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + LOST_LOCK_S
    with open(file.with_suffix(".lock"), "w") as lock:
        while not locked(lock, wait=False) and not file.exists() and time.monotonic() < deadline:
            if should_stop():
                raise StopRequest
            time.sleep(0.5)
        if not file.exists():
            buffer = io.BytesIO()
            np.save(buffer, compute())
            write_atomically(file, buffer.getvalue())
    return file


def without_network() -> None:
    """Keep the model's library, whose files are on disk, from asking the hub for news, and from drawing its loading bar."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import transformers

    transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


def _encode(model: SentenceTransformer, texts: tuple[str, ...], tuning: Tuning | None = None) -> Embeddings:
    """Return embeddings [texts, dimension], in float32 unless by an encoder that was tuned otherwise."""
    import torch

    with torch.autocast(model.device.type, torch.bfloat16, enabled=tuning is not None and tuning.precision == "bfloat16"):
        encoded: Embeddings = model.encode(list(texts), batch_size=64, convert_to_numpy=True, show_progress_bar=sys.stderr.isatty())
    return encoded.astype(np.float32)


def main() -> None:
    """Compute what a trial's settings need: `python -m hadamard.model.representation.embeddings SETTINGS_JSON THREADS`."""
    settings = TrialSettings.model_validate_json(sys.argv[1])
    try:
        ensure(text.load(settings.data), locate(settings.sentence_encoder.name), int(sys.argv[2]))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)


if __name__ == "__main__":
    main()
