"""The pictures that stand for a section or for the report: cards, the mosaic, what a link is shown with."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from noisebook.render.assets import Site
from noisebook.render.views import FigureView, Picture

CARD = 320
"""Pixels of a thumbnail's longer side."""


def cards(figures: Sequence[FigureView], site: Site) -> list[Picture]:
    """One, two or five pictures of a section's first figure that has some."""
    for shown in figures:
        found = [picture for picture in shown.pictures if not picture.animated] or shown.pictures
        if not found:
            continue
        first = found[0]
        if first.vector:
            count = 1
        elif first.wide:
            count = min(5, max(1, round(first.width / first.height / 2)))  # rows, one above the other
        else:
            count = 5 if len(found) >= 5 else 2  # a large square and four small ones, or two
        if count == 2 and not first.wide and len(found) > 2:
            found = [first, found[round((len(found) - 1) * 2 / 3)]]
        elif len(found) > count > 1:
            found = [found[round(i * (len(found) - 1) / (count - 1))] for i in range(count)]
        return [card(picture, site) for picture in found[:count]]
    return []


def card(picture: Picture, site: Site) -> Picture:
    """A light version for the front page."""
    source = picture.poster or picture.src
    if picture.vector or picture.pixelated or source == picture.video:
        return picture
    name = f"{source.rpartition('.')[0]}-{CARD}.webp"
    if not site.keep(name):
        from noisebook.render import media

        site.add(name, media.thumbnail(site.read(source), CARD))
    scale = min(1, CARD / max(picture.width, picture.height))
    width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
    return Picture(name, picture.full, width, height, picture.alt, css=picture.css)


def mosaic(sections: Sequence[Sequence[Picture]]) -> list[Picture]:
    """Nine of the sections' cards, from all over the report; or four, or none."""
    columns = [
        [each for each in section if not (each.vector or each.video or each.animated or each.wide)]
        for section in sections
    ]
    columns = [column for column in columns if column]
    # One from each section, each time from another place in its row, until there are enough.
    found = [column[(i + turn) % len(column)] for turn in range(5) for i, column in enumerate(columns)]
    distinct = list({picture.src: picture for picture in found}.values())
    return distinct[:9] if len(distinct) >= 9 else distinct[:4] if len(distinct) >= 4 else []


def social(pictures: Sequence[Picture], base_url: str, site: Site) -> str:
    """The address of the picture that a link to the page is shown with; none without a base URL."""
    names = [picture.poster or picture.src for picture in pictures if not picture.vector]
    if not (names and base_url):
        return ""
    name = f"assets/social-{hashlib.sha256(' '.join(names).encode()).hexdigest()[:16]}.jpg"
    if not site.keep(name):
        from noisebook.render import media

        site.add(name, media.social([site.read(each) for each in names]))
    return f"{base_url.rstrip('/')}/{name}"
