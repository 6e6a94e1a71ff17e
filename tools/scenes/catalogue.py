"""What is drawn for the library: pictures that no set of pictograms holds, each from a seed of its own."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Literal

from tools.scenes import firelight, inks, pets, rockets, shores
from tools.scenes.landscapes import (
    beach,
    city,
    coast,
    desert,
    dusk,
    forest,
    meadow,
    peaks,
    village,
    waterfall,
)
from tools.scenes.people import campfire, dog, person
from tools.scenes.shapes import S

DRAWN: list[tuple[str, Literal["piece", "scene"], Callable[[Random], str], int]] = [
    ("people around a campfire", "scene", campfire, 40),
    ("snowy mountain village", "scene", village, 40),
    ("waterfalls", "scene", waterfall, 40),
    ("amalfi coast", "scene", coast, 40),
    ("mountains", "scene", peaks, 16),
    ("beach", "scene", beach, 12),
    ("forest", "scene", forest, 12),
    ("city skyline", "scene", city, 12),
    ("desert", "scene", desert, 10),
    ("sunset over the sea", "scene", dusk, 10),
    ("meadow of flowers", "scene", meadow, 12),
    ("dog", "piece", dog, 24),
    ("old man", "piece", lambda r: person(r, old=True), 28),
    ("man", "piece", lambda r: person(r), 28),
    ("woman", "piece", lambda r: person(r, woman=True), 14),
    ("man wearing a hat", "piece", lambda r: person(r, hat=True), 28),
    ("old man wearing a hat", "piece", lambda r: person(r, old=True, hat=True), 10),
]
"""Name, kind, how it is drawn, and how many."""


IN_STYLE: list[tuple[str, str, Callable[[Random], str], int]] = [
    ("waterfalls", "lithograph", inks.waterfalls, 120),
    ("skull", "lithograph", inks.skull, 48),
    ("people around a campfire", "oil", firelight.campfire, 120),
    ("old man", "oil", firelight.old_man, 60),
    ("snowy mountain village", "oil", shores.village, 80),
    ("amalfi coast", "photo", shores.coast, 80),
    ("man", "photo", pets.man, 60),
    ("dog", "photo", pets.dog, 80),
    ("rocket", "oil", rockets.rocket, 80),
]
"""Scenes that are drawn as a prompt's style word says: name, style, how, and how many."""


def draw(name: str, number: int, how: Callable[[Random], str]) -> str:
    """The SVG of one picture; (name, number) decides it."""
    body = how(Random(f"{name}/{number}"))
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {S} {S}">{body}</svg>'
