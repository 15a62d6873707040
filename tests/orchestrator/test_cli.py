"""The command line as users meet it: quick help, plans, and bad input that leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hadamard.model.files.trial_files import TrialFiles
from hadamard.orchestrator import cli
from tests.support.studies import TINY, entered, read, write_study


def hadamard(*words: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "hadamard", *map(str, words)], capture_output=True, text=True, cwd=cwd)


@pytest.mark.alone
def test_help_is_quick_and_imports_nothing_heavy() -> None:
    took = []
    for _ in range(3):
        began = time.monotonic()
        assert hadamard("--help").returncode == 0
        took.append(time.monotonic() - began)
    assert min(took) < 0.5
    code = "import sys, hadamard.orchestrator.cli\n"
    code += "print([name for name in ('ray', 'torch', 'mlflow', 'pandas', 'scipy') if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.slow
def test_a_study_that_another_driver_has_is_refused_with_an_exit_code_of_its_own(tmp_path: Path) -> None:
    ledger = entered(tmp_path / "run", read(tmp_path))
    with ledger.owned():
        done = hadamard("run", tmp_path / "study.yaml", "--dir", ledger.directory)
        assert done.returncode == 75
        assert done.stderr.startswith(f"error: {ledger.directory} is being run by process {os.getpid()} on ")
    assert not list(ledger.packs.iterdir())


def test_plan_shows_design_aliases_power_and_cost(tmp_path: Path) -> None:
    done = hadamard("plan", write_study(tmp_path))
    assert done.returncode == 0, done.stderr
    for word in (
        "full_factorial: 4 rows x 2 splits",
        "Aliases",
        "Power",
        "Every two-factor interaction can be estimated",
        "10: 4 rows, baselines logistic, each on 2 splits",
        "points, low to high",
        "chosen by auto",
        "memory",
        "time",
    ):
        assert word in done.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


def test_plan_as_json(tmp_path: Path) -> None:
    done = hadamard("plan", write_study(tmp_path), "--json")
    plan = json.loads(done.stdout)
    assert len(plan["rows"]) == 4
    assert sorted(plan["run_order"]) == ["r00", "r01", "r02", "r03"]
    assert len(plan["trials"]) == 10
    assert plan["expected_s"] > 0
    assert {"aliases", "power", "packs", "splits"} <= set(plan)


@pytest.mark.slow
def test_status_as_text_and_json(tmp_path: Path) -> None:
    plan = read(tmp_path)
    ledger = entered(tmp_path / "run", plan)
    files = ledger.files(plan.trials[0])
    files.append("started", host="here", pack="p")
    files.append("failed", cause="killed", message="by hand")
    state = json.loads(hadamard("status", tmp_path / "run", "--json").stdout)
    assert state["trials"] == {"total": 10, "done": 0, "running": 0, "owed": 9, "failed": 1}
    assert state["energy_j"] is None
    text = hadamard("status", tmp_path / "run").stdout
    assert "owed 9" in text
    assert "killed" in text


@pytest.mark.slow
def test_report_and_status_need_neither_corpus_nor_working_directory(tmp_path: Path) -> None:
    (tmp_path / "mine.tsv").write_text("text\tlabel\n" + "".join(f"sentence number {index}\t{index % 2}\n" for index in range(60)))
    entered(tmp_path / "run", read(tmp_path, TINY.replace("name: reviews, sentences: 300", f"name: mine, path: {tmp_path / 'mine.tsv'}")))
    (tmp_path / "mine.tsv").unlink()
    (tmp_path / "elsewhere").mkdir()
    assert "owed 10" in hadamard("status", tmp_path / "run", cwd=tmp_path / "elsewhere").stdout
    assert hadamard("report", tmp_path / "run", cwd=tmp_path / "elsewhere").returncode == 0


@pytest.mark.slow
def test_sync_sends_what_is_missing(tmp_path: Path) -> None:
    plan = read(tmp_path)
    files = entered(tmp_path / "run", plan).files(plan.trials[0])
    files.append("started", host="here", pack="p")
    files.result.write_text(json.dumps({"responses": {"test_accuracy": 0.5}, "parameters": 1}))
    files.append("done", seconds=1.0)
    for words in (("sync",), ("sync", "--all")):
        done = hadamard(*words, tmp_path / "run")
        assert done.returncode == 0, done.stderr
        assert f"1 of 10 trials are complete in MLflow at sqlite:///{tmp_path / 'mlflow.db'}" in done.stdout


@pytest.mark.slow
def test_doctor_answers_and_tells_what_to_do(tmp_path: Path) -> None:
    done = hadamard("doctor", "--json")
    assert done.returncode == 0, done.stderr
    checks = {check["what"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks["sentence encoder"]["ok"]
    assert checks["Ray"]["ok"], checks["Ray"]
    assert checks["lightning.qubit"]["ok"]
    assert "lightning.gpu" not in checks, "without a GPU"
    assert all(check["fix"] for check in checks.values() if not check["ok"])


Refused = Callable[..., str]


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refused:
    """Runs a study that must be refused; returns the message. Exit code 2, and nothing but the study file is left."""

    def run(content: str, *options: str | Path) -> str:
        study = write_study(tmp_path, content)
        before = sorted(path.name for path in tmp_path.iterdir())
        words = ["hadamard", "run", study, "--no-dashboard", *(options or ("--dir", tmp_path / "run"))]
        monkeypatch.setattr(sys, "argv", list(map(str, words)))
        monkeypatch.chdir(tmp_path)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert ended.value.code == 2, said.out + said.err
        assert said.err.startswith("error: ")
        assert sorted(path.name for path in tmp_path.iterdir()) == before
        return said.err

    return run


@pytest.mark.slow
def test_what_is_refused_ends_the_process_without_a_traceback(tmp_path: Path) -> None:
    done = hadamard("run", write_study(tmp_path, TINY.replace("epochs: 3", "epoch: 3")), cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["study.yaml"]


FULL = TINY[TINY.index("[2, 3]") : TINY.index(", splits")]
CORPUS = "text\tlabel\n" + "".join(f"sentence number {index}\t{index % 2}\n" for index in range(60))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("epochs: 3", "epoch: 3", "study.yaml:5: training.epoch: unknown key. Did you mean epochs?"),
        ("epochs: 3", "epochs: 3.5", "study.yaml:5: training.epochs: input should be a valid integer"),
        ("[2, 3]", "[]", "study.yaml:7: factors.head.qubits: a factor needs at least two levels, this has 0"),
        ("[2, 3]", "[2]", "study.yaml:7: factors.head.qubits: a factor needs at least two levels, this has 1"),
        (FULL, FULL.replace("3]", "3, 4]").replace("full_factorial", "plackett_burman"), "of two levels; head.qubits is not one of them"),
        ("name: reviews", "name: sst2, path: nowhere", "nowhere"),
        ("name: reviews", "name: sst2", "HADAMARD_SST2"),
        ("train_per_class: 16", "train_per_class: 200", "200"),
        ("head: {kind", "sentence_encoder: {name: all-MaxiLM}\nhead: {kind", "unknown sentence encoder 'all-MaxiLM'"),
        (", reduction: pca", "", "head.qubits = 2 holds 4 amplitudes, but the embedding has 384"),
        ("head: {kind", "simulator: lightning.gpu\nhead: {kind", "lightning.gpu"),
    ],
    ids=["key", "type", "empty", "one-level", "three-levels", "path", "no-sst2", "too-few", "encoder", "no-reduction", "device"],
)  # fmt: skip
def test_bad_studies_are_refused(refused: Refused, monkeypatch: pytest.MonkeyPatch, old: str, new: str, expected: str) -> None:
    monkeypatch.delenv("HADAMARD_SST2", raising=False)
    assert old in TINY
    assert expected in refused(TINY.replace(old, new))


@pytest.mark.parametrize(
    ("corpus", "expected"),
    [
        (CORPUS.replace("sentence number 7\t1", "sentence number 7 1"), "mine.tsv:9"),
        (CORPUS.replace("sentence number 7\t1", "sentence number 7\tgood"), "mine.tsv:9"),
        (CORPUS.replace("\t0\n", "\t1\n"), "label 1"),
    ],
    ids=["no-tab", "label", "one-class"],
)
def test_bad_corpora_are_refused(tmp_path: Path, refused: Refused, corpus: str, expected: str) -> None:
    (tmp_path / "mine.tsv").write_text(corpus)
    assert expected in refused(TINY.replace("name: reviews, sentences: 300", "name: mine, path: mine.tsv"))


def test_a_directory_of_another_study_is_refused(tmp_path: Path, refused: Refused) -> None:
    entered(tmp_path / "run", read(tmp_path), name="other")
    assert "belongs to the study 'other', not 'tiny'" in refused(TINY)


def test_an_unwritable_directory_is_refused(refused: Refused) -> None:
    assert "cannot be written" in refused(TINY, "--dir", "/proc/none")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 512 KiB; needs root."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(disk)], capture_output=True).returncode:
        disk.rmdir()
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_cache_that_cannot_be_written_is_refused(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_CACHE", "/proc/none")
    assert "the embedding cache /proc/none cannot be written" in refused(TINY)


def test_a_trace_that_cannot_be_replayed_is_refused(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_ENERGY", "replay:none.csv")
    assert "none.csv is not a trace" in refused(TINY)


def test_a_full_disk_is_refused_before_anything_starts(tmp_path: Path, refused: Refused, small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(b"x" * 400_000)
    assert "the disk has 0.1 MiB free, 10 trials need 0.6" in refused(TINY, "--dir", small_disk / "run")
    assert [path.name for path in small_disk.iterdir()] == ["ballast"]


@pytest.mark.slow
def test_a_damaged_journal_line_is_named_and_nothing_is_touched(tmp_path: Path) -> None:
    plan = read(tmp_path)
    ledger = entered(tmp_path / "run", plan)
    files: TrialFiles = ledger.files(plan.trials[2])
    files.append("started", host="here", pack="p")
    files.journal.write_text("garbage\n" + files.journal.read_text())
    for verb in (("run", tmp_path / "study.yaml", "--dir"), ("status",), ("report",)):
        done = hadamard(*verb, tmp_path / "run")
        assert done.returncode == 2, done.stdout
        assert f"{files.journal}:1: damaged line" in done.stderr
    assert files.journal.read_text().startswith("garbage\n")
    assert not (tmp_path / "run" / "report").exists()
