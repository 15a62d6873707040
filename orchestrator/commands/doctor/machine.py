"""What this machine has: packages, simulators, GPUs, energy counters.

Owns these checks and their wording. Does not own where files are, nor Slurm.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator

from hadamard.cluster.allocation import detect
from hadamard.cluster.energy.choice import open_meter, why_not_measured
from hadamard.model.simulators import ADJOINT_DEVICES, gpu_in_sight
from hadamard.orchestrator.commands.doctor.finding import Finding, in_own_process


def findings() -> Iterator[Finding]:
    """Yield each finding as soon as it is known."""
    for check in (_python, _allocation, _torch, _compiled, _gpu, _ray, _mlflow, _energy):
        yield check()
    if gpu_in_sight():
        yield _custatevec()
    yield from _devices()


def _python() -> Finding:
    return Finding("Python", sys.version_info >= (3, 11), f"{platform.python_version()} at {sys.executable}", "use Python 3.11 or newer")


def _allocation() -> Finding:
    return Finding("resources", True, detect().description)


def _torch() -> Finding:
    code = "import torch; print(torch.__version__, 'CUDA', torch.version.cuda, torch.cuda.device_count(), 'devices')"
    return in_own_process("torch", code, "pip install torch")


def _ray() -> Finding:
    # amdsmi, which zeus asks for, breaks `import ray` where ROCm is not installed
    broken = importlib.util.find_spec("amdsmi") is not None
    remedy = "pip uninstall amdsmi: without ROCm it makes `import ray` fail" if broken else "pip install 'ray[default,tune]'"
    return in_own_process("Ray", "import ray; print(ray.__version__)", remedy)


def _mlflow() -> Finding:
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    return Finding(
        "MLflow",
        True,
        f"{importlib.metadata.version('mlflow')}, {uri or 'sqlite file beside the studies (set MLFLOW_TRACKING_URI for a server)'}",
    )


def _energy() -> Finding:
    remedy = "trials run all the same; their energy is reported as not measured"
    if missing := why_not_measured():
        return Finding("energy", False, missing, remedy)
    meter = open_meter()
    if meter is None:
        return Finding("energy", False, "there are counters, and none of them can be read", remedy)
    counted = [f"{count} x {scope}" for scope, count in Counter(counter.scope for counter in meter.counters).items()]
    return Finding("energy", True, f"{meter.method}: {', '.join(counted)}")


def _compiled() -> Finding:
    return in_own_process(
        "compiled",
        "from hadamard.model.simulators.compiled import native; print(f'our compiled simulator, {8 * native.vector_bytes}-bit vectors')",
        "real circuits run on `fused`, which is far slower; install a C++ compiler (g++ or clang++) and run `make install` again",
    )


def _gpu() -> Finding:
    if not gpu_in_sight():
        return Finding("GPU", False, "none in sight", "simulators run on the CPU; inside a Slurm job ask for one with --gpus-per-node")
    return in_own_process(
        "GPU",
        "import torch, triton; print(torch.cuda.get_device_name(), 'with torch', torch.__version__, 'and triton', triton.__version__)",
        "install a build of torch for this GPU, and triton; `simulator: triton` and `fused` then run on it",
    )


def _custatevec() -> Finding:
    return in_own_process(
        "custatevec",
        "from hadamard.model.simulators.custatevec.library import open_library; open_library()\n"
        "import cuquantum; print('cuquantum-python', cuquantum.__version__)",
        "pip install 'hadamard[gpu]', or 'hadamard[gpu-cuda13]' for a torch with CUDA 13; only `simulator: custatevec` needs it",
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
