"""A grammar that writes film, book, restaurant and product reviews whose sentiment has to be composed, not looked up.

Its words and sentence frames are in reviews.toml; the corpus that a study names is in reviews.py.
"""

from __future__ import annotations

import random
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from hadamard.model.errors import DataError

T = TypeVar("T")
Words = dict[str, list[str]]
"""Words of praise (`good`) and words of blame (`bad`) for the same things."""

GRAMMAR: dict[str, Any] = tomllib.loads(Path(__file__).with_name("reviews.toml").read_text(encoding="utf-8"))
MAX_SENTENCES = 20_000
"""Beyond this the short frames are exhausted, and the mix of frames would drift towards the long ones."""


def write(sentences: int, difficulty: float, seed: int) -> list[tuple[str, int]]:
    """Write distinct review sentences with labels 1 (praise) and 0 (blame), as many of either within one.

    The first sentences of a longer corpus are the shorter one of the same difficulty and seed.

    Args:
        sentences: How many to write, up to `MAX_SENTENCES`.
        difficulty: The probability, 0 to 1, that a sentence is negated, hedged or contrasted instead of plain.
        seed: Of the random generator.

    Raises:
        DataError: More sentences are asked for than the grammar can write without repeating itself.
    """
    if sentences > MAX_SENTENCES:
        raise DataError(
            f"data.sentences is {sentences}, but the `reviews` grammar writes at most {MAX_SENTENCES} sentences without repeating itself: "
            "ask for fewer, or give data.name a name of your own and data.path a file of yours."
        )
    rng = random.Random(seed)
    written: dict[str, int] = {}
    label = 0
    while len(written) < sentences:
        # Labels come in shuffled pairs, so every beginning of the corpus is balanced.
        label = 1 - label if len(written) % 2 else int(rng.random() < 0.5)
        frames = GRAMMAR["frames"]["composed" if rng.random() < difficulty else "plain"]
        sentence = _sentence(rng, frames, label)
        while sentence in written:
            sentence = _sentence(rng, frames, label)
        written[sentence] = label
    return list(written.items())


def _sentence(rng: random.Random, frames: Sequence[str], label: int) -> str:
    sentence = _pick(rng, frames).format_map(_fill(rng, _pick(rng, GRAMMAR["topics"]), label))
    return sentence[0].upper() + sentence[1:]


def _fill(rng: random.Random, topic: dict[str, Any], label: int) -> dict[str, str]:
    """Draw what fills each placeholder of a frame, whether the frame has it or not."""
    kind = _pick(rng, topic["things"])
    part, list_name = _pick(rng, [(name, parts["words"]) for parts in topic["parts"] for name in parts["names"]])
    part_words, verbs, nouns = (GRAMMAR["words"][name] for name in (list_name, topic["verbs"], topic["nouns"]))
    # No word twice in a sentence: "the plot is gripping, and this film is gripping".
    virtue, fault = _agreeing(rng, part_words, label), _agreeing(rng, part_words, 1 - label)
    quality, opposite = _agreeing(rng, topic["qualities"], label, virtue), _agreeing(rng, topic["qualities"], 1 - label, fault)
    verb, other_verb = _agreeing(rng, verbs, label), _agreeing(rng, verbs, 1 - label)
    return {
        "setting": _pick(rng, topic["settings"]),
        "kind": kind,
        "thing": f"{_pick(rng, GRAMMAR['the'])} {kind}",
        "of": topic["of"],
        "tried": topic["tried"],
        "part": f"the {part}",
        "is": "are" if part.endswith("s") else "is",
        "they": "they" if part.endswith("s") else "it",
        "very": _pick(rng, GRAMMAR["very"]),
        "denied": _pick(rng, GRAMMAR["denied"]),
        "denied noun": _pick(rng, GRAMMAR["denied_noun"]),
        "misjudged": _pick(rng, GRAMMAR["misjudged"]),
        "too much": _agreeing(rng, GRAMMAR["too_much"], 1 - label),
        "someone": _pick(rng, GRAMMAR["someone"]),
        "+part": virtue,
        "+part too": _agreeing(rng, part_words, label, virtue),
        "-part": fault,
        "+thing": quality,
        "+thing too": _agreeing(rng, topic["qualities"], label, virtue, quality),
        "-thing": opposite,
        "a+thing": _with_article(quality),
        "a-thing": _with_article(opposite),
        "+noun": _agreeing(rng, nouns, label),
        "-noun": _agreeing(rng, nouns, 1 - label),
        "+verb": verb,
        "-verb": other_verb,
        "+verbed": _past(verb),
        "-verbed": _past(other_verb),
        "+liked": _agreeing(rng, GRAMMAR["liked"], label),
        "-liked": _agreeing(rng, GRAMMAR["liked"], 1 - label),
    }


def _agreeing(rng: random.Random, words: Words, label: int, *but: str) -> str:
    return _pick(rng, [word for word in words["good" if label else "bad"] if word not in but])


def _with_article(word: str) -> str:
    # By letter, not by sound: no word of ours is like "honest" or "unique".
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _past(verb: str) -> str:
    return verb + ("d" if verb.endswith("e") else "ed")


def _pick(rng: random.Random, options: Sequence[T]) -> T:
    # Of Python's generator only random() promises the same numbers in every version.
    return options[int(rng.random() * len(options))]
