"""Studies that are installed with Hadamard, by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from hadamard.orchestrator.study.file import StudyError, StudyFile
from hadamard.orchestrator.study.packaged import packaged_input, packaged_studies, study_path
from tests.conftest import ROOT


def test_every_study_of_configs_has_a_name_and_inputs_have_none() -> None:
    names = packaged_studies()
    assert {"quickstart", "sharded", "paper/ablation"} <= names.keys()
    assert not [name for name in names if "energy" in name]
    assert len(names) == len([path for path in (ROOT / "configs").rglob("*.yaml") if path.parent.name != "energy"])
    assert packaged_input("energy/qpu.yaml").is_file()


def test_a_name_means_the_packaged_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()  # a folder is no study
    file = StudyFile.read(Path("quickstart"), ["training.epochs=7"])
    assert file.path == ROOT / "configs" / "quickstart.yaml"
    assert file.plain()["training"]["epochs"] == 7
    assert file.where(("design",)).startswith(str(ROOT / "configs" / "quickstart.yaml"))


def test_a_file_of_that_path_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "ablation").write_text("study: mine\n")
    assert study_path(Path("paper/ablation")) == Path("paper/ablation")
    assert StudyFile.read(Path("paper/ablation")).plain() == {"study": "mine"}


def test_a_wrong_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        StudyError,
        match=r"quikstart: cannot be read: no such file, and no packaged study of that name; there are .*paper/ablation.*quickstart",
    ):
        StudyFile.read(Path("quikstart"))
