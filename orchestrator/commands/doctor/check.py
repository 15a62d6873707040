"""A check of `hadamard doctor`: what was looked at, what was seen, what to do about it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator

from hadamard.model.errors import UserError
from hadamard.orchestrator.commands.render import Result

LONGEST = 300


class Check(Result):
    """One answer."""

    what: str
    """What was looked at."""
    ok: bool
    """Whether it can be used."""
    seen: str
    fix: str | None = None
    """What to do about it; None where it can be used."""


class DoctorResult(Result):
    """What `hadamard doctor` looked at."""

    checks: tuple[Check, ...]


def check(what: str, ok: bool, seen: str, fix: str = "") -> Check:
    """Return a check; what to do about it is told only where it cannot be used."""
    return Check(what=what, ok=ok, seen=seen, fix=None if ok else fix)


def refused(what: str, error: UserError, fix: str = "") -> Check:
    """Return the check that an error of ours stands for: its first sentence says what is wrong, the rest what to do."""
    seen, _, rest = str(error).partition(". ")
    return check(what, False, seen, fix or rest)


def text(check: Check) -> Iterator[str]:
    """Yield a check as a line of text, with what to do about it on a second one."""
    yield f"{'yes' if check.ok else 'no ':<4}{check.what:<17} {check.seen}"
    if not check.ok:
        yield f"{'':<4}{'':<17} -> {check.fix}"


def in_own_process(what: str, code: str, fix: str) -> Check:
    """Run a line of Python elsewhere: a broken package must not take the doctor along."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    if done.returncode == 0:
        return check(what, True, done.stdout.strip().splitlines()[-1])
    return check(what, False, reason(done.stderr), fix)


def reason(output: str) -> str:
    """Return why a program failed from its output: the last line, without the error's class if that is not a built-in one.

    Of our own errors it is the first sentence, which says what is wrong. Cut between words.
    """
    last = (output.strip().splitlines() or ["failed without a word"])[-1]
    named = re.fullmatch(r"(?:\w+\.)+\w+: (.*)", last)
    return textwrap.shorten(named[1].partition(". ")[0] if named else last, LONGEST, placeholder=" ...")
