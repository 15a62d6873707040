"""A grammar that writes film, book, restaurant and product reviews whose sentiment has to be composed, not looked up.

Owns the words, the sentence frames and how `difficulty` mixes them. Does not own files, splits or any other corpus: that is `text`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from hadamard.model.errors import DataError

T = TypeVar("T")

MOST_SENTENCES = 20_000
"""Beyond this the short frames have said all they can, and the mix of frames would drift towards the long ones."""


@dataclass(frozen=True)
class Words:
    """Words of praise and words of blame for the same things.

    The two lists are equally long, so that neither label repeats itself sooner. None is extreme: a reader takes "far from dull" for praise,
    whereas "far from terrible" leaves the verdict open.
    """

    good: tuple[str, ...]
    bad: tuple[str, ...]


@dataclass(frozen=True)
class Topic:
    """What one kind of review speaks of. Parts that end in "s" are plural, all others singular."""

    things: tuple[str, ...]
    qualities: Words
    parts: tuple[tuple[str, Words], ...]
    """Each part with the words that describe it."""
    verbs: Words
    """Regular verbs: what a part does to the reviewer."""
    nouns: Words
    settings: tuple[str, ...]
    of: str
    tried: str


def _list(text: str) -> tuple[str, ...]:
    return tuple(text.split(", "))


def _words(good: str, bad: str) -> Words:
    return Words(_list(good), _list(bad))


def _parts(*groups: tuple[str, Words]) -> tuple[tuple[str, Words], ...]:
    return tuple((part, words) for parts, words in groups for part in _list(parts))


_WRITING = _words(
    "clever, gripping, inventive, convincing, original, believable", "predictable, clumsy, muddled, boring, contrived, tedious"
)
_ACTING = _words("convincing, subtle, lively, expressive, engaging, assured", "wooden, stiff, lifeless, forced, mechanical, bland")
_CRAFT = _words("beautiful, imaginative, striking, elegant, polished, impressive", "ugly, sloppy, drab, jarring, shoddy, distracting")
_PROSE = _words("elegant, graceful, lucid, vivid, precise, polished", "clumsy, turgid, stilted, leaden, sloppy, overblown")
_PEOPLE = _words("believable, vivid, engaging, complex, memorable, convincing", "lifeless, wooden, irritating, bland, shallow, forgettable")
_FOOD = _words(
    "delicious, fresh, tasty, appetising, satisfying, memorable", "bland, greasy, tasteless, insipid, disappointing, forgettable"
)
_SERVICE = _words("friendly, attentive, prompt, helpful, efficient, courteous", "rude, slow, careless, clumsy, sloppy, surly")
_ROOM = _words("cosy, cheerful, relaxing, inviting, pleasant, elegant", "gloomy, shabby, oppressive, dreary, drab, depressing")
_BUILD = _words("solid, durable, sturdy, robust, impressive, reassuring", "flimsy, shoddy, fragile, sloppy, crude, brittle")
_USE = _words("intuitive, clear, logical, sensible, simple, helpful", "confusing, baffling, illogical, fiddly, muddled, maddening")

_ART_VERBS = _words("delight, impress, charm, move, intrigue", "bore, annoy, irritate, disappoint, exasperate")
_ART_NOUNS = _words("a joy, a delight, a pleasure, a treat, a triumph, a gem", "a chore, a letdown, a bore, a muddle, a flop, an ordeal")
_USE_VERBS = _words("delight, impress, please, charm, reassure", "annoy, irritate, disappoint, exasperate, frustrate")
_USE_NOUNS = _words(
    "a joy, a delight, a pleasure, a find, a success, a treat", "a letdown, a flop, a dud, a mistake, an ordeal, a disappointment"
)

_TOPICS = (
    Topic(
        things=_list("film, movie, comedy, thriller, drama, sequel, musical"),
        qualities=_words(
            "gripping, inventive, moving, absorbing, charming, thoughtful, memorable, exciting, original, entertaining",
            "tedious, clumsy, boring, predictable, forgettable, shallow, pointless, dreary, derivative, tiresome",
        ),
        parts=_parts(
            ("plot, script, story, dialogue, ending", _WRITING),
            ("acting, lead performance, supporting performances", _ACTING),
            ("camera work, editing, soundtrack, costumes, special effects", _CRAFT),
        ),
        verbs=_ART_VERBS,
        nouns=_ART_NOUNS,
        settings=("from start to finish", "on a second viewing", "on a big screen", "even late at night"),
        of="of",
        tried="seen",
    ),
    Topic(
        things=_list("book, novel, crime novel, ghost story, love story, family saga, fairy tale"),
        qualities=_words(
            "absorbing, gripping, moving, inventive, memorable, thoughtful, rewarding, original, charming, entertaining",
            "tedious, boring, predictable, shallow, forgettable, dreary, derivative, pretentious, tiresome, pointless",
        ),
        parts=_parts(
            ("plot, first chapter, ending, dialogue, opening", _WRITING),
            ("prose, style, language, translation", _PROSE),
            ("narrator, hero, heroine, villain, minor characters", _PEOPLE),
        ),
        verbs=_ART_VERBS,
        nouns=_ART_NOUNS,
        settings=("from the first page to the last", "on a second reading", "on a long journey", "even on a crowded train"),
        of="of",
        tried="read",
    ),
    Topic(
        things=_list("restaurant, bistro, cafe, pizza place, noodle bar, tapas bar, diner"),
        qualities=_words(
            "welcoming, pleasant, charming, delightful, inviting, relaxing, cheerful, impressive",
            "dreary, disappointing, mediocre, gloomy, dingy, depressing, chaotic, forgettable",
        ),
        parts=_parts(
            ("soup, curry, pasta, fish, food, starters, main courses", _FOOD),
            ("service, waiters, head waiter", _SERVICE),
            ("dining room, terrace, atmosphere, decor", _ROOM),
        ),
        verbs=_USE_VERBS,
        nouns=_USE_NOUNS,
        settings=("on every visit", "on a busy Friday evening", "at lunch", "even on a quiet Monday"),
        of="at",
        tried="been to",
    ),
    Topic(
        things=_list("phone, laptop, kettle, camera, vacuum cleaner, toaster, keyboard, coffee maker, printer, radio"),
        qualities=_words(
            "reliable, practical, convenient, dependable, ingenious, capable, effective, likeable",
            "temperamental, clumsy, disappointing, impractical, cumbersome, frustrating, awkward, tiresome",
        ),
        parts=_parts(
            ("casing, finish, buttons, materials", _BUILD),
            ("controls, instructions, settings, design", _USE),
            ("customer support, help line, repair service", _SERVICE),
        ),
        verbs=_USE_VERBS,
        nouns=_USE_NOUNS,
        settings=("after a month of daily use", "straight out of the box", "a year on", "even after hard use"),
        of="of",
        tried="owned",
    ),
)

_THE = _list("this, the, this new")
_VERY = ("", "", "very ", "really ", "truly ", "remarkably ", "decidedly ")
_LIKED = _words("loved, liked, enjoyed, admired, adored", "hated, disliked, loathed, detested, despised")
_SOMEONE = _list("my sister, my neighbour, a colleague, my father, a friend, my flatmate")
_DENIED = _list("not, not at all, not remotely, not in the least, never, hardly, far from, anything but, by no means, in no way")
_DENIED_NOUN = _list("hardly, far from, anything but, by no means, in no way, never")
_MISJUDGED = _list("an error, simply wrong, misleading, untrue")
_TOO_MUCH = _words("generous, too kind, flattering", "harsh, too severe, unfair")
"""What calling something good, or bad, is when it is not so."""

# In a frame "+" marks a word that agrees with the label and "-" one that contradicts it. The frame is drawn without looking at the label,
# so the frame alone tells nothing. What decides is what the reviewer says of the whole thing; what others say, what was expected and what
# a single part is like are conceded.
_PLAIN_FRAMES = (
    "{setting}, {part} {is} {very}{+part} and {+part too}.",
    "{part} {of} {thing} {is} {very}{+part}.",
    "I found {part} {of} {thing} {very}{+part} and {+part too}.",
    "{setting}, {thing} is {very}{+thing}.",
    "{thing} is {very}{+thing}, and {part} {is} {+part}.",
    "{part} {is} {+part}, and {thing} is {+noun}.",
    "{setting}, {thing} is {+noun}.",
    "what {a+thing} {kind}, and how {+part} {part} {is}!",
    "{part} {of} {thing} {+verbed} me.",
    "I {+liked} {thing}, above all {part}.",
)
_COMPOSED_FRAMES = (
    # Denied.
    "{part} {of} {thing} {is} {denied} {-part}.",
    "{setting}, {thing} is {denied} {-thing}.",
    "nobody could call {part} {-part}, and {thing} is {+noun}.",
    "there is nothing {-thing} about {thing}: it is {+noun}, and I {+liked} {part}.",
    "not once did {part} {-verb} me; {thing} is {+noun}, and I {+liked} it.",
    # Denied, and the opposite said.
    "{setting}, {thing} is {denied noun} {-noun}: I {+liked} it, above all {part}.",
    "{part} {is} {denied} {-part}, and I {+liked} {thing}.",
    "{part} {of} {thing} never {-verbed} me; {they} {is} {very}{+part} and {+part too}.",
    "at no point did I find {part} {-part}; {thing} is {+thing}, and I {+liked} it.",
    # Negative words that deny nothing.
    "{setting}, {thing} is not only {+thing} but {+thing too}.",
    "{part} {is} never anything but {+part}, and {thing} is {+noun}.",
    "I have never {tried} a more {+thing} {kind}, and {part} {is} {very}{+part} too.",
    # Hedged.
    "to call {thing} {-thing} would be {too much}: I {+liked} it, above all {part}.",
    "it would be {misjudged} to call {part} {-part}; {thing} is {+noun}, and I {+liked} it.",
    "{setting}, {thing} is less {-thing} than {+thing}, and {part} {+verbed} me.",
    "I would sooner call {part} {+part} than {-part}, and {thing} is {+noun}.",
    "{setting}, {thing} is closer to {+noun} than to {-noun}, and I {+liked} it.",
    # Contrasted.
    "{part} {is} {-part}, but {thing} as a whole is {+noun}, and I {+liked} it.",
    "although {part} {is} {very}{-part}, {thing} is {+thing} and {+noun}.",
    "{thing} is {+noun}, although {part} {is} {-part}.",
    "{part} may be {-part}, but all in all {thing} is {+thing}, and I {+liked} it.",
    "{someone} {-liked} {thing}, but to me it is {+thing} and {+noun}.",
    "I expected {thing} to be {-thing}, but it is {very}{+thing} and {+thing too}.",
    "the reviews promised {a-thing} {kind}; what I got was {+noun}, and I {+liked} {part}.",
    "{thing} could have been {-noun}; instead it is {very}{+thing}, and {part} {+verbed} me.",
    # Contrasted and denied.
    "although {part} {is} {denied} {+part}, {thing} is {+noun}.",
    "{part} {is} {-part}, but {thing} is {denied} {-thing}: I {+liked} it.",
)


def write(sentences: int, difficulty: float, seed: int) -> list[tuple[str, int]]:
    """Write distinct review sentences with labels 1 (praise) and 0 (blame), as many of either within one.

    The first sentences of a longer corpus are the shorter one of the same difficulty and seed.

    Args:
        sentences: how many to write, up to `MOST_SENTENCES`.
        difficulty: the chance, 0 to 1, that a sentence is negated, hedged or contrasted instead of plain.
        seed: of the draw.

    Raises:
        DataError: more sentences are asked for than the grammar can write without repeating itself.
    """
    if sentences > MOST_SENTENCES:
        raise DataError(
            f"data.sentences is {sentences}, but the `reviews` grammar writes at most {MOST_SENTENCES} sentences without repeating itself: "
            "ask for fewer, or give data.name a name of your own and data.path a TSV file of yours."
        )
    rng = random.Random(seed)
    written: dict[str, int] = {}
    label = 0
    while len(written) < sentences:
        # Labels come in shuffled pairs, so every beginning of the corpus is balanced.
        label = 1 - label if len(written) % 2 else int(rng.random() < 0.5)
        frames = _COMPOSED_FRAMES if rng.random() < difficulty else _PLAIN_FRAMES
        sentence = _sentence(rng, frames, label)
        while sentence in written:
            sentence = _sentence(rng, frames, label)
        written[sentence] = label
    return list(written.items())


def _sentence(rng: random.Random, frames: Sequence[str], label: int) -> str:
    sentence = _pick(rng, frames).format_map(_fill(rng, _pick(rng, _TOPICS), label))
    return sentence[0].upper() + sentence[1:]


def _fill(rng: random.Random, topic: Topic, label: int) -> dict[str, str]:
    """Draw what goes into each place of a frame, whether the frame has that place or not."""
    kind = _pick(rng, topic.things)
    part, part_words = _pick(rng, topic.parts)
    # No word twice in a sentence: "the plot is gripping, and this film is gripping".
    virtue, fault = _agreeing(rng, part_words, label), _agreeing(rng, part_words, 1 - label)
    quality, opposite = _agreeing(rng, topic.qualities, label, virtue), _agreeing(rng, topic.qualities, 1 - label, fault)
    verb, other_verb = _agreeing(rng, topic.verbs, label), _agreeing(rng, topic.verbs, 1 - label)
    return {
        "setting": _pick(rng, topic.settings),
        "kind": kind,
        "thing": f"{_pick(rng, _THE)} {kind}",
        "of": topic.of,
        "tried": topic.tried,
        "part": f"the {part}",
        "is": "are" if part.endswith("s") else "is",
        "they": "they" if part.endswith("s") else "it",
        "very": _pick(rng, _VERY),
        "denied": _pick(rng, _DENIED),
        "denied noun": _pick(rng, _DENIED_NOUN),
        "misjudged": _pick(rng, _MISJUDGED),
        "too much": _agreeing(rng, _TOO_MUCH, 1 - label),
        "someone": _pick(rng, _SOMEONE),
        "+part": virtue,
        "+part too": _agreeing(rng, part_words, label, virtue),
        "-part": fault,
        "+thing": quality,
        "+thing too": _agreeing(rng, topic.qualities, label, virtue, quality),
        "-thing": opposite,
        "a+thing": _with_article(quality),
        "a-thing": _with_article(opposite),
        "+noun": _agreeing(rng, topic.nouns, label),
        "-noun": _agreeing(rng, topic.nouns, 1 - label),
        "+verb": verb,
        "-verb": other_verb,
        "+verbed": _past(verb),
        "-verbed": _past(other_verb),
        "+liked": _agreeing(rng, _LIKED, label),
        "-liked": _agreeing(rng, _LIKED, 1 - label),
    }


def _agreeing(rng: random.Random, words: Words, label: int, *but: str) -> str:
    return _pick(rng, [word for word in (words.good if label else words.bad) if word not in but])


def _with_article(word: str) -> str:
    # By letter, not by sound: no word of ours is like "honest" or "unique".
    return f"an {word}" if word[0] in "aeiou" else f"a {word}"


def _past(verb: str) -> str:
    return verb + ("d" if verb.endswith("e") else "ed")


def _pick(rng: random.Random, options: Sequence[T]) -> T:
    # Of Python's generator only random() promises the same numbers in every version.
    return options[int(rng.random() * len(options))]
