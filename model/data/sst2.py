"""SST-2: from a path, from the one in an environment variable, or else from the Hugging Face hub, its local cache first."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from hadamard.model.data.base import Entry, FileFormat, Malformed, NamedCorpus, Record, Source, excerpt, lines_of
from hadamard.model.data.formats import files_at, read_files
from hadamard.model.errors import DataError
from hadamard.model.settings import Data

VARIABLE = "HADAMARD_SST2"
HUB_NAME = "SetFit/sst2"
HUB_REVISION = "00ea8ccb7a54b4e3780a3e51aa3f80361ff849c0"
HUB_FILES = ("train.jsonl", "dev.jsonl", "test.jsonl")
HUB_TIMEOUT_S = 5.0


def find(data: Data) -> Source:
    """Return where SST-2 comes from.

    Raises:
        DataError: There is nothing at the path that is given.
    """
    if data.path is not None:
        return files_at(Path(data.path), data.name, "data.path")
    if path := os.environ.get(VARIABLE):
        return files_at(Path(path), data.name, f"environment variable {VARIABLE}")
    from huggingface_hub import constants

    return Source(
        f"sst2 from {HUB_NAME} on the Hugging Face hub",
        Path(constants.HF_HUB_CACHE),
        lambda: read_files(HUB_FORMAT, map(_hub_file, HUB_FILES)),
    )


def _read_json_lines(file: Path) -> Iterator[Entry]:
    for number, line in enumerate(lines_of(file), 1):
        yield _entry(f"{file}:{number}", line)


def _entry(location: str, line: bytes) -> Entry:
    try:
        record = json.loads(line)
        return Record(location, str(record["text"]), str(record["label"]))
    except UnicodeDecodeError:
        return Malformed(location, f"not valid UTF-8: {excerpt(line)}")
    except (ValueError, KeyError, TypeError):
        return Malformed(location, f"no text and label: {excerpt(line)}")


def _hub_file(name: str) -> Path:
    """Find a file of the hub's SST-2 in the local cache, or download it."""
    from huggingface_hub import HfApi, hf_hub_download

    def fetch(local: bool) -> Path:
        path = hf_hub_download(
            HUB_NAME, name, repo_type="dataset", revision=HUB_REVISION, etag_timeout=HUB_TIMEOUT_S, local_files_only=local
        )
        return Path(path)

    try:
        return fetch(local=True)
    except OSError:
        pass  # not in the cache: the normal case on first use
    try:
        if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
            raise ConnectionError("HF_HUB_OFFLINE is set")
        # One question without retries: where there is no network, a download would retry for a minute.
        HfApi().dataset_info(HUB_NAME, revision=HUB_REVISION, timeout=HUB_TIMEOUT_S)
        return fetch(local=False)
    except Exception as error:  # The hub's client lets the errors of its HTTP library through.
        raise DataError(
            "data.name is 'sst2', but there are no such sentences here: data.path is not set, the environment variable "
            f"{VARIABLE} is not set, and {HUB_NAME} is not in the cache of the Hugging Face hub, nor could it be downloaded "
            f"({type(error).__name__}: {error}). Give the path of a file, or of a directory of files, by one of the first two, "
            "or run `hadamard fetch STUDY` where there is a network, on a cluster's login node."
        ) from error


HUB_FORMAT = FileFormat(".jsonl", "an object with text and label in each line", _read_json_lines)
SST2 = NamedCorpus("sst2", find)
