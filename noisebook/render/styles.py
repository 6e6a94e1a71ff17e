"""Style declarations as classes: a strict content policy forbids ``style`` attributes."""

from __future__ import annotations

import hashlib
import re

_ATTRIBUTE = re.compile(r'(?: class="([^"]*)")? style="([^"]*)"')


class Styles:
    """Collects declarations; each gets a class of its own in one generated style sheet."""

    def __init__(self) -> None:
        self._rules: dict[str, str] = {}

    def name(self, declarations: str) -> str:
        """The class for ``declarations``."""
        declarations = ";".join(filter(None, (part.strip() for part in declarations.split(";"))))
        name = "s" + hashlib.sha256(declarations.encode()).hexdigest()[:6]
        self._rules[name] = declarations
        return name

    def replace(self, html: str) -> str:
        """HTML of our own making with its ``style`` attributes turned into classes."""
        return _ATTRIBUTE.sub(
            lambda match: f' class="{" ".join(filter(None, [match[1], self.name(match[2])]))}"', html
        )

    def sheet(self) -> str:
        """The style sheet."""
        return "".join(f".{name}{{{rule}}}\n" for name, rule in sorted(self._rules.items()))
