"""The lines of a paragraph: addresses at its beginning, and what was meant for another block."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from xml.etree.ElementTree import Element

from noisebook.render import marks
from noisebook.render.html import ENTITY, entities
from noisebook.render.tables import lacks_caption

_ROW = re.compile(r"\|.*\|.*\|[ ]*$")
_BLOCK = re.compile(r"(?:!!!|\?\?\?\+?)[ ]*[\w\"]")
_LABEL = re.compile(r"\(?([a-z]|ii)[.)][ ]+(?=\S)|\((\d{1,3})\)[ ]+(?=\S)")
_ITEMS = "an item begins with - or 1., and a \\ at a line's end breaks it"
_READ = re.compile(f"{marks.ESCAPED.pattern}|{ENTITY}")
_BLANK = "a blank line goes before it"


def without_references(text: str, references: dict[str, tuple[str, str]]) -> tuple[str, int]:
    """A paragraph without the ``[label]: address "title"`` at its beginning, and how many lines these are.

    What a label stands for, its address and title, is put into ``references``: nothing of it is shown.
    """
    lines = 0
    while found := marks.REFERENCE.match(text):
        given = found[2].strip("<>"), (found[3] or "")[1:-1]
        address, title = (_READ.sub(lambda sign: sign[1] or entities(sign[0]), each) for each in given)
        references.setdefault(" ".join(found[1].split()).lower(), (address, title))
        text, lines = text[found.end() :], lines + found[0].count("\n")
    return text, lines


def paragraph_faults(lines: list[str], parent: Element) -> Iterator[tuple[int, str, str]]:
    """What is wrong with a paragraph that comes next in ``parent``: the index of a line, message and hint."""
    last = parent[-1] if len(parent) else None
    for index, line in enumerate(lines):
        if index and marks.REFERENCE.match("\n".join(lines[index : index + 2])):
            yield index, "this line is the text of the paragraph above, and gives no address", _BLANK
        elif _BLOCK.match(line):
            hint = 'it is !!! note "title" (or ???, ???+), with its text indented by four'
            yield index, "this line begins no block", hint
        elif marks.DEFINITION.match(line) and not index and not (last is not None and lacks_caption(last)):
            yield index, "no term stands before this definition", "\\: is the sign itself"
        elif (item := marks.ITEM.match(line)) and item[2] and index and _follows(last, int(item[2])):
            hint = f"{_BLANK}; what belongs to an item is indented as far as its first word"
            yield index, f"this line is the text of the paragraph above, no item {item[2]} of the list", hint
    for index, (row, other) in enumerate(pairwise(lines)):
        if _ROW.match(row) and _ROW.match(other):
            yield index, "this table has no line |---|---| below its header", "\\| is the sign itself"
            return
        if (item := _LABEL.match(row)) and (following := _LABEL.match(other)):
            first, second = (each[1] or each[2] for each in (item, following))
            steps = int(second) - int(first) if first.isdigit() else ord(second[-1]) - ord(first[-1])
            if steps == 1 or (first, second) == ("i", "ii"):
                yield index, f"the lines {item[0].strip()} and {following[0].strip()} make no list", _ITEMS
                return


def _follows(listed: Element | None, number: int) -> bool:
    """Whether an item of that number would be the next one of a list."""
    return listed is not None and listed.tag == "ol" and number == int(listed.get("start", "1")) + len(listed)
