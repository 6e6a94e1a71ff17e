"""Footnotes, numbered and set below a text, with links from one to the other."""

from __future__ import annotations

from xml.etree.ElementTree import SubElement

from noisebook.render import html
from noisebook.render.blocks import Blocks


def number_notes(blocks: Blocks) -> list[tuple[str, int]]:
    """Put footnotes below a text, in the order of its references; those without any, with their lines."""
    order: list[str] = []
    uses: dict[str, int] = {}
    waiting = [blocks.root]
    for tree in waiting:
        for sign in tree.iter("note"):
            name = sign.attrib.pop("name")
            if name not in uses:
                order.append(name)
                waiting.append(blocks.notes[name][0])
            uses[name] = uses.get(name, 0) + 1
            sign.tag = "sup"
            sign.set("id", f"fnref{uses[name] if uses[name] > 1 else ''}:{_id(name)}")
            link = html.link(str(order.index(name) + 1), f"#fn:{_id(name)}", "footnote-ref")
            sign.insert(0, link)
    idle = [(name, line) for name, (_, line) in blocks.notes.items() if name not in uses]
    if not order:
        return idle
    below = SubElement(blocks.root, "div", {"class": "footnote"})
    SubElement(below, "hr")
    listed = SubElement(below, "ol")
    for number, name in enumerate(order, 1):
        note = blocks.notes[name][0]
        note.set("id", f"fn:{_id(name)}")
        listed.append(note)
        last = note[-1] if len(note) and note[-1].tag == "p" else SubElement(note, "p")
        for use in range(1, uses[name] + 1):
            back = html.link("↩", f"#fnref{use if use > 1 else ''}:{_id(name)}", "footnote-backref")
            back.set("title", f"Back to the text (note {number})")
            if len(last):
                last[-1].tail = (last[-1].tail or "") + "\N{NO-BREAK SPACE}"
            else:
                last.text = (last.text or "") + "\N{NO-BREAK SPACE}"
            last.append(back)
    return idle


def _id(name: str) -> str:
    """A note's name as ids have it: without spaces."""
    return "-".join(name.split())
