"""Blocks as another reader of CommonMark has them, of any text that is put together from lines."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from noisebook.render.prose import Context, Writer
from noisebook.render.styles import Styles
from noisebook.report.body import scan
from noisebook.report.model import BadInput

ORACLE = MarkdownIt("commonmark", {"html": False}).enable("table")
LINES = [
    *("", "", "", "a", "b *c*", "- d", "- e", "* f", "+ g", "1. h", "2. i", "3) j", "10. k", "-", "1."),
    *(" l", "  m", "   n", "    o", "      p", "  - q", "   - r", "    - s", "      - t", "- - u", "1. 1. v"),
    *("> w", ">", "> - x", ">     y", "  > a", "- > b", "# c", "## d #", "- # e", "#f", "===", "---", "***"),
    *("- - -", "```\ng\n```", "~~~\n  h\n\n~~~", "- ```\n  i\n  ```", "    1. j", "1984. k", "\\- l", "p\\"),
    *("| a | b |", "|---|:-:|", "| 1 | 2 |", "a | b", "`m`", "[n]", "o  "),
]
_BLOCKS = "p|ul|ol|li|h|blockquote|pre|hr|table|thead|tbody|tr|td|code|br"

UNLIKE = re.compile(r"^(?:[ ]+\S|>|.*(?:[-*+>]|\d[.)])[ ]+(?:[-*+>]|\d[.)])[ ]).*\n[ ]{4,}\S", re.MULTILINE)
"""Far indented lines below nested blocks: code for markdown-it-py, the paragraph's in CommonMark."""


def bare(html: str) -> str:
    """Only what blocks there are: no attributes but where a list begins, no levels, no spaces around tags."""
    html = re.sub(r'<a class="permalink".*?</a>|</?(?:div|span)[^>]*>', "", html)
    html = re.sub(r"<(/?)h[1-6]", r"<\1h", html).replace("th>", "td>").replace("<th ", "<td ")
    html = re.sub(r'<(\w+)[^>]*?( start="\d+")?[^>]*>', lambda m: f"<{m[1]}{m[2] or ''}>", html)
    html = html.replace("—", "---").replace("–", "--").replace("&quot;", '"')
    html = re.sub(rf'\s*(</?(?:{_BLOCKS})(?: start="\d+")?>)\s*', r"\1", html)
    return html.replace("<tbody></tbody>", "").strip()


def agrees(lines: list[str]) -> None:
    text = "\n".join([*lines, "", "[n]: https://a.org"])
    try:
        found = Writer(Context({}, {}, Styles(), lambda _: None)).body(text, "x.md", 1, lambda _: "").html
    except BadInput as error:
        assert all(1 <= problem.position.line <= text.count("\n") + 1 for problem in error.problems)
        return
    if not scan(text)[1] and not UNLIKE.search(text):
        assert bare(found) == bare(ORACLE.render(text)), text


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(LINES), max_size=8))
def test_blocks_are_those_of_commonmark(lines: list[str]) -> None:
    agrees(lines)


@pytest.mark.soak
@settings(deadline=None, max_examples=50_000)
@given(st.lists(st.sampled_from(LINES), max_size=16))
def test_blocks_of_longer_texts_are_those_of_commonmark(lines: list[str]) -> None:
    agrees(lines)
