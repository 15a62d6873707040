"""The wheel: what is in it, and that it runs in an empty environment, far from a checkout, among a user's own files."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # a build compiles where `make install` has not

FOLDERS = ("orchestrator", "model", "cluster", "slurm", "configs")
NOT_INSTALLED = {".cpp", ".hpp", ".pyc"}


def package_files(root: Path) -> set[str]:
    """Return the files that belong into the package, as paths below `hadamard/`."""
    folders = [path for folder in FOLDERS for path in (root / folder).rglob("*")]
    own = [path for path in (root / "hadamard").iterdir() if not path.is_symlink()]
    files = [path for path in folders if path.is_file()]
    names = [path.relative_to(root).as_posix() for path in files] + [path.name for path in own if path.is_file()]
    return {name for name in names if Path(name).suffix not in NOT_INSTALLED}


def built(source: Path, directory: Path, *options: str) -> Path:
    """Build a wheel without network: what builds it is installed beside the tests."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    done = subprocess.run([*pip, "-w", str(directory), *options, str(source)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = directory.glob("*.whl")
    return wheel


def files_of(wheel: Path) -> set[str]:
    return {name.removeprefix("hadamard/") for name in zipfile.ZipFile(wheel).namelist() if name.startswith("hadamard/")}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of this checkout."""
    return built(ROOT, tmp_path_factory.mktemp("wheel"))


class Installation:
    """The wheel in an environment of its own, and a folder in which a user has files with the names of our packages.

    Libraries come from the environment of the tests; of that one's `.pth` files, which make the checkout importable, none is read.
    """

    def __init__(self, root: Path, wheel: Path, cache: Path) -> None:
        self.environment, self.folder = root / "environment", root / "my project"
        venv.create(self.environment, with_pip=False)
        packages = Path(sysconfig.get_path("purelib", vars={"base": str(self.environment)}))
        subprocess.run(
            [
                sys.executable,
                "-m",
                "pip",
                "-q",
                f"--python={self.environment / 'bin' / 'python'}",
                "install",
                "--no-deps",
                "--no-index",
                str(wheel),
            ],
            check=True,
        )
        (packages / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n{sysconfig.get_path('platlib')}\n")
        self.folder.mkdir()
        (self.folder / "model.py").write_text("raise RuntimeError('this is the user\\'s own model.py')\n")
        for name in ("cluster", "slurm"):
            (self.folder / name).mkdir()
            (self.folder / name / "__init__.py").write_text("raise RuntimeError('this is the user\\'s own package')\n")
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        self.variables["HADAMARD_CACHE"] = str(cache)

    def run(self, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run a program of the environment in the user's folder."""
        command = [str(self.environment / "bin" / words[0]), *words[1:]]
        return subprocess.run(command, cwd=self.folder, env=self.variables | variables, capture_output=True, text=True)

    def output(self, *words: str, **variables: str) -> str:
        done = self.run(*words, **variables)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def installation(wheel: Path, embedding_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installed"), wheel, embedding_cache)


def test_the_wheel_has_every_file_of_the_package_and_the_compiled_simulator(wheel: Path) -> None:
    packed = files_of(wheel)
    native = {name for name in packed if name.startswith("model/simulators/compiled/native.") and name.endswith(".so")}
    assert packed - native == package_files(ROOT)
    assert len(native) == 1, "the kernels were not compiled"


def test_a_wheel_that_is_built_from_the_source_distribution_is_the_same(wheel: Path, tmp_path: Path) -> None:
    build = "import sys; from scikit_build_core.build import build_sdist; build_sdist(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = opened.getnames()
    assert any(name.endswith("CMakeLists.txt") for name in names)
    assert any(name.endswith("kernels/kernels.cpp") for name in names)
    again = built(archive, tmp_path / "again", "--config-settings=wheel.cmake=false")  # compiling is tried by the other one
    assert files_of(again) == {name for name in files_of(wheel) if not name.endswith(".so")}


def test_the_package_comes_from_the_wheel_and_not_from_a_folder_beside(installation: Installation) -> None:
    where = "import hadamard.model, hadamard.cluster, hadamard; print(hadamard.__version__, hadamard.model.__file__)"
    for safe in ({}, {"PYTHONSAFEPATH": "1"}):
        version, file = installation.output("python", "-c", where, **safe).rsplit(maxsplit=1)
        assert version == "0.1.0"
        assert Path(file).is_relative_to(installation.environment)


def test_training_is_started_as_a_module(installation: Installation) -> None:
    for safe in ({}, {"PYTHONSAFEPATH": "1"}):
        done = installation.run("python", "-m", "hadamard.model.train", "no-such-pack", "1", "1", "1", **safe)
        assert done.returncode != 0
        assert "no-such-pack" in done.stderr
        assert "the user's own" not in done.stderr


def test_doctor_finds_the_compiled_simulator(installation: Installation) -> None:
    lines = installation.output("hadamard", "doctor").splitlines()
    assert [line.split()[0] for line in lines if "C++ kernels" in line] == ["yes"], lines


def test_simulators_are_timed_and_energy_has_its_inputs(installation: Installation) -> None:
    assert installation.output("hadamard", "--version").split() == ["hadamard", importlib.metadata.version("hadamard")]
    timed = installation.output("hadamard", "bench", "--qubits", "3", "--simulators", "compiled").splitlines()
    assert [line.split()[:2] for line in timed if line.startswith("compiled")] == [["compiled", "3"]]
    said = installation.output("hadamard", "energy", "--qubits", "4", "--simulators", "compiled")
    assert said.startswith("By both models a QPU takes less energy than GPUs from 46.1 qubits (paper)"), said


def test_a_dry_run_of_a_submission_names_the_script_of_the_wheel(installation: Installation) -> None:
    (installation.folder / "sites").mkdir()
    (installation.folder / "sites" / "ours.sh").write_text("")
    lines = installation.output("hadamard", "submit", "quickstart", "--dry-run", "--site", "ours").splitlines()
    words = shlex.split(lines[-1])
    assert words[-1] == "quickstart"
    script = Path(words[-2])
    assert script.is_relative_to(installation.environment)
    assert os.access(script, os.R_OK)
    assert f"HADAMARD_SLURM={script.parent}" in words
    assert f"HADAMARD_BIN={installation.environment / 'bin'}" in words


def test_the_quickstart_runs_by_its_name(installation: Installation) -> None:
    said = installation.output("hadamard", "run", "quickstart", "--no-dashboard", MLFLOW_TRACKING_URI="sqlite:///runs/mlflow.db")
    report = installation.folder / "runs" / "quickstart" / "report"
    assert "report" in said
    assert (report / "report.html").stat().st_size > 100_000
    assert len((report / "results.csv").read_text().splitlines()) == 34
    assert "33 trials" in installation.output("hadamard", "status", "runs/quickstart")
