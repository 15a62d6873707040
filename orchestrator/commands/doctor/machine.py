"""What this machine has: packages, simulators, GPUs, energy counters."""

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
from hadamard.model.simulators.hardware import gpu_in_sight
from hadamard.model.simulators.registry import SIMULATORS
from hadamard.orchestrator.commands.doctor.check import LONGEST, Check, check, in_own_process, reason
from hadamard.orchestrator.tracking.address import without_password


def checks() -> Iterator[Check]:
    """Yield each check as soon as it is made."""
    for look in (_python, _allocation, _torch, _gpu, _ray, _mlflow, _energy):
        yield look()
    yield from _simulators()


def _python() -> Check:
    return check("Python", sys.version_info >= (3, 11), f"{platform.python_version()} at {sys.executable}", "use Python 3.11 or newer")


def _allocation() -> Check:
    return check("resources", True, detect().description)


def _torch() -> Check:
    code = "import torch; print(torch.__version__, 'CUDA', torch.version.cuda, torch.cuda.device_count(), 'devices')"
    return in_own_process("torch", code, "pip install torch")


def _ray() -> Check:
    # amdsmi, which zeus asks for, breaks `import ray` where ROCm is not installed
    broken = importlib.util.find_spec("amdsmi") is not None
    fix = "pip uninstall amdsmi: without ROCm it makes `import ray` fail" if broken else "pip install 'ray[default,tune]'"
    return in_own_process("Ray", "import ray; print(ray.__version__)", fix)


def _mlflow() -> Check:
    uri = without_password(os.environ.get("MLFLOW_TRACKING_URI", ""))
    return check(
        "MLflow",
        True,
        f"{importlib.metadata.version('mlflow')}, {uri or 'sqlite file beside the studies (set MLFLOW_TRACKING_URI for a server)'}",
    )


def _energy() -> Check:
    fix = "trials run all the same; their energy is reported as not measured"
    if missing := why_not_measured():
        return check("energy", False, missing, fix)
    meter = open_meter()
    if meter is None:
        return check("energy", False, "there are counters, and none of them can be read", fix)
    counted = [f"{count} x {scope}" for scope, count in Counter(counter.scope for counter in meter.counters).items()]
    return check("energy", True, f"{meter.method}: {', '.join(counted)}")


def _gpu() -> Check:
    if not gpu_in_sight():
        return check("GPU", False, "none in sight", "simulators run on the CPU; inside a Slurm job ask for one with --gpus-per-node")
    return in_own_process(
        "GPU",
        "import torch, triton; print(torch.cuda.get_device_name(), 'with torch', torch.__version__, 'and triton', triton.__version__)",
        "install a build of torch for this GPU, and triton; `simulator: triton` and `fused` then run on it",
    )


def _simulators() -> Iterator[Check]:
    """Open every simulator in a process of its own; those that need a GPU are left out where there is none."""
    names = [name for name, kind in SIMULATORS.items() if kind.gpu != "needed" or gpu_in_sight()]
    code = f"""
from hadamard.model.simulators.registry import open_simulator
for name in {names}:
    try:
        print(name, "yes", open_simulator(name).description)
    except Exception as error:
        print(name, "no", str(error).splitlines()[0][:{LONGEST}])
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True)
    answers = {name: rest for name, _, rest in (line.partition(" ") for line in done.stdout.splitlines())}
    for name in names:  # one that ends the process leaves those after it without an answer
        ok, _, seen = answers.get(name, f"no {reason(done.stderr)}").partition(" ")
        yield check(name, ok == "yes", seen, SIMULATORS[name].fix or "`simulator: auto` needs nothing more")
