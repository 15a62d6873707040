"""A finding of `hadamard doctor`: what was looked at, what was seen, what to do about it.

Owns its form, and checks that need a process of their own. Does not own any check.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from dataclasses import dataclass

LONGEST = 300


@dataclass(frozen=True)
class Check:
    """One answer.

    Attributes:
        what: What was looked at.
        ok: Whether it can be used.
        found: What was seen.
        remedy: What to do about it, where it cannot be used.
    """

    what: str
    ok: bool
    found: str
    fix: str = ""


def in_own_process(what: str, code: str, fix: str) -> Check:
    """Run a line of Python elsewhere: a broken package must not take the doctor along."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1"}
    )
    if done.returncode == 0:
        return Check(what, True, done.stdout.strip().splitlines()[-1])
    return Check(what, False, reason(done.stderr), fix)


def reason(said: str) -> str:
    """Return why a program failed from what it said: its last line, without the error's class if that is not a built-in one.

    Our own errors say in their first sentence what is wrong, and then what to do: that is the finding's remedy. Cut between words.
    """
    last = (said.strip().splitlines() or ["failed without a word"])[-1]
    named = re.fullmatch(r"(?:\w+\.)+\w+: (.*)", last)
    return textwrap.shorten(named[1].partition(". ")[0] if named else last, LONGEST, placeholder=" ...")
