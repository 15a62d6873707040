"""Numbers written for people: points, intervals, p values, seconds, joules, bytes, counts and lists."""

from __future__ import annotations

import math
from collections.abc import Sequence

from hadamard.orchestrator.analysis.inference import Interval

NONE = "–"


def signed(value: float, digits: int = 1) -> str:
    """Return a fraction as signed percentage points, with a real minus sign."""
    text = f"{100 * value:+.{digits}f}"
    return (text[1:] if float(text) == 0 else text).replace("-", "−")


def points(value: float) -> str:
    """Return a fraction's size as percentage points in words."""
    size = abs(100 * value)
    text = f"{size:.1f}" if size >= 0.05 else f"{size:.2f}"
    return f"{text} point" if text == "1.0" else f"{text} points"


def between(interval: Interval) -> str:
    """Return an interval as signed percentage points, with a second digit where one would round a bound to zero."""
    digits = 2 if any(abs(100 * bound) < 0.05 for bound in interval) else 1
    return f"{signed(interval[0], digits)} to {signed(interval[1], digits)}"


def plus_minus(estimate: float, interval: Interval | None) -> str:
    """Return a fraction's size in points with half its interval's width, such as `0.8 ± 0.3`, with the digits that the width deserves.

    All intervals of the analysis that are written like this lie evenly around their estimates.
    """
    half = None if interval is None else 50 * (interval[1] - interval[0])
    size = abs(100 * estimate)
    blurred = half is not None and (half < 0.05 or (size > half and round(size, 1) <= round(half, 1)))
    digits = 2 if size < 0.05 or blurred else 1
    return f"{size:.{digits}f}" + ("" if half is None else f" ± {half:.{digits}f}")


def signed_plus_minus(estimate: float, interval: Interval | None) -> str:
    """Return `plus_minus` with the estimate's sign."""
    sign = "−" if estimate < 0 else "+"
    return sign + plus_minus(estimate, interval)


def percent(value: float) -> str:
    """Return a fraction as per cent."""
    return NONE if math.isnan(value) else f"{100 * value:.1f} %"


def p_value(p: float | None) -> str:
    """Return a p value for a table."""
    return NONE if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"


def p_text(p: float) -> str:
    """Return a p value with its sign, such as `= 0.03` or `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"= {p:.2g}"


def duration(seconds: float) -> str:
    """Return seconds in the unit people would use."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"


def joules(energy: float) -> str:
    """Return joules with the prefix people would use."""
    for size, unit in ((1e9, "GJ"), (1e6, "MJ"), (1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "uJ"), (1e-9, "nJ")):
        if abs(energy) >= size:
            return f"{energy / size:.3g} {unit}"
    return f"{energy:.2g} J"


def bytes_in_words(size: float) -> str:
    """Return bytes with the prefix people would use."""
    for power, unit in ((50, "PiB"), (40, "TiB"), (30, "GiB"), (20, "MiB")):
        if size >= 2**power:
            return f"{size / 2**power:.3g} {unit}"
    return f"{size / 2**10:.3g} KiB"


def count(number: int, noun: str) -> str:
    """Return `1 trial` or `3 trials`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[str], last: str = "and") -> str:
    """Return `a`, `a and b` or `a, b and c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"
