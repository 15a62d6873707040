"""Adding a site profile takes one file; docs/extending/sites.md says how."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from hadamard.model.errors import UserError
from hadamard.orchestrator.cli import app
from hadamard.slurm.site_profiles import PACKAGED, find_site
from tests.support.studies import write_study


@pytest.mark.parametrize("place", ["sites", "xdg/hadamard/sites"])
def test_a_toy_site_is_one_file(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    study = write_study(tmp_path)
    submit = ["submit", str(study), "--dry-run", "--site", "toy"]
    with pytest.raises(UserError, match=r"no site profile toy.*frontier, generic, perlmutter.*sites/toy\.sh"):
        CliRunner().invoke(app, submit, catch_exceptions=False)
    profile = tmp_path / place / "toy.sh"
    profile.parent.mkdir(parents=True)
    profile.write_text("export HADAMARD_SCRATCH=/scratch\n")
    shown = CliRunner().invoke(app, submit)
    assert shown.exit_code == 0, shown.output
    assert "HADAMARD_SITE=toy" in shown.stdout


def test_the_nearest_profile_of_a_name_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    environment = {"XDG_CONFIG_HOME": str(tmp_path / "xdg")}
    assert find_site("generic", environment) == PACKAGED / "generic.sh"
    for place in ("xdg/hadamard/sites", "sites"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "generic.sh").touch()
        assert find_site("generic", environment) == tmp_path / place / "generic.sh"
