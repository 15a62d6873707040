"""File formats and sources: which format reads what, and one search order for all who ask where a corpus comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hadamard.model.data import formats
from hadamard.model.data.base import FileFormat, Malformed, Record
from hadamard.model.data.corpus import checked, load_corpus
from hadamard.model.data.sources import NAMED, find
from hadamard.model.errors import DataError
from hadamard.model.settings import Data

LINES = FileFormat(
    ".lines", "a label and a sentence in each line", lambda file: [_record(file, line) for line in file.read_text().split("\n")]
)


def _record(file: Path, line: str) -> Record:
    label, _, text = line.partition(" ")
    return Record(str(file), text, label)


@pytest.fixture
def two_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "FORMATS", (*formats.FORMATS, LINES))


@pytest.mark.usefixtures("two_formats")
def test_a_file_is_read_by_the_format_of_its_suffix_and_any_other_by_the_first(tmp_path: Path) -> None:
    (tmp_path / "own.lines").write_text("1 good\n0 bad")
    (tmp_path / "own.txt").write_text("text\tlabel\nfine\t1\npoor\t0\n")
    assert load_corpus(Data(name="own", path=str(tmp_path / "own.lines"))).texts == ("good", "bad")
    assert load_corpus(Data(name="own", path=str(tmp_path / "own.txt"))).texts == ("fine", "poor")


@pytest.mark.usefixtures("two_formats")
def test_a_directory_is_read_by_the_first_format_that_it_has_files_of(tmp_path: Path) -> None:
    data = Data(name="own", path=str(tmp_path))
    with pytest.raises(DataError, match=r"No \*\.tsv or \*\.lines file in the directory .*the header text<TAB>label, or .*a label and a"):
        find(data)
    (tmp_path / "own.lines").write_text("1 good\n0 bad")
    assert load_corpus(data).texts == ("good", "bad")
    (tmp_path / "own.tsv").write_text("text\tlabel\nfine\t1\npoor\t0\n")
    assert load_corpus(data).texts == ("fine", "poor")


@pytest.mark.usefixtures("two_formats")
def test_errors_in_a_file_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "own.lines"
    file.write_bytes(b"1 caf\xe9")
    with pytest.raises(DataError, match=r"own\.lines cannot be read: it is not valid UTF-8"):
        load_corpus(Data(name="own", path=str(file)))
    file.write_text("2 good\n0 bad")
    with pytest.raises(DataError, match="the label is '2', not 0 or 1"):
        load_corpus(Data(name="own", path=str(file)))


def test_faults_of_all_kinds_are_listed_in_order() -> None:
    entries = [Record("a:1", "good", "1"), Malformed("a:2", "no columns"), Record("a:3", " ", "0"), Record("a:4", "bad", "x")]
    with pytest.raises(DataError) as caught:
        checked(entries, "a test")
    assert str(caught.value).splitlines()[1:] == [
        "  a:2: no columns",
        "  a:3: the text is empty: ' \\t0'",
        "  a:4: the label is 'x', not 0 or 1: 'bad\\tx'",
    ]


def test_a_source_is_found_without_being_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_hub(*_: object, **__: object) -> None:
        raise AssertionError("nothing is downloaded")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", no_hub)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    assert find(Data(name="sst2")).path == tmp_path / "hub"
    assert find(Data()).path is None
    file = tmp_path / "own.tsv"
    file.write_text("not a corpus")
    assert find(Data(name="own", path=str(file))).path == file
    monkeypatch.setenv("HADAMARD_SST2", str(file))
    assert find(Data(name="sst2")).path == file


def test_a_name_that_needs_a_path_is_answered_with_formats_and_names() -> None:
    with pytest.raises(DataError) as caught:
        find(Data(name="mine"))
    assert all(word in str(caught.value) for word in ("data.name is 'mine'", ".tsv", *(corpus.name for corpus in NAMED)))


def test_a_home_directory_is_expanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tsv: Callable[..., str]) -> None:
    tsv("good\t1", "bad\t0")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find(Data(name="own", path="~/own.tsv")).path == tmp_path / "own.tsv"
