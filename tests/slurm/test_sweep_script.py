"""The batch script before anything is started: site profiles, and what it takes from `hadamard role`. The programs are small scripts."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT


class Submission:
    """A directory of submission, in which the batch script runs on its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory / "home"
        self.programs = directory / "bin"
        for made in (self.home, self.programs):
            made.mkdir()
        self.role("echo role=done; echo directory=/a b; echo cluster=; echo untried=0")

    def role(self, lines: str) -> None:
        """Set what `hadamard role` does; `hadamard run` writes its arguments down."""
        program = self.programs / "hadamard"
        program.write_text(f'#!/bin/bash\nif [ "$1" = role ]; then {lines}; else echo "$@" >>"{self.directory}/ran"; fi\n')
        program.chmod(0o755)

    def profile(self, directory: Path, name: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{name}.sh").write_text(f"echo sourced {directory}/{name}.sh\nexport HADAMARD_BIN={self.programs}\n")

    def run(self, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": "/usr/bin:/bin", "HOME": str(self.home), "SLURM_SUBMIT_DIR": str(self.directory), "SLURM_JOB_ID": "7",
            "HADAMARD_SLURM": str(ROOT / "slurm"), "HADAMARD_BIN": str(self.programs), **variables,
        }  # fmt: skip
        command = ["bash", str(ROOT / "slurm" / "sweep.sbatch"), "a study.yaml", "--set", "x=1"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    @property
    def ran(self) -> str:
        file = self.directory / "ran"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def submission(tmp_path: Path) -> Submission:
    return Submission(tmp_path)


def test_what_a_library_prints_is_shown_and_never_executed(submission: Submission) -> None:
    submission.role(
        "echo 'WARNING: $(touch pwned); touch pwned'; echo role=done; echo untried=0; echo 'directory=$(touch pwned)'; echo cluster="
    )
    done = submission.run()
    assert done.returncode == 0, done.stderr
    assert submission.ran == "run a study.yaml --set x=1\n"
    assert not (submission.directory / "pwned").exists()
    assert "WARNING: $(touch pwned)" in done.stderr


@pytest.mark.parametrize(("lines", "code"), [("exit 2", 2), ("echo hello", 1)])
def test_without_a_role_nothing_is_run(submission: Submission, lines: str, code: int) -> None:
    submission.role(lines)
    done = submission.run()
    assert done.returncode == code
    assert submission.ran == ""
    assert code == 2 or "named no role" in done.stderr


def test_site_profiles_are_looked_for_here_then_at_home_then_in_the_package(submission: Submission) -> None:
    home = submission.home / ".config" / "hadamard" / "sites"
    submission.profile(home, "frontier")
    assert f"sourced {home}/frontier.sh" in submission.run(HADAMARD_SITE="frontier").stdout
    own = submission.directory / "xdg" / "hadamard" / "sites"
    submission.profile(own, "frontier")
    assert (
        f"sourced {own}/frontier.sh" in submission.run(HADAMARD_SITE="frontier", XDG_CONFIG_HOME=str(submission.directory / "xdg")).stdout
    )
    submission.profile(submission.directory / "sites", "frontier")
    assert f"sourced {submission.directory}/sites/frontier.sh" in submission.run(HADAMARD_SITE="frontier").stdout
    assert submission.run().returncode == 0, "the package's generic profile is the default"


def test_a_site_that_is_nowhere_is_refused_with_those_there_are(submission: Submission) -> None:
    submission.profile(submission.directory / "sites", "ours")
    done = submission.run(HADAMARD_SITE="nowhere")
    assert done.returncode == 2
    assert (
        f"no site profile nowhere (HADAMARD_SITE) in {submission.directory}/sites {submission.home}/.config/hadamard/sites" in done.stderr
    )
    assert "there are: frontier generic ours perlmutter" in done.stderr
    assert submission.ran == ""
