"""The code of a page of docs/extending, so that tests run what the page shows."""

from __future__ import annotations

import re

from tests.conftest import ROOT
from tests.support.extended import Extended


def extend_as_documented(extended: Extended, page: str) -> list[str]:
    """Add to a copy of the package every file and line that a page shows; return the paths of the files.

    A file is a `python` block after its path, a line a `text` block after "The line in" and the path of the registry; it goes
    below an entry that is there.
    """
    text = (ROOT / "docs" / "extending" / page).read_text()
    files = re.findall(r"^`(\S+\.py)`:\n\n```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    for path, code in files:
        extended.add_file(path, code)
    for path, line in re.findall(r"^The line in `(\S+)`:\n\n```text\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL):
        entries = re.findall(r"^    +(?:\"\S+:\w+\",.*|\),)$", (extended.package / path).read_text(), re.MULTILINE)
        extended.add_line(path, after=entries[-1], line=line)
    return [path for path, _ in files]
