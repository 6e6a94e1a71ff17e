"""The marks by which blocks begin, or by which a line is one: as CommonMark has them, and a few more."""

from __future__ import annotations

import re

from noisebook.report.body import TAB

HEADING = re.compile(r"(#{1,6})(?:[ ]+(.*))?$")
NAMED = re.compile(r"[ ]*\{:?[ ]*#([\w:.-]+)[ ]*\}$")
RULE = re.compile(r"([-*_])(?:[ ]*\1){2,}[ ]*$")
UNDERLINE = re.compile(r"(=+|-+)[ ]*$")
ITEM = re.compile(r"(?:([-*+])|(\d{1,9})([.)]))(?:([ ]+)(?=\S)|[ ]*$)")
TASK = re.compile(r"\[([ xX])\][ ]+(?=\S)")
ESCAPED = re.compile(r"\\([!-/:-@\[-`{-~])")
REFERENCE = re.compile(
    r"""\[(?!\^)([^\[\]]+)\]:[ ]*\n?[ ]*(<[^<>\n]*>|[^\s<]\S*)"""
    r"""(?:(?:[ ]+|[ ]*\n[ ]*)("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\([^()]*\)))?[ ]*(?:\n|\Z)"""
)
NOTE = re.compile(r"\[\^([^\]\n]+)\]:[ ]*")
ADMONITION = re.compile(r'(!!!|\?\?\?\+?)[ ]*([A-Za-z][\w-]*)(?:[ ]+"([^"]*)")?[ ]*$')
ALERT = re.compile(r"\[!([A-Za-z]+)\]([+-]?)(?:[ ]+(.*?))?[ ]*$")
CAPTION = re.compile(r"(?:[Tt]able)?:[ ]{1,3}(?=\S)")
DEFINITION = re.compile(r":[ ]{1,3}(?=\S)")
DETAILS = re.compile(r"<details([ ]+open(?:=\"\")?)?[ ]*>[ ]*", re.IGNORECASE)
SUMMARY = re.compile(r"<summary[ ]*>(.*?)</summary[ ]*>[ ]*", re.IGNORECASE)
DETAILS_END = re.compile(r"</details[ ]*>[ ]*", re.IGNORECASE)
AFTER_TABLES = (HEADING, RULE, CAPTION)
"""What ends a table without a blank line."""
DELIMITERS = re.compile(r"\|?[ ]*:?-+:?[ ]*(?:\|[ ]*:?-+:?[ ]*)*\|?[ ]*$")


def untabbed(line: str) -> str:
    """A line with spaces for its tabs; at its end, where spaces break lines, tabs stand for none."""
    words = line.rstrip(" \t")
    return words.expandtabs(TAB) + line[len(words) :].rpartition("\t")[2] if "\t" in line else line


def without(line: str, columns: int) -> str:
    """A line without its first columns; of a tab that is cut, the spaces remain."""
    at = 0
    for index, sign in enumerate(line):
        if at >= columns:
            return " " * (at - columns) + line[index:]
        at += TAB - at % TAB if sign == "\t" else 1
    return " " * (at - columns)
