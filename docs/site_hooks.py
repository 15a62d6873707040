"""Hooks of mkdocs: links to files of the repository that are not pages become plain text on the site.

tests/test_layout.py holds that the files are there.
"""

from __future__ import annotations

import re
from typing import Any


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Return a page without the links that leave the folder of the documentation."""
    depth = page.file.src_uri.count("/")
    return re.sub(rf"(?<!!)\[([^\]]+)\]\((?:\.\./){{{depth + 1},}}[^)]*\)", r"\1", markdown)
