"""Hadamard on a system that is not Linux: `plan`, `report` and `compare` work, everything else is refused in one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hadamard.orchestrator.cli import check_system, main
from tests.support.studies import entered, read

ELSEWHERE = """
import io, os, sys
import hadamard.orchestrator.commands.plan, hadamard.orchestrator.commands.run, hadamard.orchestrator.commands.compare.view
del os.sched_getaffinity, os.sched_setaffinity
sys.platform = "darwin"

def without_linux(function):
    def guarded(path, *arguments, **options):
        if str(path).startswith(("/proc", "/sys")):
            raise FileNotFoundError(2, "this is not Linux", str(path))
        return function(path, *arguments, **options)
    return guarded

for module, name in ((io, "open"), (os, "open"), (os, "readlink"), (os, "stat"), (os, "scandir"), (os, "listdir")):
    setattr(module, name, without_linux(getattr(module, name)))
from hadamard.orchestrator.cli import main
main()
"""


def elsewhere(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as on a system without Linux's calls and files."""
    return subprocess.run([sys.executable, "-c", ELSEWHERE, *words], capture_output=True, text=True, cwd=directory)


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study file and two directories of studies that are done."""
    directory = tmp_path_factory.mktemp("studies")
    plan = read(directory)
    for name in ("one", "two"):
        ledger = entered(directory / name, plan, name)
        for number, trial in enumerate(plan.trials):
            responses = dict.fromkeys(("test_accuracy", "validation_accuracy", "train_accuracy"), 0.5 + 0.01 * (7 * number % 11))
            done = {"responses": {**responses, "test_loss": 0.6}, "parameters": 9, "simulator": "compiled"}
            (ledger.directory / "trials" / trial.key / "result.json").write_text(json.dumps(done))
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("words", [("plan", "study.yaml"), ("report", "one"), ("compare", "one", "two")], ids=lambda words: words[0])
def test_what_reads_and_writes_files_alone_works_anywhere(studies: Path, words: tuple[str, ...]) -> None:
    done = elsewhere(studies, *words)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout


@pytest.mark.parametrize("verb", ["run", "status", "submit", "doctor", "bench"])
def test_everything_else_is_refused_in_one_sentence(verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(sys, "argv", ["hadamard", verb, "quickstart"])
    with pytest.raises(SystemExit) as ended:
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2
    assert line.startswith(f"error: hadamard {verb} needs Linux, this is darwin; here plan, report and compare work")


@pytest.mark.parametrize("words", [[], ["--help"], ["run", "--help"], ["plan", "study.yaml"]])
def test_help_is_given_anywhere(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    check_system(words)
