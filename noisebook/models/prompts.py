"""Prompts taken apart: a style, a subject, a sky."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

STYLE_WORDS: dict[str, str] = {
    "oil": r"oil (?:painting|paint|on canvas)|painting",
    "lithograph": r"lithograph|etching|engraving|woodcut",
    "pencil": r"pencil (?:drawing|sketch)|sketch|line drawing|charcoal drawing",
    "photo": r"photo(?:graph)?|picture|image",
    "render": r"3d (?:render(?:ing)?|model)|render(?:ing)?",
    "flat": r"flat (?:icon|design|illustration)",
    "cartoon": r"cartoon|emoji|illustration",
    "icon": r"icon|pictogram|symbol",
    "drawing": r"drawing|clip ?art",
}
PRAISE = (
    r"(?:(?:very |extremely )?"
    r"(?:high[ -](?:quality|resolution)|good|beautiful|detailed|professional|simple|nice)[ ,]+)*"
)
SKY_WORDS: dict[str, str] = {
    "night": r"night|midnight|starry|space|galaxy|moonlit",
    "sunset": r"sunset|dusk|dawn|sunrise|evening",
    "snow": r"snow|snowy|winter|ice|arctic",
    "sea": r"sea|ocean|beach|coast|harbou?r|lake",
    "forest": r"forest|jungle|woods|garden|meadow",
    "desert": r"desert|dunes?|savanna",
    "sky": r"sky|clouds?|flying",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt taken apart: how, what, and in front of what. An empty subject asks for anything."""

    style: str
    subject: str
    sky: str = ""


def understand(prompt: str) -> Request:
    """Take a prompt apart: "an oil painting of an old man" is oil, "old man"; 🚀 is "rocket"."""
    named = [f" {unicodedata.name(c, c).lower()} " if unicodedata.category(c) == "So" else c for c in prompt]
    words = re.sub(r"\s+", " ", "".join(named)).strip()
    style = "plain"
    for name, pattern in STYLE_WORDS.items():
        pattern = rf"(?:\b(?:in the style of )?(?:an?|the) )?\b{PRAISE}(?:{pattern})s?\b(?: of)?[ ,]*"
        shorter, count = re.subn(pattern, " ", words, count=1, flags=re.IGNORECASE)
        if count:
            style, words = name, re.sub(r"\s+", " ", shorter).strip(" ,.")
            break
    words = re.sub(r"^(?:an?|the|some) ", "", words, flags=re.IGNORECASE)
    sky = next(
        (kind for kind, p in SKY_WORDS.items() if re.search(rf"\b(?:{p})\b", words, re.IGNORECASE)), ""
    )
    return Request(style, words, sky)


def texts(value: Any) -> Iterator[str]:
    """Every text in nested parameters."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from texts(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from texts(each)
