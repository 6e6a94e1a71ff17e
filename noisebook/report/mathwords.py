"""MathML in plain words, for where no formula can be set: titles of windows, feeds, search."""

from __future__ import annotations

import re
import unicodedata
from xml.etree.ElementTree import Element

_SUBSCRIPTS = dict(
    zip("0123456789+-=()aehijklmnoprstuvxβγρφχ", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓᵦᵧᵨᵩᵪ", strict=True)
)
_SUPERSCRIPTS = dict(
    zip(
        "0123456789+-=()abcdefghijklmnoprstuvwxyzT⊤∘†*",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻᵀᵀ°†*",
        strict=True,
    )
)
SCRIPTED = {sign: ("_", plain) for plain, sign in _SUBSCRIPTS.items()}
SCRIPTED |= {sign: ("^", plain) for plain, sign in _SUPERSCRIPTS.items() if sign not in "°†*"}
"""Characters that are lowered or raised by themselves: how, and what they are."""
_ACCENTS = dict(
    zip(
        ["`", "´", "^", "ˆ", "~", "˜", "¯", "˘", "˙", "¨", "˚", "ˇ", "→", "..."],
        "\u0300\u0301\u0302\u0302\u0303\u0303\u0304\u0306\u0307\u0308\u030a\u030c\u20d7\u20db",
        strict=True,
    )
)
_LARGE = "∑∏∐∫∬∭∮∯∰⋃⋂⨁⨂⨀⋁⋀⨆⨄"
_LOWER, _UPPER = ("msub", "munder", "msubsup", "munderover"), ("msup", "mover", "msubsup", "munderover")
_WRITTEN = {0x2033: "′′", 0x2034: "′′′", 0x2061: " ", 0x2062: None, 0x2063: None, 0xFE00: None, 0xFE01: None}


def words(element: Element) -> str:
    """A formula in plain words: x₀, a/b, √n."""
    return re.sub(r"\s+", " ", unicodedata.normalize("NFC", _words(element))).strip()


def _words(element: Element) -> str:
    tag, parts = element.tag, [_words(child) for child in element]
    if tag == "mphantom":
        return ""
    if tag == "mfrac" and element.get("linethickness") == "0":
        return " over ".join(parts)
    if tag == "mfrac":
        return "/".join(part if len(part) < 2 or part.isalnum() else f"({part.strip()})" for part in parts)
    if tag in ("msqrt", "mroot"):
        inner = parts[0] if tag == "mroot" else "".join(parts)
        degree = _raised(parts[1], _SUPERSCRIPTS, "") if tag == "mroot" else ""
        return f"{degree}√{inner if len(inner) < 3 else f'({inner})'}"
    if tag in _LOWER + _UPPER and len(parts) > 1:
        return _scripts(element, *parts)
    if tag == "mspace":
        return " " if element.get("width") else ""
    if tag == "mtr":
        return " ".join(filter(None, map(str.strip, parts)))
    if tag == "mtable":
        return "; ".join(parts)
    return _own(element) + "".join(parts)


def _scripts(element: Element, base: str, *rest: str) -> str:
    """A base with what stands below and above it."""
    if element.get("accent") or element.get("accentunder"):
        accent = _ACCENTS.get(rest[0].strip(), "")
        return base + (accent if len(unicodedata.normalize("NFC", base)) == 1 else "")
    below = rest[0] if element.tag in _LOWER else ""
    above = rest[-1] if element.tag in _UPPER else ""
    primes = above if above and not above.strip("′") else ""
    large = base.strip() in _LARGE
    found = (base.strip() if large else base) + primes
    found += _raised(below, _SUBSCRIPTS, "_") if below else ""
    found += _raised(above, _SUPERSCRIPTS, "^") if above and not primes else ""
    return found + " " * large


def _own(element: Element) -> str:
    """The text of an element; letters and digits without their style."""
    own = element.text or ""
    if not own.isascii():
        signs = (
            unicodedata.normalize("NFKC", sign)
            if unicodedata.category(sign)[0] in "LN" and sign not in "½¼¾"
            else sign
            for sign in own
        )
        own = "".join(signs).translate(_WRITTEN)
    if element.tag != "mo" or len(own) != 1 or own in "|∣":
        return own
    if own in _LARGE:
        return f"{own} "
    unary = element.get("lspace") == element.get("rspace") == "0" and own in "+−±∓"
    return f" {own} " if unicodedata.category(own) == "Sm" and not unary else own


def _raised(part: str, signs: dict[str, str], sign: str) -> str:
    part = part.replace(" ", "").replace("−", "-")
    if part and all(each in signs for each in part):
        return "".join(signs[each] for each in part)
    return f"{sign}{part}" if len(part) < 2 else f"{sign}({part})"
