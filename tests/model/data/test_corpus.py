"""What a corpus is, in a file and from the grammar, and what is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from hadamard.model.data.corpus import load_corpus
from hadamard.model.errors import DataError
from hadamard.model.settings import Data

Writer = Callable[..., str]


def own(path: str | Path, **more: object) -> Data:
    return Data.model_validate({"name": "own", "path": str(path), **more})


def refusal(data: Data) -> str:
    with pytest.raises(DataError) as caught:
        load_corpus(data)
    return str(caught.value)


# ---- reviews


def test_reviews_are_a_function_of_sentences_and_difficulty() -> None:
    corpus = load_corpus(Data())
    assert len(corpus.texts) == len(corpus.labels) == 2000
    assert corpus.labels.dtype == np.int64
    assert int(corpus.labels.sum()) == 1000
    assert "2000 sentences" in corpus.source
    assert "difficulty 0.5" in corpus.source
    assert corpus.hash == load_corpus(Data(train_per_class=10)).hash
    assert len({load_corpus(Data(sentences=n, difficulty=d)).hash for n in (100, 101) for d in (0, 0.5, 1)}) == 6


def test_reviews_stay_what_they_are() -> None:
    # A new word or frame changes the corpus, hence every trial's key: do it knowingly, and write the new hash here.
    assert load_corpus(Data()).hash == "7561515ddf28931913dbb649cffd02b7b90779ace4f38d60409f23af8f1c47cb"


def test_reviews_take_no_path(tsv: Writer) -> None:
    message = refusal(Data(path=tsv("a\t0", "b\t1")))
    assert "data.name is 'reviews'" in message
    assert "own.tsv" in message


# ---- TSV files


def test_texts_are_taken_literally(tsv: Writer) -> None:
    odd = '"quoted"|"unclosed| spaces kept |no\u00a0break, next\u0085line\u2028separator|\\t is no tab|carriage\rreturn|naïve ☺|#'
    texts = tuple(odd.split("|"))
    corpus = load_corpus(own(tsv(*(f"{t}\t{i % 2}" for i, t in enumerate(texts)))))
    assert corpus.texts == texts
    assert corpus.labels.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]


def test_windows_line_ends_a_byte_order_mark_and_a_missing_last_line_end_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "windows.tsv"
    path.write_bytes(b"\xef\xbb\xbftext\tlabel\r\ngood\t1\r\nbad\t0")
    assert load_corpus(own(path)).texts == ("good", "bad")


def test_directory_is_pooled_train_dev_test_then_by_name(tsv: Writer, tmp_path: Path) -> None:
    for name in ("test", "b", "a", "dev", "train"):
        tsv(f"{name} good\t1", f"{name} bad\t0", name=f"{name}.tsv")
    (tmp_path / "notes.txt").write_text("not mine")
    corpus = load_corpus(own(tmp_path))
    assert [t.split()[0] for t in corpus.texts[::2]] == ["train", "dev", "test", "a", "b"]
    assert str(tmp_path) in corpus.source


def test_hash_is_that_of_the_lines_without_headers(tsv: Writer) -> None:
    path = Path(tsv("good ☺\t1", "bad\t0"))
    body = path.read_bytes().split(b"\n", 1)[1]
    assert load_corpus(own(path)).hash == hashlib.sha256(body).hexdigest()
    for other in (("bad\t0", "good ☺\t1"), ("good ☺\t0", "bad\t1"), ("good\t1", "bad\t0")):
        assert load_corpus(own(tsv(*other))).hash != hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("no label", "1 column"),
        ("", "1 column"),
        ("one\ttoo\t1", "3 column"),
        ("\t1", "the text is empty"),
        ("  \t1", "the text is empty"),
        ("good\t2", "the label is '2'"),
        ("good\tpositive", "the label is 'positive'"),
        ("good\t1.0", "the label is '1.0'"),
        ("good\t 1", "the label is ' 1'"),
        ("good\t1 ", "the label is '1 '"),
        (b"caf\xe9\t1", "not valid UTF-8"),
    ],
)
def test_bad_line_is_named_and_shown(tsv: Writer, line: str | bytes, reason: str) -> None:
    path = tsv("fine\t1", "bad\t0", line, "also fine\t1")
    message = refusal(own(path))
    assert f"{path}:4: {reason}" in message
    assert message.startswith("1 malformed line")
    assert message.endswith(repr(line if isinstance(line, str) else line.decode(errors="backslashreplace")))


def test_five_bad_lines_are_listed_and_the_rest_counted(tsv: Writer) -> None:
    path = tsv("fine\t1", *(f"{'long ' * 100}{i}\t7" for i in range(9)), "bad\t0")
    message = refusal(own(path))
    assert message.startswith("9 malformed line")
    assert [f"{path}:{n}:" in message for n in range(2, 13)] == [False] + [True] * 5 + [False] * 5
    assert "and 4 more" in message
    assert max(len(line) for line in message.splitlines()) < len(path) + 150


def test_wrong_header_is_refused(tsv: Writer) -> None:
    path = tsv("good\t1", "bad\t0", header="label\ttext")
    assert refusal(own(path)) == rf"{path}:1: the header must be text<TAB>label, but the line is 'label\ttext'."


@pytest.mark.parametrize("content", [b"", b"\n", b" \n\n"])
def test_empty_file_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "empty.tsv").write_bytes(content)
    assert "empty.tsv is empty" in refusal(own(tmp_path / "empty.tsv"))


def test_header_alone_is_refused(tsv: Writer) -> None:
    assert "own.tsv holds no sentences" in refusal(own(tsv()))


@pytest.mark.parametrize(("label", "name"), [(0, "negative"), (1, "positive")])
def test_one_class_is_refused_by_name(tsv: Writer, label: int, name: str) -> None:
    assert f"all 2 sentences are {name} (label {label})" in refusal(own(tsv(f"a\t{label}", f"b\t{label}")))


def test_conflicting_labels_name_both_lines(tsv: Writer, tmp_path: Path) -> None:
    train = tsv("twice\t1", "bad\t0", "other\t1", name="pool/train.tsv")
    dev = tsv("fine\t1", "twice\t0", name="pool/dev.tsv")
    message = refusal(own(tmp_path / "pool"))
    assert f"{train}:2 has label 1, {dev}:3 has label 0: 'twice'" in message
    assert message.startswith("1 text(s) with both labels")


def test_missing_path_says_who_chose_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = tmp_path / "nowhere"
    assert f"{missing} (data.path)" in refusal(own(missing))
    monkeypatch.setenv("HADAMARD_SST2", str(missing))
    assert f"{missing} (environment variable HADAMARD_SST2)" in refusal(Data(name="sst2"))


def test_directory_without_tsv_files_is_refused(tmp_path: Path) -> None:
    assert f"No *.tsv file in the directory {tmp_path}" in refusal(own(tmp_path))
    (tmp_path / "folder.tsv").mkdir()
    assert "folder.tsv cannot be read: Is a directory" in refusal(own(tmp_path))


def test_own_name_needs_a_path() -> None:
    message = refusal(Data(name="mine"))
    assert "data.name is 'mine'" in message
    assert "reviews, sst2" in message
