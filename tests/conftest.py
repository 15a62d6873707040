"""What all tests share: a clean environment, a cache of their own, who runs beside whom, and that nothing but GPUs is missing in CI.

`make test` runs two files of tests at once, and then, one by one, tests that hold something against the clock: those marked `alone`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hadamard.model.simulators.hardware import gpu_in_sight

if not gpu_in_sight():  # Triton reads this once, when it is imported
    os.environ["TRITON_INTERPRET"] = "1"
# Of a test's own process; threads that wait for a core which another test has cost more than they gain.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

ROOT = Path(__file__).resolve().parent.parent
SLURM_TESTS = ROOT / "tests" / "slurm_lab"
LONGEST = ("test_interrupts.py", "test_losses.py", "test_budgets.py")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "alone: holds something against the clock")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In processes of pytest-xdist, what takes longest begins first."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (item.path.name not in LONGEST, not item.get_closest_marker("slow")))


@pytest.fixture(scope="session")
def embedding_cache(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """A cache for each process of the run, and for all of them one place of embeddings: the tests share their few corpora."""
    cache, base = tmp_path_factory.mktemp("cache"), tmp_path_factory.getbasetemp()
    common = (base.parent if hasattr(pytestconfig, "workerinput") else base) / "embeddings"
    common.mkdir(exist_ok=True)
    (cache / "embeddings").symlink_to(common)
    return cache


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, embedding_cache: Path) -> None:
    """Keep the user's settings out of the tests, and the tests out of the user's directories."""
    for name in list(os.environ):
        if name.startswith(("SLURM_", "HADAMARD_", "MLFLOW_", "RAY_")) and name != "HADAMARD_SST2":
            monkeypatch.delenv(name)
    monkeypatch.setenv("HADAMARD_CACHE", str(embedding_cache))
    shutil.rmtree(embedding_cache / "rates", ignore_errors=True)  # what one test's runs teach is not for the next one
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.fixture
def double_precision() -> Iterator[None]:
    """PennyLane rounds an adjoint device's numbers to torch's default precision, whatever the precision of the angles."""
    import torch  # most tests need no second of it

    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Run tests/slurm_lab only where it is named: it brings up a cluster, and wants `-n 4`."""
    if collection_path != SLURM_TESTS:
        return None
    named = [Path(word.partition("::")[0]).resolve() for word in config.args]
    return None if any(SLURM_TESTS in (path, *path.parents) for path in named) else True


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """In CI a skipped test is a failure: there every component is installed, though no GPU, and it may not be root."""
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    excused = hasattr(report, "wasxfail") or any(lack in str(report.longrepr) for lack in ("needs a GPU", "needs root", "refused here"))
    if report.skipped and os.environ.get("CI") == "true" and not excused:
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be: {report.longrepr}"
