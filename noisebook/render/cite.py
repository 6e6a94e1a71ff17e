"""Citations: ``[see @key, p. 3; -@other]`` as works in parentheses."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from xml.etree.ElementTree import Element

from noisebook.cells.names import suggest
from noisebook.render import html
from noisebook.render.bibliography import Work
from noisebook.render.typography import smarten
from noisebook.report.body import Span
from noisebook.report.model import quote

NAMED = re.compile(r"(?<![\\\w@/.:])@([\w:./+-]*\w)")
"""A citation without its brackets."""
_OTHER = re.compile(NAMED.pattern.replace("@(", r"@\{?("))
_CITED = re.compile(r"(.*?)(-?)@(?:\{([^{}@]+)\}|([\w:./+-]*\w))\s*(?:,\s*(.*))?", re.DOTALL)
"""A work among those in brackets; braces may stand around its key."""


def cite(
    span: Span, works: Mapping[str, Work] | None, cited: list[str], tell: Callable[[int, str, str], None]
) -> Element:
    """Works in parentheses: ``[see @key, p. 3; -@other]``; nothing, if it is not known which there are."""
    outer = Element("span")
    outer.text = "("
    if works is None:
        return outer
    at = span.inner
    for item in span.value.split(";"):
        found = _CITED.fullmatch(item.strip())
        before, bare, braced, key, place = found.groups() if found else ("", "", "", item.strip(), "")
        key = braced or key
        work = works.get(key)
        beside = f"{before or ''} {place or ''}"
        if work is None:
            hint = suggest(key, tuple(works), "works") if works else "the bibliography is empty"
            if re.match(r"(?:fig|tbl|tab|eq|sec|lst)[:-]", key):
                hint = '{{ ref("id") }} names a figure or a section, \\eqref{label} an equation'
            first = re.match(r"[^@]*-?@([\w:./+-]*\w)\s", item)
            if first and first[1] in works:
                hint = f"a comma follows the key: [@{first[1]}, p. 3]"
            tell(at - (at == span.inner), f"no work has the key {key!r}", hint)
        elif others := _OTHER.findall(beside):
            unknown = [name for name in others if name not in works]
            message = f"{quote(item.strip())} names several works"
            message += f", and none has the key {unknown[0]!r}" if unknown else ""
            tell(at, message, "a semicolon stands between them: [@one; @other]")
        elif mark := re.search(r"[$`*\\]", beside):
            message = f"{mark[0]} beside a citation is printed as it stands"
            tell(at, message, "formulas and marks stand outside its brackets")
        else:
            if key not in cited:
                cited.append(key)
            short = (work.year or "n.d.") if bare else work.short
            if len(outer):
                outer[-1].tail = "; " + before
            else:
                outer.text += before
            words = short + (f", {' '.join(place.split())}" if place else "")
            link = html.link(words, f"references.html#{key}", "cite", work.title or work.short)
            outer.append(link)
        at += len(item) + 1
    if len(outer):
        outer[-1].tail = ")"
    smarten(outer)
    return outer
