"""Marks of other programs, which would reach the reader as they are typed: each is told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from noisebook.report.body import Fault, Span

_LETTERS = (
    "alpha|beta|gamma|delta|epsilon|varepsilon|eta|theta|kappa|lambda|mu|nu|xi|pi|rho|sigma|tau|phi|chi|psi|omega"
    "|Gamma|Delta|Theta|Lambda|Sigma|Phi|Psi|Omega|ldots|infty|nabla|partial|times|cdot|leq|geq|neq|approx|sim|sum"
    "|to|rightarrow|leftarrow|Rightarrow|leftrightarrow|mapsto|pm|mp|le|ge|ne|in|notin|subset|cup|cap|forall|exists"
    "|equiv|propto|odot|oplus|otimes|circ|quad|dots|log|exp|int|prod"
)
_HABITS = {
    r"(?<![\w\[])!?\[\[[^\[\]\n]{1,200}\]\](?![\[(])": (
        "[[…]] is no link here",
        "a page is [words](name.md), a picture ![what it shows](path); \\[ is a bracket",
    ),
    r"(?<![\\\w$])\$[ ]+(?!\d)(?:[^$\n]{0,300}[\\^_{}=<>+][^$\n]{0,300}|\w)[ ]*\$(?!\d)": (
        "a formula begins right after its dollar sign, and ends right before the other",
        "write $x$, and \\$ for the sign itself",
    ),
    r"(?<!\w)%%[^%\n]{0,1000}%%|^[ >]*%%[ ]*$(?:[\s\S]{0,2000}?\n[ >]*%%[ ]*$)?": (
        "%% is no comment here",
        "a comment is <!-- … -->",
    ),
    r"^[ >]*:{3,}": ("::: begins no block here", '!!! note "title" does, with its text indented by four'),
    r"\{%.{0,200}?%\}": ("{% … %} is no call here", 'write {{ figure("id") }} or {{ ref("id") }}'),
    r"(?<=\))\{:?[ ]*(?:[^{}\n]{0,100}[ ])?(?:width|height)=[^{}\n]{0,200}\}": (
        "a picture's size cannot be set here",
        "it is shown as large as its file is, or as wide as the text: resize the file",
    ),
    r"(?<=[\])])\{:?[ ]*(?:[.#][\w-]|[\w-]+=)[^{}\n]{0,200}\}"
    r"|(?:^|[ ])\{:?[ ]*(?:\.[A-Za-z-]|#[\w:.-]+[ ]+[^\s}])[^{}\n]{0,200}\}[ ]*$": (
        "classes and attributes are not known",
        "{#id} gives a heading its address",
    ),
    r"(?<=[ ])\{-\}[ ]*$": ("{-} is no mark of a heading here", "headings have no numbers"),
    r"^[ >]*[•◦▪●○‣·⁃][ \t\xa0]": ("this sign begins no list", "an item of a list begins with -"),
    r"\^\[[^\[\]\n]{2,400}\]": ("^[…] is no footnote here", "a footnote is [^name], and its text [^name]: …"),
    r"^[ >]*\+(?:[-=:]{2,}\+)+[ ]*$": ("tables are not drawn with +", "| a | b |, and below it |---|---|"),
    r"^[ ]{0,3}\*\[[^\]\n]+\]:": ("abbreviations are not known", "write the words out"),
    r"(?:(?<=\w)~[\w+-]{1,10}~|(?<=[\w.,;:!?)])\^[\w+-]{1,10}\^)(?!~)": (
        "this lowers or raises nothing",
        "write <sub>…</sub> or <sup>…</sup>, or a formula",
    ),
    r"(?<![=\w])==(?=[^\s=])[^=\n]{1,200}(?<=\S)==(?![=\w])": (
        "== marks nothing here",
        "words are marked by <mark>…</mark>",
    ),
    r"\{#[ ].{0,200}?#\}|(?:\A|(?<=\n\n))[ >]*%[ ]": ("this is no comment here", "a comment is <!-- … -->"),
    rf"(?<![\w\\:])\\(?:{_LETTERS})(?![A-Za-z])": (
        "this is TeX in a text",
        "a formula stands between $ and $",
    ),
    r"(?<![\w\\:])\\(?:item|noindent|newline|par|centering|LaTeX|TeX|medskip|bigskip)(?![A-Za-z])": (
        "this is TeX in a text",
        "an item begins with -, a blank line begins a paragraph, \\ at a line's end breaks it",
    ),
    r"(?<![\w~])~[^\s~](?:[^~\n]{0,200}[^\s~])?~(?![\w~])": ("one ~ strikes nothing", "write ~~…~~"),
    r"\b(?:Fig|Figs|Eq|Eqs|Sec|Tab|Figure|Table|Section|Equation)\.?~(?=\d)": (
        "~ is a space only before a reference",
        'write {{ ref("id") }} for the number, or a space',
    ),
    r"(?<![\w\\:])\\S(?=[ ~]?\d)": ("this is TeX in a text", "the sign itself may be written: §"),
    r"(?<=\x02)[ ]*\{#eq[:-][\w:.-]+\}": (
        "this is no label of a formula",
        "\\label{…} stands within it, and \\eqref{…} names it",
    ),
    r"!?\[(?![\d,; ]+\])[^\[\]\n\x02]+\][ ]\((?:\x02+|[\w./-]+\.(?:png|jpe?g|gif|webp|svg|md|html)\))": (
        "a space stands between the brackets and the address",
        "[words](address) is a link, ![what it shows](path) a picture",
    ),
    r"(?<![\w*\\])\*\*[ ]+(?=[^*\n]*[^\W\d_]{2})[^*\s](?:[^*\n]{0,200}[^*\s])?[ ]+\*\*(?![\w*])": (
        "a space stands between the signs and the words",
        "**strong words** have none; \\* is the sign itself",
    ),
    r"(?<![\w:/\\]):[a-z][a-z0-9_+-]{1,30}:(?![\w:/])": (
        "this name stands for no sign here",
        "write the sign itself, such as ✓; a formula is $…$",
    ),
    r"^[ >]*(?:[-*+]|\d{1,9}[.)])[ ]+(?:\[\](?=[ ])|\[[ x]\](?=\w))": (
        "this is no task",
        "- [ ] words, or - [x] words: a space stands in the brackets, and one after them",
    ),
    r"(?<!`)``[^`\n]{1,300}''": ("``…'' are no quotation marks here", 'write "…"'),
    r"\\\\[(\[](?=.{1,400}?\\\\[)\]])": ("\\\\( begins no formula", "write $…$ or \\(…\\)"),
    r"(?<![\w@.\[-])@(?:fig|tbl|tab|eq|sec|lst)[:-]\w[\w:.-]*": (
        "this refers to nothing here",
        '{{ ref("id") }} names a figure or a section, \\eqref{label} an equation, [words](#id) the rest',
    ),
    r"(?i)^[ ]{0,3}(?:\[toc\]|\[\[_?toc_?\]\]|\{:toc\}|\\tableofcontents)[ ]*$": (
        "this stands for nothing here",
        "every page has its contents beside it",
    ),
    r"^[ ]{0,3}\\(?:newpage|pagebreak|clearpage)[ ]*$": (
        "this stands for nothing here",
        "every section begins a page when it is printed",
    ),
}
_ANY = re.compile(
    "|".join(f"(?P<h{n}>{pattern.removeprefix('(?i)')})" for n, pattern in enumerate(_HABITS)), re.M | re.I
)


def foreign(body: str, spans: Sequence[Span]) -> Iterator[Fault]:
    """What is found of them outside code, formulas and calls."""
    parts: list[str] = []
    at = 0
    for span in spans:
        between = body[span.start : span.end]
        if between[:2] == "``" and "''" in span.value and "`" not in span.value:
            yield Fault(span.start, "``…'' are no quotation marks here", 'write "…"')
        parts += body[at : span.start], re.sub(r"[^\n]", "\x02", between)
        at = span.end
    told = list(_HABITS.values())
    for found in _ANY.finditer("".join([*parts, body[at:]])):
        message, hint = told[int((found.lastgroup or "h0")[1:])]
        yield Fault(found.start() + len(found[0]) - len(found[0].lstrip(" >")), message, hint)
