"""Where the corpus comes from, what is refused, and what a split promises."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from hadamard.model.data import corpus as text
from hadamard.model.errors import DataError
from hadamard.model.settings import Data
from tests.conftest import ROOT

Writer = Callable[..., str]


@pytest.fixture(autouse=True)
def no_sst2_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HADAMARD_SST2", raising=False)


@pytest.fixture
def tsv(tmp_path: Path) -> Writer:
    """Write lines (after the header, unless told otherwise) to a file and return its path."""

    def write(*lines: str | bytes, header: str = "text\tlabel", name: str = "own.tsv") -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in (header, *lines)))
        return str(path)

    return write


def own(path: str | Path, **more: object) -> Data:
    return Data.model_validate({"name": "own", "path": str(path), **more})


def refusal(data: Data) -> str:
    with pytest.raises(DataError) as caught:
        text.load(data)
    return str(caught.value)


# ---- reviews


def test_reviews_are_a_function_of_sentences_and_difficulty() -> None:
    corpus = text.load(Data())
    assert len(corpus.texts) == len(corpus.labels) == 2000
    assert corpus.labels.dtype == np.int64
    assert int(corpus.labels.sum()) == 1000
    assert "2000 sentences" in corpus.source
    assert "difficulty 0.5" in corpus.source
    assert corpus.hash == text.load(Data(train_per_class=10)).hash
    assert len({text.load(Data(sentences=n, difficulty=d)).hash for n in (100, 101) for d in (0, 0.5, 1)}) == 6


def test_reviews_stay_what_they_are() -> None:
    # A new word or frame changes the corpus, hence every trial's key: do it knowingly, and write the new hash here.
    assert text.load(Data()).hash == "7561515ddf28931913dbb649cffd02b7b90779ace4f38d60409f23af8f1c47cb"


def test_reviews_take_no_path(tsv: Writer) -> None:
    message = refusal(Data(path=tsv("a\t0", "b\t1")))
    assert "data.name is 'reviews'" in message
    assert "own.tsv" in message


# ---- TSV files


def test_texts_are_taken_literally(tsv: Writer) -> None:
    odd = '"quoted"|"unclosed| spaces kept |no\u00a0break, next\u0085line\u2028separator|\\t is no tab|carriage\rreturn|naïve ☺|#'
    texts = tuple(odd.split("|"))
    corpus = text.load(own(tsv(*(f"{t}\t{i % 2}" for i, t in enumerate(texts)))))
    assert corpus.texts == texts
    assert corpus.labels.tolist() == [0, 1, 0, 1, 0, 1, 0, 1]


def test_windows_line_ends_a_byte_order_mark_and_a_missing_last_line_end_do_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "windows.tsv"
    path.write_bytes(b"\xef\xbb\xbftext\tlabel\r\ngood\t1\r\nbad\t0")
    assert text.load(own(path)).texts == ("good", "bad")


def test_directory_is_pooled_train_dev_test_then_by_name(tsv: Writer, tmp_path: Path) -> None:
    for name in ("test", "b", "a", "dev", "train"):
        tsv(f"{name} good\t1", f"{name} bad\t0", name=f"{name}.tsv")
    (tmp_path / "notes.txt").write_text("not mine")
    corpus = text.load(own(tmp_path))
    assert [t.split()[0] for t in corpus.texts[::2]] == ["train", "dev", "test", "a", "b"]
    assert str(tmp_path) in corpus.source


def test_hash_is_that_of_the_lines_without_headers(tsv: Writer) -> None:
    path = Path(tsv("good ☺\t1", "bad\t0"))
    body = path.read_bytes().split(b"\n", 1)[1]
    assert text.load(own(path)).hash == hashlib.sha256(body).hexdigest()
    for other in (("bad\t0", "good ☺\t1"), ("good ☺\t0", "bad\t1"), ("good\t1", "bad\t0")):
        assert text.load(own(tsv(*other))).hash != hashlib.sha256(body).hexdigest()


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


# ---- SST-2: path, environment, hub


def test_data_path_comes_before_the_environment(tsv: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HADAMARD_SST2", tsv("environment good\t1", "environment bad\t0", name="environment.tsv"))
    assert text.load(Data(name="sst2")).texts[0] == "environment good"
    assert "HADAMARD_SST2" in text.load(Data(name="sst2")).source
    path = tsv("path good\t1", "path bad\t0", name="path.tsv")
    assert text.load(Data(name="sst2", path=path)).texts[0] == "path good"


@pytest.fixture
def empty_hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.mark.usefixtures("empty_hub_cache")
def test_without_network_the_error_names_all_three_ways_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    start = time.monotonic()
    message = refusal(Data(name="sst2"))
    assert time.monotonic() - start < 5
    for way in ("data.path", "HADAMARD_SST2", "SetFit/sst2", "HF_HUB_OFFLINE is set"):
        assert way in message


@pytest.mark.usefixtures("empty_hub_cache")
def test_unreachable_hub_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    asked = []

    def unreachable(*arguments: object, **options: object) -> None:
        asked.append(options["timeout"])
        raise TimeoutError("no answer")

    monkeypatch.setattr("huggingface_hub.HfApi.dataset_info", unreachable)
    assert "(TimeoutError: no answer)" in refusal(Data(name="sst2"))
    assert asked == [5.0]


def hub_with(folder: Path, rows: dict[str, list[object]], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Put a hub whose cache holds the given files in place of the real one; return what is asked of it."""
    asked: list[str] = []
    for name, records in rows.items():
        (folder / name).write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")

    def download(repository: str, name: str, *, repo_type: str, local_files_only: bool, **options: object) -> str:
        assert (repository, repo_type, local_files_only) == ("SetFit/sst2", "dataset", True)
        asked.append(name)
        return str(folder / name)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    return asked


def test_hub_rows_are_pooled_as_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows: dict[str, list[object]] = {
        "train.jsonl": [{"text": 'a "quote" \\ é', "label": 1, "label_text": "positive"}],
        "dev.jsonl": [{"text": "b", "label": 0, "label_text": "negative"}],
        "test.jsonl": [{"text": "c", "label": 1, "label_text": "positive"}],
    }
    asked = hub_with(tmp_path, rows, monkeypatch)
    corpus = text.load(Data(name="sst2"))
    assert corpus.texts == ('a "quote" \\ é', "b", "c")
    assert corpus.labels.tolist() == [1, 0, 1]
    assert asked == ["train.jsonl", "dev.jsonl", "test.jsonl"]
    assert "SetFit/sst2" in corpus.source


def test_bad_hub_rows_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records: list[object] = [{"text": "a", "label": -1}, {"sentence": "b", "label": 1}, ["c", 1], {"text": "d\te", "label": 1}]
    hub_with(tmp_path, {"train.jsonl": records}, monkeypatch)
    message = refusal(Data(name="sst2"))
    for number, reason in enumerate(("the label is '-1'", "no text and label", "no text and label", "a tab or a line break"), 1):
        assert f"train.jsonl:{number}: {reason}" in message.replace("the text holds ", "")


# ---- the real SST-2


@pytest.fixture(scope="module")
def sst2_path() -> Path:
    beside = ROOT.parent / "shared" / "data" / "sst2"
    path = Path(os.environ.get("HADAMARD_SST2") or beside)
    if not path.exists():
        reason = f"no SST-2 at {path}: set HADAMARD_SST2 to a directory with train.tsv, dev.tsv and test.tsv"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return path


@pytest.fixture(scope="module")
def sst2(sst2_path: Path) -> text.Corpus:
    return text.load(Data(name="sst2", path=str(sst2_path)))


def test_sst2_is_complete(sst2: text.Corpus, sst2_path: Path) -> None:
    assert len(sst2.texts) == 9613
    assert np.bincount(sst2.labels).tolist() == [4650, 4963]
    assert len(set(sst2.texts)) == 9602
    files = [sst2_path / f"{name}.tsv" for name in ("train", "dev", "test")]
    assert sst2.hash == hashlib.sha256(b"".join(file.read_bytes().split(b"\n", 1)[1] for file in files)).hexdigest()


def test_sst2_loads_quickly(sst2_path: Path) -> None:
    start = time.process_time()
    text.load(Data(name="sst2", path=str(sst2_path)))
    assert time.process_time() - start < 2


def test_sst2_splits_have_the_papers_sizes(sst2: text.Corpus) -> None:
    for seed in range(20):
        split = text.split(sst2, Data(name="sst2"), seed)
        assert [len(side) for side in (split.train, split.validation, split.test)] == [435, 77, 9101]
        assert_sound(sst2, split, Data(name="sst2"))


# ---- splits


def corpus_of(texts: list[str], labels: list[int]) -> text.Corpus:
    return text.Corpus(tuple(texts), np.array(labels, np.int64), "a test")


def assert_sound(corpus: text.Corpus, split: text.Split, data: Data) -> None:
    sides = {"train": split.train, "validation": split.validation, "test": split.test}
    assert sorted(np.concatenate(list(sides.values())).tolist()) == list(range(len(corpus.texts)))
    assert all(side.dtype == np.int64 for side in sides.values())
    texts = {name: {corpus.texts[i] for i in side} for name, side in sides.items()}
    assert not texts["train"] & texts["validation"]
    assert not texts["train"] & texts["test"]
    assert not texts["validation"] & texts["test"]
    drawn = np.concatenate([split.train, split.validation])
    assert np.bincount(corpus.labels[drawn], minlength=2).tolist() == [data.train_per_class] * 2
    for side in (split.train, split.validation):
        assert abs(int(np.diff(np.bincount(corpus.labels[side], minlength=2))[0])) <= 1
    assert len(np.unique(corpus.labels[split.test])) == 2


def test_split_is_a_function_of_its_seed() -> None:
    corpus = text.load(Data())
    first, again, other = (text.split(corpus, Data(), seed) for seed in (0, 0, 1))
    assert all(np.array_equal(getattr(first, side), getattr(again, side)) for side in ("train", "validation", "test"))
    assert len(np.intersect1d(first.train, other.train)) < 150  # 435**2 / 2000 = 95 expected
    assert_sound(corpus, first, Data())
    assert [len(side) for side in (first.train, first.validation, first.test)] == [435, 77, 1488]


@given(
    st.lists(st.tuples(st.integers(0, 11), st.integers(1, 4)), min_size=2, max_size=40),
    st.integers(2, 9),
    st.floats(0.1, 0.9),
    st.integers(0, 99),
)
@hypothesis_settings(max_examples=150, deadline=None, derandomize=True, database=None)
def test_split_keeps_its_promises_or_refuses(copies: list[tuple[int, int]], drawn: int, fraction: float, seed: int) -> None:
    texts = [f"text {number}" for number, times in copies for _ in range(times)]
    corpus = corpus_of(texts, [int(t.split()[1]) % 2 for t in texts])
    data = Data(train_per_class=drawn, validation_fraction=fraction)
    try:
        split = text.split(corpus, data, seed)
    except DataError:
        return
    assert_sound(corpus, split, data)
    assert len(split.validation) == round(fraction * 2 * drawn)


def test_copies_that_do_not_fit_are_passed_over() -> None:
    texts = [f"{label} {text}" for label in (0, 1) for text in ("a", "b", "b", "c", "c", "c", "d", "e", "f", "f")]
    corpus = corpus_of(texts, [0] * 10 + [1] * 10)
    data = Data(train_per_class=5, validation_fraction=0.4)
    for seed in range(100):  # three single texts, so the sizes can always be met
        assert_sound(corpus, text.split(corpus, data, seed), data)


def test_every_sentence_is_as_likely_to_be_drawn_as_any_other() -> None:
    corpus = corpus_of([f"t{i}" for i in range(40)], [i % 2 for i in range(40)])
    data = Data(train_per_class=10, validation_fraction=0.2)
    draws = 2000
    train, validation = np.zeros(40), np.zeros(40)
    for seed in range(draws):
        split = text.split(corpus, data, seed)
        train[split.train] += 1
        validation[split.validation] += 1
    for counts, chance in ((train, 0.4), (validation, 0.1)):
        assert np.abs(counts - draws * chance).max() < 4.5 * np.sqrt(draws * chance * (1 - chance))


def test_too_few_sentences_are_counted() -> None:
    corpus = corpus_of([f"t{i}" for i in range(30)], [0] * 10 + [1] * 20)
    with pytest.raises(DataError, match=r"train_per_class is 10, which needs at least 11 .* 10 negative and 20 positive"):
        text.split(corpus, Data(train_per_class=10), 0)
    assert_sound(corpus, text.split(corpus, Data(train_per_class=9), 0), Data(train_per_class=9))


def test_copies_that_do_not_fit_are_explained() -> None:
    corpus = corpus_of(["same"] * 20 + [f"t{i}" for i in range(20)], [0] * 20 + [1] * 20)
    with pytest.raises(DataError, match="Copies of a text must stay together, and with 1 distinct texts"):
        text.split(corpus, Data(train_per_class=9), 0)


@pytest.mark.parametrize("fraction", [0.01, 0.95])
def test_a_side_without_sentences_is_refused(fraction: float) -> None:
    corpus = text.load(Data(sentences=100))
    with pytest.raises(DataError, match="leaves one of the sides without sentences"):
        text.split(corpus, Data(train_per_class=4, validation_fraction=fraction), 0)
