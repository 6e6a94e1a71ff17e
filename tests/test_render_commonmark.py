"""Blocks as another reader of CommonMark has them, of any text that is put together from lines."""

from __future__ import annotations

import re
from html import unescape

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
    *("| a | b |", "|---|:-:|", "| 1 | 2 |", "a | b", "`m`", "[n]", "o  ", "\n`q\nr` s", "-\ts", "\tt\tu"),
    *(">\t\tv", "1.\tw", "\t- x", "-\t```\n\t\ty\tz\n\t```", "```\n\ta\n```", "> ```\n>\tb\n> ```"),
]
_BLOCKS = "p|ul|ol|li|h|blockquote|pre|hr|table|thead|tbody|tr|td|code|br"

_KEPT = re.compile(r'[ ](?:start|href|title)="[^"]*"')

UNLIKE = re.compile(
    r"^(?:[ ]+\S|>|.*(?:[-*+>]|\d[.)])[ ]+(?:[-*+>]|\d[.)])[ ]).*\n[ ]{4,}\S"
    r"|(?:^|[ ])(?:[-*+]|\d+[.)])[ ]*\n[> ]*\n[> ]*\n|\\[ ]{2,}$",
    re.MULTILINE,
)
"""Where markdown-it-py is not CommonMark, as cmark shows: far indented lines below nested blocks are code for
it, not the paragraph's; two blank lines after an empty item end its list; no break follows a backslash."""
INLINES = [
    *("a", "b", " ", " ", "\n", " *c* ", " **d** ", " _e_ ", " ***f*** ", "`g", "h`", "``", "\\", "\\\n"),
    *("&amp;", "&lt;", "&#35;", "&#x22;", "&copy;", "&none;", "\\&amp;", " <https://a.org>", "<b@c.de>", "."),
    *("[i](j)", '[k](l "m")', "[o](p 'q')", "[r](s (t))", "[u](<v>)", "[n] ", "[w][n] ", "[*x*](y)", "  \n"),
    *('[b](c "&copy; \\" d")', "\\[", "\\*", "<", "a_b_c", "\t", "é", "`[z](a)`"),
]


SIGNS = ["a", "b", " ", "*", "**", "***", "_", "__", "\n"]


def bare(html: str) -> str:
    """Only what there is: no attributes but a list's and a link's, no levels, no spaces that do not show."""
    html = re.sub(r'<a class="permalink".*?</a>|</?(?:div|span)[^>]*>', "", html)
    html = re.sub(r"<(/?)h[1-6]", r"<\1h", html).replace("th>", "td>").replace("<th ", "<td ")
    html = re.sub(r"<(\w+)([^>]*)>", lambda m: f"<{m[1]}{''.join(_KEPT.findall(m[2]))}>", html)
    html = html.replace("<em><strong>", "<strong><em>").replace("</strong></em>", "</em></strong>")
    parts = re.split(r"(<pre.*?</pre>)", html, flags=re.DOTALL)
    html = "".join(
        each if each[:4] == "<pre" else re.sub(r"[ \t]*\n[ ]*|[ \t]+", " ", each) for each in parts
    )
    html = unescape(html).replace("…", "...")
    html = html.replace("—", "---").replace("–", "--").translate(str.maketrans("“”‘’", "\"\"''"))
    html = re.sub(rf'\s*(</?(?:{_BLOCKS})(?: start="\d+")?>)\s*', r"\1", html)
    return html.replace("<tbody></tbody>", "").strip()


def agrees(text: str) -> None:
    text += "\n\n[n]: https://a.org 'o'"
    try:
        found = Writer(Context({}, {}, Styles(), lambda _: None)).body(text, "x.md", 1, lambda _: "").html
    except BadInput as error:
        assert all(1 <= problem.position.line <= text.count("\n") + 1 for problem in error.problems)
        return
    if not scan(text)[1] and not UNLIKE.search(text.expandtabs(4)):
        assert bare(found) == bare(ORACLE.render(text)), text


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(LINES), max_size=8))
def test_blocks_are_those_of_commonmark(lines: list[str]) -> None:
    agrees("\n".join(lines))


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(INLINES), max_size=8))
def test_what_stands_in_a_line_is_that_of_commonmark(parts: list[str]) -> None:
    agrees("a" + "".join(parts))


@settings(deadline=None, max_examples=400)
@given(st.lists(st.sampled_from(SIGNS), max_size=12))
def test_emphasis_is_that_of_commonmark(parts: list[str]) -> None:
    agrees("a" + "".join(parts) + "b")


@pytest.mark.parametrize("text", ["a\t \nb", "a \t\nb", "a\t  \nb", "a  \t\nb", "a\t\tb\t  \t\nc"])
def test_tabs_at_a_lines_end_break_no_line(text: str) -> None:
    agrees(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("*$x$**$y$*$z$", "<em><math><mi>x</mi></math>**<math><mi>y</mi></math></em><math><mi>z</mi></math>"),
        ("**Note:**text", "<strong>Note:</strong>text"),
        ("n**(a)**", "n<strong>(a)</strong>"),
        ("**`x`**s", "<strong><code>x</code></strong>s"),
        ("f(*args) and g(*more)", "f(*args) and g(*more)"),
    ],
)
def test_emphasis_beside_marks_of_punctuation(text: str, expected: str) -> None:
    """Nothing is lost, and what CommonMark leaves as it is typed is read where its sense is plain."""
    assert expected in str(Writer(Context({}, {}, Styles(), lambda _: None)).body(text, "x.md", 1, str).html)


@pytest.mark.soak
@settings(deadline=None, max_examples=50_000)
@given(st.lists(st.sampled_from(LINES), max_size=16))
def test_blocks_of_longer_texts_are_those_of_commonmark(lines: list[str]) -> None:
    agrees("\n".join(lines))


@pytest.mark.soak
@settings(deadline=None, max_examples=50_000)
@given(st.lists(st.sampled_from(INLINES), max_size=16))
def test_what_stands_in_longer_lines_is_that_of_commonmark(parts: list[str]) -> None:
    agrees("a" + "".join(parts))


@pytest.mark.soak
@settings(deadline=None, max_examples=50_000)
@given(st.lists(st.sampled_from(SIGNS), max_size=24))
def test_emphasis_of_longer_texts_is_that_of_commonmark(parts: list[str]) -> None:
    agrees("a" + "".join(parts) + "b")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("<https://a.b/c?d=$x$>", "https://a.b/c?d=$x$"),
        ("<https://x.org/a`b`c>", "https://x.org/a`b`c"),
        (r"<https://x.org/\_a>", "https://x.org/%5C_a"),
        ("[r]\n\n[r]: https://x.org/$a$/`b`/_c_ 'R $x$'", "https://x.org/$a$/`b`/_c_"),
        ("[p](https://x.org/$a$/b)", "https://x.org/$a$/b"),
        ("[p](https://x.org/`a`/b 'T')", "https://x.org/`a`/b"),
        ("[p](https://x.org/$a) and $y$", "https://x.org/$a"),
        ("https://x.org/$HOME/$x", "https://x.org/$HOME/$x"),
        ("[p](https://x.org/{{a)", "https://x.org/{{a"),
        ("https://x.org/?a=1&section=2", "https://x.org/?a=1&amp;section=2"),
        ("<https://x.org/?a=1&section=2;>", "https://x.org/?a=1&amp;section=2;"),
        ("[p](https://x.org/?a=1&section;&amp;b)", "https://x.org/?a=1&amp;section;&amp;b"),
        ("[p]\n\n[p]: https://x.org/?a=1&section=2", "https://x.org/?a=1&amp;section=2"),
        (r"https://x.org/a\_b", "https://x.org/a%5C_b"),
    ],
)
def test_addresses_are_taken_as_they_are_written(text: str, address: str) -> None:
    """Nothing is sought in them but entities and, in a link's parentheses, escapes."""
    html = str(Writer(Context({}, {}, Styles(), lambda _: None)).body(text, "x.md", 1, str).html)
    assert f'<a href="{address}"' in html and "\x02" not in html and "piece:" not in html


def test_titles_of_links_keep_their_words() -> None:
    text = "[r] [i](https://x.org '&section=2')\n\n[r]: https://x.org 'R $x$ &copy=1'"
    html = str(Writer(Context({}, {}, Styles(), lambda _: None)).body(text, "x.md", 1, str).html)
    assert 'title="R x &amp;copy=1"' in html and 'title="&amp;section=2"' in html
