"""BibTeX's own syntax, read by pybtex: mistakes by their places, and bounds. Imported once a .bib is read."""

from __future__ import annotations

import re

from pybtex.database.input.bibtex import LowLevelParser, UndefinedMacro, month_names
from pybtex.scanner import Literal, PrematureEOF, PybtexSyntaxError, Token
from pybtex.utils import CaseInsensitiveDict

from noisebook.report.model import SHOWN, BadInput, Problem, quote
from noisebook.report.reader import LARGEST_TEXT, Source

_SPACE = re.compile(r"\s*")


class Parser(LowLevelParser):  # type: ignore[misc]
    """The entries of a file; what is wrong with its syntax is added to ``problems``."""

    pos: int

    def __init__(self, source: Source, problems: list[Problem]) -> None:
        super().__init__(source.text, macros=CaseInsensitiveDict(month_names), handle_error=self.note)
        self.source, self.problems, self.put_in = source, problems, 0
        self.places: dict[str, int] = {}
        """Where each field of the present entry stands."""

    def parse_entry_fields(self) -> None:
        self.places = {}
        super().parse_entry_fields()

    def parse_field(self) -> None:
        if space := _SPACE.match(self.text, self.pos):
            self.pos = space.end()
        start = self.pos
        super().parse_field()
        self.places[(self.current_field_name or "").lower()] = start

    def substitute_macro(self, name: str) -> str:
        """What a @string stands for, up to as much as a file may have: one may double another."""
        value: str = super().substitute_macro(name)
        self.put_in += len(value)
        if self.put_in > LARGEST_TEXT:
            message = f"@string has put in more than {LARGEST_TEXT:,} characters up to here"
            raise BadInput([*self.problems, Problem(self.source.position(self.pos), message)])
        return value

    def skip_to(self, signs: list[Literal]) -> Token | None:
        """To the first of some signs: one search, where pybtex has one for each, to the text's end."""
        by_sign = {sign.description[1:-1]: sign for sign in signs}
        found = re.compile(f"[{re.escape(''.join(by_sign))}]").search(self.text, self.pos)
        if not found:
            return None
        value = self.text[self.pos : found.end()]
        self.pos = found.end()
        return Token(value, by_sign[found[0]])

    def note(self, error: PybtexSyntaxError) -> None:
        """Raises BadInput where there are as many mistakes as are shown."""
        key, start = self.current_entry_key, self.command_start
        if key is None and self.text[self.text.rfind("\n", 0, start) + 1 : start].strip():
            return  # a word with @ between the entries
        position = self.source.position(self.pos)
        if isinstance(error, PrematureEOF):
            position = self.source.position(start)
            message = f"{quote(key) if key else 'this'} is never closed"
        elif isinstance(error, UndefinedMacro):
            message = f"no @string defines {quote(str(error).rpartition(' ')[2])}"
        else:
            message = re.sub(r"^syntax error in line \d+: ", "", str(error))
        hint = "a value stands in braces or quotation marks, and a comma follows it"
        self.problems.append(Problem(position, message, hint))
        if len(self.problems) == SHOWN:
            raise BadInput(self.problems)
