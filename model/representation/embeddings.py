"""Embeddings of a corpus, cached on disk and memory-mapped: one file per sentence encoder, and one per tuning of it on a split.

Run as a program, it computes what a study needs: `python -m hadamard.model.representation.embeddings SETTINGS_JSON THREADS`.
Encoders are found in sentence_encoders.py and tuned in contrastive.py.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from hadamard.model.data.corpus import Corpus, load_corpus
from hadamard.model.data.splits import Split
from hadamard.model.errors import EXIT_USER_ERROR, StopRequest, UserError
from hadamard.model.files.atomic import locked, open_lock, why_not_writable, write_atomically
from hadamard.model.representation.sentence_encoders import LocatedSentenceEncoder, load_encoder, locate
from hadamard.model.settings import Tuning
from hadamard.model.trial import Trial, TrialSettings

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

Embeddings = npt.NDArray[np.float32]
TUNING_VERSION = 1
"""Raised when a change of the code changes the result of tuning: cached files and trials of before are then not found."""
STOP_CHECK_SENTENCES = 1000
"""Sentences encoded between two checks of a stop request: seconds on a core."""
LOST_LOCK_S = 3600.0
"""Longer than embedding or tuning takes: a lock held for longer is that of a lost node, and computing twice does no harm."""


def cache_directory() -> Path:
    """Return the directory of cached embeddings: $HADAMARD_CACHE, else hadamard/ in the user's cache directory."""
    base = os.environ.get("HADAMARD_CACHE")
    return Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hadamard"


def cached_file(data_hash: str, sentence_encoder_hash: str) -> Path:
    """Return the cache file of this corpus's embeddings by this encoder."""
    return cache_directory() / "embeddings" / f"{data_hash[:16]}-{sentence_encoder_hash[:16]}.npy"


def tuned_file(trial: Trial) -> Path:
    """Return the cache file of the embeddings by the sentence encoder that was tuned on this trial's training set."""
    data, fold = trial.settings.data, trial.fold
    split = [data.train_per_class, data.validation_fraction, trial.split_seed, fold.model_dump() if fold else None]
    identity = json.dumps([TUNING_VERSION, trial.settings.sentence_encoder.tuning.model_dump(), split], sort_keys=True)
    untuned = cached_file(trial.data_hash, trial.sentence_encoder_hash)
    return untuned.with_name(f"{untuned.stem}-setfit-{hashlib.sha256(identity.encode()).hexdigest()[:16]}.npy")


def load(file: Path) -> Embeddings:
    """Return cached embeddings [sentences, dimension] as a read-only memory map, shared by all processes of the node."""
    mapped: Embeddings = np.load(file, mmap_mode="c")  # copy on write: torch warns of every array that it could not write to
    return mapped


def check_cache() -> None:
    """Raise a UserError unless the cache can be written."""
    if why := why_not_writable(cache_directory()):
        raise UserError(f"the embedding cache {cache_directory()} cannot be written: {why}. Set HADAMARD_CACHE to another directory")


def ensure(corpus: Corpus, encoder: LocatedSentenceEncoder) -> Path:
    """Compute the embeddings by the encoder as it is, unless they are cached; return the cache file."""

    def compute() -> Embeddings:
        embeddings = encode(load_encoder(encoder.directory), corpus.texts)
        if embeddings.shape[1] != encoder.dimension:
            raise AssertionError(f"{encoder.directory} describes {encoder.dimension} dimensions but gave {embeddings.shape[1]}")
        return embeddings

    return compute_once(cached_file(corpus.hash, encoder.hash), compute)


def ensure_tuned(trial: Trial, corpus: Corpus, split: Split, should_stop: Callable[[], bool]) -> Path:
    """Tune the sentence encoder on a trial's training set and embed with it, unless that is cached; return the cache file.

    Args:
        trial: Any of those that share split or fold, and the settings of the tuning.
        corpus: Of the trial.
        split: Of the trial. Sentences in none of its sets are not embedded: their rows are NaN.
        should_stop: Checked between the steps of tuning.

    Raises:
        StopRequest: A stop was requested; the next call starts again.
    """

    def compute() -> Embeddings:
        from hadamard.model.representation.contrastive import tune

        settings = trial.settings.sentence_encoder
        texts = [corpus.texts[row] for row in split.train]
        located = locate(settings.name)
        encoder = tune(located.directory, texts, corpus.labels[split.train], settings.tuning, trial.split_seed, should_stop)
        rows = np.sort(np.concatenate([split.train, split.validation, split.test]))
        embeddings = np.full((len(corpus.texts), located.dimension), np.nan, np.float32)
        for chunk in np.array_split(rows, max(1, len(rows) // STOP_CHECK_SENTENCES)):
            if should_stop():
                raise StopRequest
            embeddings[chunk] = encode(encoder, [corpus.texts[row] for row in chunk], settings.tuning)
        return embeddings

    return compute_once(tuned_file(trial), compute, should_stop)


def tuned_elsewhere(trial: Trial) -> bool:
    """Whether another process is tuning this trial's sentence encoder right now: other trials should be trained first."""
    if trial.settings.sentence_encoder.representation != "setfit" or (file := tuned_file(trial)).exists():
        return False
    try:
        with open(file.with_suffix(".lock")) as lock:
            return not locked(lock, wait=False)
    except FileNotFoundError:
        return False


def compute_once(
    file: Path,
    compute: Callable[[], Embeddings],
    should_stop: Callable[[], bool] = lambda: False,
    lost_lock_s: float = LOST_LOCK_S,
    poll_s: float = 0.5,
) -> Path:
    """Write a computed array to a file unless the file exists; of several processes one computes, where files can be locked.

    Args:
        file: The .npy file; the lock is beside it.
        compute: Returns the array.
        should_stop: Checked while another process computes.
        lost_lock_s: A lock held for so long is ignored.
        poll_s: Seconds between two looks at the lock.

    Raises:
        StopRequest: A stop was requested while another process computed.
    """
    if file.exists():
        return file
    file.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + lost_lock_s
    with open_lock(file.with_suffix(".lock")) as lock:
        while not locked(lock, wait=False) and not file.exists() and time.monotonic() < deadline:
            if should_stop():
                raise StopRequest
            time.sleep(poll_s)
        if not file.exists():
            buffer = io.BytesIO()
            np.save(buffer, compute())
            write_atomically(file, buffer.getvalue())
    return file


def encode(encoder: SentenceTransformer, texts: Sequence[str], tuning: Tuning | None = None) -> Embeddings:
    """Return embeddings [texts, dimension], computed in float32 or, by a tuned encoder, in the precision of its tuning."""
    import torch

    with torch.autocast(encoder.device.type, torch.bfloat16, enabled=tuning is not None and tuning.precision == "bfloat16"):
        encoded: Embeddings = encoder.encode(list(texts), batch_size=64, convert_to_numpy=True, show_progress_bar=sys.stderr.isatty())
    return encoded.astype(np.float32)


def main() -> None:
    """Compute the embeddings that a trial of the given settings reads."""
    import torch

    settings, threads = TrialSettings.model_validate_json(sys.argv[1]), int(sys.argv[2])
    torch.set_num_threads(threads)
    try:
        ensure(load_corpus(settings.data), locate(settings.sentence_encoder.name))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_USER_ERROR)


if __name__ == "__main__":
    main()
