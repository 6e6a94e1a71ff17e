"""The blocks of a text, as CommonMark has them. What stands in their lines is still Markdown."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element, SubElement

from noisebook.render import marks
from noisebook.render.html import checkbox, unseen
from noisebook.render.paragraphs import paragraph_faults, without_references
from noisebook.render.tables import Tables, caption

DEEPEST = 30
"""Quotes, lists and the like that may stand in one another."""
TEXT = "text"
"""The tag of words that stand in their parent without an element of their own."""

_TITLES = (["admonition-title"], ["summary"])
Fault = Callable[[int, str, str], None]


@dataclass(slots=True)
class _Container:
    """An open block that holds others; ``width`` is how far its further lines are indented."""

    kind: str
    element: Element
    line: int
    width: int = 0
    listed: Element | None = None
    """The list that it is an item of."""


@dataclass(slots=True)
class _Leaf:
    """A block of lines that is not finished."""

    kind: str
    parent: Element
    line: int
    lines: list[str] = field(default_factory=list)


class Blocks:
    """Reads lines into ``root``.

    ``whole`` gives the element of a line that is one block already (code, a figure), or None; ``original``
    what stood in a line before anything was taken out of it. After :meth:`read`, ``leaves`` are the elements
    whose text is still Markdown, with their lines; ``notes`` the footnotes by their names.
    """

    def __init__(
        self, whole: Callable[[str], Element | None], original: Callable[[str], str], fault: Fault
    ) -> None:
        self.root = Element("div")
        self.leaves: list[tuple[Element, int]] = []
        self.notes: dict[str, tuple[Element, int]] = {}
        self.references: dict[str, tuple[str, str]] = {}
        """What labels of links stand for: address and title."""
        self._whole, self._original, self._fault = whole, original, fault
        self._open = [_Container("root", self.root, 0)]
        self._leaf: _Leaf | None = None
        self._blank = self._lazy = False
        self._loose: set[Element] = set()
        self._number, self._raw, self._width = 0, "", 0

    def read(self, lines: list[str]) -> None:
        """All lines of a text. Code keeps its tabs; elsewhere they are the spaces that they stand for."""
        for self._number, self._raw in enumerate(lines):
            line = marks.untabbed(self._raw)
            self._width = len(line)
            self._line(line)
            if len(self._open) > DEEPEST:
                self._fault(self._number, f"blocks stand more than {DEEPEST} deep in one another", "")
                break
        self._start(1)
        for tree in (self.root, *(note for note, _ in self.notes.values())):
            for listed in tree.iter():
                if listed.tag in ("ul", "ol", "dl") and listed not in self._loose:
                    # Items without blank lines between them need no paragraphs of their own.
                    for child in (child for item in listed for child in item):
                        child.tag = TEXT if child.tag == "p" and not child.attrib else child.tag

    def _line(self, line: str) -> None:
        rest, matched = self._continue(line)
        if not rest.strip():
            self._empty(matched)
            return
        lazy = matched < len(self._open) and self._leaf is not None and self._leaf.kind == "p"
        while True:
            text = rest.lstrip(" ")
            indent = len(rest) - len(text)
            if indent > 3 or not (opened := self._opening(text, indent, matched)):
                break
            rest, matched, lazy = opened, len(self._open), False
            if not rest.strip():
                self._blank = False
                return
            if len(self._open) > DEEPEST:
                return
        block = marks.HEADING.match(text.rstrip()) or marks.RULE.match(text)
        if lazy and (indent > 3 or (not block and self._whole(text) is None)):
            assert self._leaf
            self._leaf.lines.append(text)
        else:
            self._close(matched)
            self._content(rest, text, indent)
        self._blank, self._lazy = False, lazy

    def _continue(self, line: str) -> tuple[str, int]:
        """What remains of a line within the open containers, and how many of them it continues."""
        rest = line
        for index, box in enumerate(self._open[1:], 1):
            text = rest.lstrip(" ")
            indent = len(rest) - len(text)
            if box.kind == "quote":
                if indent > 3 or not text.startswith(">"):
                    return rest, index
                rest = text[1:].removeprefix(" ")
            elif box.kind != "details" and text:
                if indent < box.width:
                    return rest, index
                rest = rest[box.width :]
        return rest, len(self._open)

    def _empty(self, matched: int) -> None:
        """A line with nothing in it ends paragraphs and the quotes that it does not continue."""
        self._blank = True
        if self._leaf and self._leaf.kind == "code" and matched == len(self._open):
            self._leaf.lines.append("")
            return
        self._finish()
        box = self._open[-1]
        if box.kind == "item" and not len(box.element) and matched == len(self._open):
            self._close(matched - 1)  # an item may begin with one blank line, not with two
        if matched < len(self._open) and self._open[matched].kind == "quote":
            self._close(matched)

    def _opening(self, text: str, indent: int, matched: int) -> str | None:
        """Open the container that begins here and give what remains of the line, or None."""
        paragraph = self._leaf is not None and self._leaf.kind == "p" and matched == len(self._open)
        if text.startswith(">"):
            self._start(matched)
            return self._quote(text[1:].removeprefix(" "))
        if marks.RULE.match(text) and not (paragraph and marks.UNDERLINE.match(text)):
            return None
        if item := marks.ITEM.match(text):
            interrupts = item[4] is not None and item[2] in (None, "1")
            if interrupts or not paragraph:
                self._start(matched)
                return self._item(item, text, indent)
        if note := marks.NOTE.match(text):
            self._start(1)
            element = Element("li")
            if note[1] in self.notes:
                self._fault(self._number, f"the footnote {note[1]!r} is given twice", "")
            self.notes[note[1]] = element, self._number
            self._push("note", element, 4)
            return text[note.end() :] or " "
        if admonition := marks.ADMONITION.match(text):
            self._start(matched)
            self._admonition(admonition[2], admonition[3], admonition[1])
            self._open[-1].width = 4
            return " "
        means = marks.DEFINITION.match(text) if self._leaf is None or self._leaf.kind == "p" else None
        if means and self._define(min(means.end(), 4), matched):
            return text[means.end() :]
        if details := marks.DETAILS.match(text):
            self._start(matched)
            self._push("details", self._add("details", **({"open": ""} if details[1] else {})), 0)
            return text[details.end() :] or " "
        return self._within_details(text, matched)

    def _within_details(self, text: str, matched: int) -> str | None:
        if (summary := marks.SUMMARY.match(text)) and self._open[-1].kind == "details":
            self._start(matched)
            self._text(self._add("summary"), summary[1])
            return text[summary.end() :] or " "
        if self._open[-1].kind == "details" and text[:8].lower() == "<summary":
            self._fault(self._number, "<summary> and </summary> stand on one line", "")
        if end := marks.DETAILS_END.match(text):
            for depth in range(len(self._open) - 1, 0, -1):
                if self._open[depth].kind == "details":
                    self._open[depth].kind = "done"
                    self._close(depth)
                    return text[end.end() :] or " "
        return None

    def _quote(self, text: str) -> str:
        if alert := marks.ALERT.match(text):
            self._admonition(alert[1].lower(), alert[3] or None, {"+": "???+", "-": "???"}.get(alert[2], ">"))
            self._open[-1].kind = "quote"
            return " "
        self._push("quote", self._add("blockquote"), 0)
        return text or " "

    def _item(self, item: re.Match[str], text: str, indent: int) -> str:
        tag = "ul" if item[1] else "ol"
        marker = item[1] or item[3]
        width = item.end() if item[4] is not None else len(item[0].rstrip()) + 1
        if item[4] is not None and len(item[4]) > 4:
            width -= len(item[4]) - 1  # code within the item
        parent = self._open[-1].element
        last = parent[-1] if len(parent) else None
        if last is None or last.tag != tag or last.get("marker") != marker:
            last = self._add(tag, marker=marker)
            if item[2] and int(item[2]) != 1:
                last.set("start", str(int(item[2])))
        elif self._blank:
            self._loose.add(last)
        element = SubElement(last, "li")
        self._blank = False  # what follows on this line does not stand after a blank one
        self._push("item", element, indent + width, last)
        rest = text[width:]
        if task := marks.TASK.match(rest):
            last.set("class", "tasks")
            element.append(checkbox(task[1] != " "))
            rest = rest[task.end() :]
        return rest or " "

    def _admonition(self, kind: str, title: str | None, mark: str) -> None:
        folded = mark.startswith("???")
        element = self._add("details" if folded else "div")
        element.set("class", f"admonition {kind.lower()}")
        if mark == "???+":
            element.set("open", "")
        if title != "":
            words = SubElement(element, "summary" if folded else "p")
            if not folded:
                words.set("class", "admonition-title")
            self._text(words, title or kind.capitalize())
        self._push("indented", element, 0)

    def _define(self, width: int, matched: int) -> bool:
        """Begin a definition, if a term stands before it; whether one does."""
        parent = self._open[matched - 1].element
        leaf = self._leaf if self._leaf and self._leaf.kind == "p" and self._leaf.parent is parent else None
        last = parent[-1] if len(parent) else None
        if leaf:
            terms, self._leaf = leaf.lines, None
        elif last is not None and last.tag == "p":
            terms = (last.text or "").split("\n")
            parent.remove(last)
            self.leaves = [each for each in self.leaves if each[0] is not last]
            last = parent[-1] if len(parent) else None
        elif last is not None and last.tag == "dl":
            terms = []
            if self._leaf and self._lazy:
                self._fault(self._number - 1, "this line is no term", "a blank line goes before a term")
        else:
            return False
        self._close(matched)
        if last is None or last.tag != "dl":
            last = self._add("dl")
        elif self._blank and not terms:
            self._loose.add(last)
        for term in terms:
            self._text(SubElement(last, "dt"), term)
        self._push("indented", SubElement(last, "dd"), width, last)
        return True

    def _content(self, rest: str, text: str, indent: int) -> None:
        """A line that opens no container."""
        leaf = self._leaf
        other = indent > 3 or any(each.match(text.rstrip()) for each in marks.AFTER_TABLES)
        if leaf and ((leaf.kind == "code" and indent <= 3) or (leaf.kind == "table" and other)):
            self._finish()
            leaf = None
        if indent > 3 and (leaf is None or leaf.kind == "code"):
            leaf = self._leaf = leaf or _Leaf("code", self._parent(), self._number)
            leaf.lines.append(self._code(rest))
            return
        if indent <= 3 and (whole := self._whole(text)) is not None:
            if not (leaf and leaf.kind == "table" and whole.tag == "comment"):
                self._finish()
                self._parent().append(whole)
            return
        if leaf and leaf.kind == "table":
            leaf.lines.append(text)
            return
        if indent <= 3 and self._single(text, leaf):
            return
        if leaf is None:
            leaf = self._leaf = _Leaf("p", self._parent(), self._number)
        leaf.lines.append(text)
        if (
            self._open[-1].kind == "details"
            and (end := marks.DETAILS_END.search(text))
            and not text[end.end() :]
        ):
            leaf.lines[-1] = text[: end.start()]
            self._open[-1].kind = "done"
            self._close(len(self._open) - 1)

    def _code(self, rest: str) -> str:
        """A line of indented code; ``rest`` is what remains of it within its containers."""
        return marks.without(self._raw, self._width - len(rest[4:]))

    def _single(self, text: str, leaf: _Leaf | None) -> bool:
        """Headings, rules, and the second line of a table."""
        if heading := marks.HEADING.match(text.rstrip()):
            self._finish()
            self._heading(len(heading[1]), re.sub(r"(?:^|[ ])#+$", "", heading[2] or ""), self._number)
            return True
        if re.match(r"#{2,6}[^#\s\d\\]" if leaf else r"#{1,6}[^#\s\d\\]", text):
            self._fault(self._number, "a heading has a space after its #", "or write \\# for the sign itself")
        underline = marks.UNDERLINE.match(text)
        if leaf and underline:
            words, above = without_references("\n".join(leaf.lines), self.references)
            leaf.lines, leaf.line = words.split("\n"), leaf.line + above
            if words.strip():
                self._leaf = None
                self._heading(1 if underline[1][0] == "=" else 2, words, leaf.line)
                return True
        if marks.RULE.match(text):
            self._finish()
            self._add("hr")
            return True
        if leaf and "|" in text + leaf.lines[-1] and marks.DELIMITERS.match(text):
            head = leaf.lines.pop()
            if leaf.lines:
                self._finish()
            self._leaf = _Leaf("table", self._parent(), self._number - 1, [head, text])
            return True
        return False

    def _heading(self, level: int, text: str, line: int) -> None:
        element = self._add(f"h{level}")
        if named := marks.NAMED.search(text):
            element.set("id", named[1])
            text = text[: named.start()]
        if not text.strip():
            self._fault(line, "this heading says nothing", "\\# is the sign itself")
        self._text(element, text.strip(), line)

    # The tree

    def _parent(self) -> Element:
        """Where the next block goes."""
        box = self._open[-1]
        if self._blank and len(box.element) and box.listed is not None:
            self._loose.add(box.listed)
        return box.element

    def _add(self, tag: str, **attributes: str) -> Element:
        self._finish()
        return SubElement(self._parent(), tag, attributes)

    def _text(self, element: Element, text: str, line: int | None = None) -> None:
        element.text = text
        self.leaves.append((element, self._number if line is None else line))

    def _push(self, kind: str, element: Element, width: int, listed: Element | None = None) -> None:
        self._open.append(_Container(kind, element, self._number, width, listed))

    def _start(self, depth: int) -> None:
        """Make ready for a block in the first ``depth`` containers."""
        self._close(depth)
        self._finish()

    def _close(self, depth: int) -> None:
        """Close all containers but the first ``depth``."""
        if depth < len(self._open):
            self._finish()
        for box in self._open[depth:]:
            if box.kind == "details":
                self._fault(box.line, "<details> is never closed", "</details> ends it")
            elif box.width and [each.get("class", each.tag) for each in box.element] in _TITLES:
                self._fault(box.line, "this block has no text", "its text is indented by four spaces")
        del self._open[depth:]

    def _finish(self) -> None:
        """The leaf as an element."""
        leaf, self._leaf = self._leaf, None
        if leaf is None:
            return
        if leaf.kind == "code":
            pre = SubElement(leaf.parent, "pre")
            lines = "\n".join(leaf.lines).rstrip()
            SubElement(pre, "code").text = self._original(lines) + "\n"
        elif leaf.kind == "table":
            Tables(self._text, self._fault).table(leaf.parent, leaf.lines, leaf.line)
            caption(leaf.parent)
        else:
            text, above = without_references("\n".join(leaf.lines), self.references)
            line = leaf.line + above
            if not (text := text.rstrip()):
                leaf.parent.append(unseen())
                return
            for index, message, hint in paragraph_faults(text.split("\n"), leaf.parent):
                self._fault(line + index, message, hint)
            element = SubElement(leaf.parent, "p")
            if named := re.search(r"\n\{:?[ ]*#([\w:.-]+)[ ]*\}$", text):
                element.set("id", named[1])
                text = text[: named.start()]
            self._text(element, text, line)
            caption(leaf.parent)
