"""Style declarations as classes: a strict content policy forbids ``style`` attributes."""

from __future__ import annotations

import hashlib


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

    def add(self, other: Styles) -> None:
        """Take in what another has collected."""
        self._rules.update(other._rules)

    def sheet(self) -> str:
        """The style sheet."""
        return "".join(f".{name}{{{rule}}}\n" for name, rule in sorted(self._rules.items()))
