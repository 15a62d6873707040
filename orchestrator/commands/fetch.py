"""`hadamard fetch`: put the inputs of a study's jobs where nodes without a network find them, and say where that is."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from hadamard.cluster.allocation import detect
from hadamard.cluster.file_systems import is_shared, kind
from hadamard.model.data.sources import find
from hadamard.model.representation import embeddings
from hadamard.model.trial import TrialSettings
from hadamard.orchestrator.execution.driver import check_cache, embed
from hadamard.orchestrator.study.expansion import read_plan
from hadamard.orchestrator.study.inputs import inputs_of

OFFLINE = "HF_HUB_OFFLINE"


def fetch_study(path: Path, overrides: Sequence[str]) -> None:
    """Fetch corpus and sentence encoder of a study's trials, compute the embeddings that are missing, and say where everything lies.

    Raises:
        UserError: The study is not valid, something is nowhere to be had, or the cache cannot be written.
    """
    console = Console(highlight=False, markup=False, soft_wrap=True)
    plan = read_plan(path, overrides)  # finds what the trials read, on the hub if need be
    check_cache(plan.trials)
    embed(plan.trials, detect(), console)
    doubtful = False
    for what, place in dict.fromkeys(place for trial in plan.trials for place in places(trial.settings)):
        word, shared = where(place)
        doubtful |= not shared
        console.print(f"{what:<17} {place}  ({word})")
    for line in verdict(doubtful, path, os.environ):
        console.print(line)


def places(settings: TrialSettings) -> Iterator[tuple[str, Path]]:
    """Yield what a trial of these settings reads, in words, and where that lies."""
    inputs = inputs_of(settings)
    if (corpus := find(settings.data).path) is not None:
        yield "corpus", corpus.absolute()
    yield "sentence encoder", inputs.sentence_encoder.directory.absolute()
    if settings.sentence_encoder.representation != "setfit":  # what is tuned on a split is embedded by the first to train on it
        yield "embeddings", embeddings.cached_file(inputs.corpus.hash, inputs.sentence_encoder.hash).absolute()


def where(place: Path) -> tuple[str, bool]:
    """Return in words who sees a place, and whether other nodes of a cluster do, as far as the kind of its file system tells."""
    file_system = kind(place)
    if is_shared(file_system):
        return f"{file_system}, which nodes share", True
    return f"{file_system}, a file system of this machine", False


def verdict(doubtful: bool, study: Path, environment: Mapping[str, str]) -> list[str]:
    """Return what follows for the jobs.

    Args:
        doubtful: Whether something lies where perhaps only this machine sees it.
        study: The study file.
        environment: What decides where caches are.
    """
    lines = [f"{OFFLINE}=1 hadamard run {shlex.quote(str(study))}   needs no network where these paths are the same"]
    if doubtful:
        lines.append(
            "a compute node finds what lies on a file system of this machine only if it has the same at the same path; "
            "if not, fetch again with the caches on a shared one:"
        )
        lines.append("  export HADAMARD_CACHE=/shared/hadamard HF_HOME=/shared/huggingface     here, and in the site profile")
    named = {name: environment[name] for name in ("HADAMARD_CACHE", "HF_HOME") if name in environment}
    if named:
        lines.append(f"jobs must have the same {' and '.join(f'{name}={value}' for name, value in named.items())}; sbatch passes it on")
    return lines
