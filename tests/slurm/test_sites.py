"""The site profiles: each can be sourced by the batch script and by a login shell, and leaves alone what is set already."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hadamard.slurm.site_profiles import PACKAGED

PROFILES = sorted(PACKAGED.glob("*.sh"))


def sourced(profile: Path, environment: dict[str, str], options: str) -> dict[str, str]:
    """Return the environment after sourcing a profile, and under `options` the shell's options before and after."""
    script = f"set -{options}; before=$-; . '{profile}'; printf '%s %s\\0' options \"$before=$-\"; env -0"
    done = subprocess.run(["bash", "-c", script], env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, check=True)
    first, *rest = done.stdout.rstrip("\0").split("\0")
    return {"options": first.removeprefix("options "), **dict(word.split("=", 1) for word in rest)}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.stem)
@pytest.mark.parametrize("options", ["euo pipefail", "h"])
def test_a_profile_can_be_sourced_where_nothing_is_set(profile: Path, options: str, tmp_path: Path) -> None:
    found = sourced(profile, {"HOME": str(tmp_path), "SLURM_SUBMIT_DIR": "/submitted here"}, options)
    before, after = found["options"].split("=")
    assert before == after
    assert found["HADAMARD_BIN"] == "/submitted here/.venv/bin"
    assert not found.get("HADAMARD_SCRATCH"), "the login node's disk is not the job's"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.stem)
def test_a_profile_keeps_what_is_set(profile: Path, tmp_path: Path) -> None:
    names = ("HADAMARD_BIN", "HADAMARD_SCRATCH", "HADAMARD_CACHE", "HF_HOME", "HADAMARD_LOGIN_HOST")
    mine = {name: f"/my {name}" for name in names}
    found = sourced(profile, {"HOME": str(tmp_path), **mine}, "euo pipefail")
    assert {name: found[name] for name in names} == mine


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.stem)
def test_a_profile_says_what_was_checked(profile: Path) -> None:
    head = profile.read_text().split("\nexport ")[0]
    assert "Checked:" in head or "not run there by us" in head


@pytest.mark.parametrize("program", ["hadamard", "python"])
def test_the_programs_of_an_image_are_started_by_their_names(program: str, tmp_path: Path) -> None:
    apptainer = tmp_path / "apptainer"
    apptainer.write_text("#!/bin/bash\nprintf '%s\\n' \"$@\"\n")
    apptainer.chmod(0o755)
    environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "HADAMARD_SIF": "/my image.sif", "HADAMARD_APPTAINER": "--nv --bind /scratch"}
    command = [str(PACKAGED.parent / "apptainer" / program), "run", "a study.yaml"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    expected = ["exec", "--nv", "--bind", "/scratch", "/my image.sif", f"/opt/hadamard/bin/{program}", "run", "a study.yaml"]
    assert done.stdout.splitlines() == expected
    del environment["HADAMARD_SIF"]
    assert "HADAMARD_SIF" in subprocess.run(command, env=environment, capture_output=True, text=True).stderr
