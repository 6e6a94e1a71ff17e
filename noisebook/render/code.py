"""Blocks of code, coloured by Pygments."""

from __future__ import annotations

import re
from xml.etree.ElementTree import Element, SubElement

from noisebook.report.body import Span

_OPENING = re.compile(r"\s*(?:\{\s*)?\.?([\w+#-]*)")
_LINES = re.compile(r"hl_lines\s*=\s*[\"']?([\d\s-]+)")
_ID = re.compile(r"#([\w:.-]+)|id\s*=\s*[\"']?([\w:.-]+)")


def fenced(body: str, span: Span) -> Element:
    """The block of a fence: ``` python hl_lines="2-3", or in braces with a #name."""
    opening = body[span.start : span.inner].lstrip("`~")
    start = body.rfind("\n", 0, span.start) + 1
    before = body[start : span.start]
    mark = re.compile(rf"(?:[ ]{{0,3}}>[ ]?){{0,{before.count('>')}}}" if ">" in before else "")
    indent = len(before) if ">" not in before else len(before) - before.rindex(">") - 2
    lines = []
    for line in span.value.split("\n")[1:]:
        found = mark.match(line)
        rest = line[found.end() :] if found else line
        lines.append(rest[min(max(indent, 0), len(rest) - len(rest.lstrip(" "))) :])
    if lines and re.fullmatch(r"\s*[`~]{3,}\s*", lines[-1]):
        del lines[-1]
    language = _OPENING.match(opening)
    name = language[1] if language else ""
    block = Element("div", {"class": "highlight"})
    if named := _ID.search(opening):
        block.set("id", named[1] or named[2])
    pre = SubElement(block, "pre", tabindex="0")
    code = SubElement(pre, "code")
    marked = _marked(opening, len(lines))
    for number, parts in enumerate(_coloured("\n".join(lines) + "\n" if lines else "", name), 1):
        parent = SubElement(code, "span", {"class": "hll"}) if number in marked else code
        for kind, words in parts:
            if kind:
                SubElement(parent, "span", {"class": kind}).text = words
            elif len(parent):
                parent[-1].tail = (parent[-1].tail or "") + words
            else:
                parent.text = (parent.text or "") + words
    return block


def _marked(opening: str, count: int) -> set[int]:
    found: set[int] = set()
    marked = _LINES.search(opening)
    for each in marked[1].split() if marked else ():
        first, _, last = each.partition("-")
        if first.isdigit() and (last.isdigit() or not last):
            found.update(range(int(first), min(int(last or first), count) + 1))
    return found


def _coloured(code: str, language: str) -> list[list[tuple[str, str]]]:
    """Lines of (class, words); plain if the language is unknown."""
    if not language:
        return [[("", line)] for line in code.splitlines(keepends=True)]
    from pygments.lexers import get_lexer_by_name
    from pygments.token import STANDARD_TYPES
    from pygments.util import ClassNotFound

    try:
        lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    except ClassNotFound:
        return _coloured(code, "")
    lines: list[list[tuple[str, str]]] = [[]]
    for kind, words in lexer.get_tokens(code):
        while kind not in STANDARD_TYPES:
            kind = kind.parent
        for part in words.splitlines(keepends=True):
            lines[-1].append((STANDARD_TYPES[kind], part))
            if part.endswith("\n"):
                lines.append([])
    return [line for line in lines if line]
