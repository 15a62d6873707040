"""Broken study files: real ones with one to three mutations each, of what people and other programs get wrong."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

NASTY = (
    "", "~", "[]", "{}", "-1", "0", "1e9", "1000000000", "1" * 5000, "-0.0", ".inf", "-.inf", ".nan", "1e400", "0x1F", "0o17", "1_000",
    "yes", "on", "'", '"', "''", "true", "2001-13-45", "2001-01-01", "12:30:45", "!!int abc", "!!float x", "!!bool 7",
    "!!timestamp soon", "!!binary ///", "!!python/object:os.system ls", "!!set {a, b}", "!!omap [a: 1]", "&a [*a]", "*nobody",
    "? {a: 1}", "{[1, 2]: 3}", "{? {a: b} : c}", "[[[[[[]]]]]]", "[" * 400 + "]" * 400, "{low: 1, high: 0}",
    "{low: 1, high: 2, levels: 1000000000}", "[1, 1]", "[a, 1, true]", "../../etc/passwd", "~nosuchuser/x", "/dev/zero",
    "/proc/self/mem", "\\x00", '"\\u0000"', '"\\ud800"', "x" * 10_000, "\N{GRINNING FACE}", "<script>", "a\tb", "| \n  block",
    "a: b: c", "# nothing", "%YAML 1.1", "---", "...", "null", "NaN", "{kind: quantum}", "{kind: none}", "quantum", "1/0",
)  # fmt: skip
"""Values in the place of others."""


def mutant(text: str, chance: random.Random) -> str:
    """Return a text with one to three mutations."""
    for _ in range(chance.randint(1, 3)):
        text = chance.choice(MUTATIONS)(text, chance)
    return text


def _value(text: str, chance: random.Random) -> str:
    """Put something else in the place of a value."""
    places = list(re.finditer(r"(?<=[:\[,] )[^\s,\[\]{}:#]+|(?<=\[)[^\s,\[\]{}:#]+", text))
    if not places:
        return text
    place = chance.choice(places)
    return text[: place.start()] + chance.choice(NASTY) + text[place.end() :]


def _number(text: str, chance: random.Random) -> str:
    """Put another number in the place of one."""
    places = list(re.finditer(r"(?<=[ \[,])\d[\d.e-]*(?=[,\]}\n ])", text))
    if not places:
        return text
    place = chance.choice(places)
    number = chance.choice(
        ("0", "1", "2", "3", "5", "7", "20", "45", "46", "64", "999", "1000", "4097", "10000", "100000", "0.5", "0.999", "1e-300", "1e300")
    )
    return text[: place.start()] + number + text[place.end() :]


def _key(text: str, chance: random.Random) -> str:
    """Put something else in the place of a key."""
    places = list(re.finditer(r"[\w.]+(?=:)", text))
    if not places:
        return text
    place = chance.choice(places)
    return text[: place.start()] + chance.choice(NASTY) + text[place.end() :]


def _lines(text: str, chance: random.Random) -> str:
    """Leave a line out, repeat it, indent it, or put it elsewhere."""
    lines = text.split("\n")
    at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
    line = lines[at]
    change = chance.randrange(4)
    if change == 0:
        del lines[at]
    elif change == 1:
        lines.insert(to, line)
    elif change == 2:
        lines[at] = " " * chance.randint(1, 5) + line
    else:
        del lines[at]
        lines.insert(min(to, len(lines)), line)
    return "\n".join(lines)


def _characters(text: str, chance: random.Random) -> str:
    """Put any character in the place of another, or cut the text."""
    if not text:
        return text
    at = chance.randrange(len(text))
    if chance.random() < 0.2:
        return text[:at]
    return text[:at] + chance.choice("\x00\x07\t\r\n{}[]:,&*!|>'\"%@`#?-\u2028\ufeff\U0001f600e") + text[at + 1 :]


MUTATIONS: tuple[Callable[[str, random.Random], str], ...] = (_number, _number, _number, _value, _value, _key, _lines, _characters)
