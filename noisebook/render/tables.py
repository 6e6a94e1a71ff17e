"""Tables of a text."""

from __future__ import annotations

import re
from collections.abc import Callable
from xml.etree.ElementTree import Element, SubElement

from noisebook.render import marks

COLUMNS = 200
"""Columns that a table may have."""
_WRITTEN = "a bar within a cell is written \\|, or | within a formula or code"
_BAR = re.compile(r"(?<!\\)(?:\\\\)*\|")


class Tables:
    """``text`` takes the text of a cell, ``fault`` what is wrong at a line."""

    def __init__(
        self, text: Callable[[Element, str, int], None], fault: Callable[[int, str, str], None]
    ) -> None:
        self._text, self._fault = text, fault

    def table(self, parent: Element, lines: list[str], line: int) -> None:
        """A table in ``parent``, from its lines, the first of which is number ``line``."""
        head, delimiters, *rows = map(_cells, lines)
        if len(head) != len(delimiters):
            message = f"this table's header has {len(head)} cells, and the line below it {len(delimiters)}"
            self._fault(line, message, _WRITTEN)
        if len(head) > COLUMNS:
            self._fault(line, f"a table has at most {COLUMNS} columns, this one {len(head)}", "")
            return
        styles = [
            {"::": "center", "-:": "right", ":-": "left"}.get(each[:1] + each[-1:], "") if each != ":" else ""
            for each in delimiters
        ]
        table = SubElement(SubElement(parent, "div", {"class": "scroll"}), "table")
        self._row(SubElement(table, "thead"), "th", head, styles, line)
        body = SubElement(table, "tbody")
        for number, row in enumerate(rows, line + 2):
            if len(row) > len(head):
                message = f"this row has {len(row)} cells, and the table's header {len(head)}"
                self._fault(number, message, _WRITTEN)
            self._row(body, "td", row, styles, number)

    def _row(self, parent: Element, tag: str, cells: list[str], styles: list[str], line: int) -> None:
        row = SubElement(parent, "tr")
        for index, style in enumerate(styles):
            text = cells[index] if index < len(cells) else ""
            cell = SubElement(row, tag if text else "td")
            if style:
                cell.set("class", style)
            self._text(cell, text, line)


def caption(parent: Element) -> None:
    """If what comes last in ``parent`` is a table beside a paragraph ``Table: …``, that is its caption."""
    for paragraph, other in (reversed(parent[-2:]), parent[-2:]) if len(parent) > 1 else ():
        begins = marks.CAPTION.match(paragraph.text or "") if paragraph.tag == "p" else None
        if begins and lacks_caption(other):
            parent.remove(paragraph)
            other[0].insert(0, paragraph)
            paragraph.tag, paragraph.text = "caption", (paragraph.text or "")[begins.end() :]
            if named := marks.NAMED.search(paragraph.text):
                paragraph.set("id", named[1])
                paragraph.text = paragraph.text[: named.start()]
            return


def lacks_caption(block: Element) -> bool:
    """Whether a block is a table without a caption."""
    return block.get("class") == "scroll" and block.find("table/caption") is None


def _cells(line: str) -> list[str]:
    """The cells of a table's row."""
    found, at = [], 0
    line = line.strip()
    for bar in _BAR.finditer(line):
        found.append(line[at : bar.end() - 1].strip())
        at = bar.end()
    found.append(line[at:].strip())
    if line.startswith("|"):
        del found[0]
    if len(found) > 1 and not found[-1]:
        del found[-1]
    return found
