"""LaTeX as bibliographies have it, as Unicode; and a line of a report as LaTeX."""

from __future__ import annotations

import codecs
import re
from unicodedata import decomposition, normalize

from noisebook.render import marks
from noisebook.render.html import entities
from noisebook.report.body import scan

MATH = re.compile(r"(?<!\\)\$((?:[^$\\]|\\.)+)\$")
_COMMAND = re.compile(r"\\([A-Za-z]+)(\s*)")
_ACCENTS = dict(
    zip(
        "`'^\"~=.urHvdckb",
        "\u0300\u0301\u0302\u0308\u0303\u0304\u0307\u0306\u030a\u030b\u030c\u0323\u0327\u0328\u0331",
        strict=True,
    )
)
_ACCENT = re.compile(
    r"\\(?:([`'^\"~=.])|([urHvdckb])(?![A-Za-z]))\s*"
    r"(?:\{\s*(\w[\u0300-\u036f]*)\s*\}|\{\{(\w[\u0300-\u036f]*)\}\}|(\w[\u0300-\u036f]*))"
)
_NESTED = 4
"""Accents on one letter."""
_QUOTED = re.compile(r"\\(?:enquote|mkbibquote)\s*\{([^{}]*)\}")
_LINKED = re.compile(r"\\href\s*\{[^{}]*\}\s*(?=\{)")
_SORTED = re.compile(r"\\(?:noopsort|SortNoop)\s*\{[^{}]*\}|\\penalty\s*-?\d+\s*")
_RAISED = re.compile(r"\\text(super|sub)script\s*\{([^{}]*)\}|<(sup|sub)>([^<>]*)</\3>")
_TAG = re.compile(r"</?(?:i|b|u|em|strong|sub|sup|span|sc|scp|tt)\b[^<>]*>", re.I)
_SIGNS = {
    "textquotesingle": "'", "textquotedbl": '"', "textquoteleft": "‘", "textquoteright": "’",
    "textquotedblleft": "“", "textquotedblright": "”", "grqq": "“", "glqq": "„", "glq": "‚", "grq": "‘",
    "textless": "<", "textgreater": ">", "textbar": "|", "textellipsis": "…", "dots": "…", "textmu": "µ",
    "textasciicircum": "^", "textasciitilde": "~", "textunderscore": "_", "textsection": "§", "texteuro": "€",
    "euro": "€", "i": "ı", "j": "ȷ", "SS": "ẞ", "slash": "/", "LaTeX": "LaTeX", "TeX": "TeX",
    "BibTeX": "BibTeX", "quad": " ", "qquad": " ", "newline": " ", "space": " ", "nobreakspace": " ",
    "textendash": "–", "textemdash": "—", "textregistered": "®", "textcopyright": "©", "texttrademark": "™",
    "textdegree": "°", "degree": "°", "textbraceleft": "{", "textbraceright": "}", "textdollar": "$",
    "textpercent": "%", "textampersand": "&", "texttimes": "×", "textpm": "±", "textbullet": "•",
}  # fmt: skip
"""Commands that the codec leaves, and what they print."""
_SETTING = {
    "emph", "mkbibemph", "mkbibbold", "mkbibitalic", "textit", "textbf", "textsc", "texttt", "textrm",
    "textsf", "textsl", "textmd", "textup", "textnormal", "text", "mbox", "hbox", "em", "it", "bf", "sc",
    "tt", "rm", "sf", "sl", "itshape", "bfseries", "scshape", "ttfamily", "rmfamily", "sffamily", "slshape",
    "upshape", "mdseries", "normalfont", "tiny", "scriptsize", "footnotesize", "small", "normalsize", "large",
    "Large", "protect", "relax", "url", "path", "nolinkurl", "nobreak", "allowbreak", "linebreak",
    "bibnamefont", "bibfnamefont", "underline", "uline", "ensuremath", "selectfont", "frenchspacing",
    "xspace", "hspace", "textlatin", "ignorespaces", "leavevmode",
}  # fmt: skip
"""Commands that only set type."""
_RAISED_SIGNS: dict[str, dict[str, str]] = {"super": {}, "sub": {}}
for _code in (
    *range(0xAA, 0x100),
    *range(0x2B0, 0x300),
    *range(0x1D2C, 0x1DC0),
    *range(0x2070, 0x20A0),
    0x2C7C,
):
    _form, _, _base = decomposition(chr(_code)).partition(" ")
    if _form in ("<super>", "<sub>"):
        _RAISED_SIGNS[_form[1:-1]].setdefault(chr(int(_base, 16)) if " " not in _base else "", chr(_code))


class NotText(ValueError):
    """What has no meaning beside formulas; ``hint`` is what to write."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def text(tex: str) -> str:
    r"""Words of a BibTeX value, its formulas left as they are; a dollar sign is ``\$``. Raises NotText."""
    tex = re.sub(r"\\\((.+?)\\\)|\\ensuremath\s*\{([^{}$]+)\}", lambda m: f"${m[1] or m[2]}$", tex)
    tex = tex.replace("\ue001", "")
    formulas = (match[0] for match in MATH.finditer(tex))
    words = plain(MATH.sub("\ue001", tex)).replace("$", "\\$")
    return re.sub("\ue001", lambda _: next(formulas), words)


def signs(formula: str) -> str:
    """A formula in one line of Unicode: its letters and signs, without what sets them."""
    found = re.sub(r"\\[A-Za-z]+", lambda match: _decoded(f"${match[0]}$").strip("$"), formula)
    return _printed(_COMMAND.sub(lambda match: _SIGNS.get(match[1], ""), _decoded(found)))


def plain(tex: str) -> str:
    """TeX as Unicode: accents, signs; no braces and no commands that only set type. Raises NotText."""
    decoded = _SORTED.sub("", _LINKED.sub("", _decoded(tex)))
    decoded = _COMMAND.sub(_sign, _RAISED.sub(_raised, _QUOTED.sub(r"“\1”", decoded)))
    if found := re.search(r"(?<!\\)\$", decoded):
        raise NotText("a $ that opens a formula is never closed", r"\$ is the sign itself")
    decoded = re.sub(r"(?<!\\)[{}]", "", decoded)
    if found := re.search(r"\\([^$&%#_{}])|\\$", decoded):
        raise NotText(f"{found[0]} is not understood", "write the character itself, or $…$ for mathematics")
    return _printed(decoded)


def _decoded(tex: str) -> str:
    """What the codec knows, accents on accents, and spaces; a sign of percent is one wherever it stands."""
    import latexcodec  # noqa: F401  registers its codec

    tex = re.sub(r"\\textbackslash(?![A-Za-z])\s*(?:\{\})?", "\ue000", tex.replace("\ue000", ""))
    tex = re.sub(r"(\\.)|%", lambda match: match[1] or r"\%", tex, flags=re.DOTALL)
    tex = re.sub(r"(\\\\)\s*|(?<!\\)~", " ", tex)
    decoded: str = codecs.decode(tex, "ulatex")  # type: ignore[call-overload]
    decoded = decoded.replace("\u00ad", "")
    for _ in range(_NESTED):
        decoded = _ACCENT.sub(_accented, decoded)
    return re.sub(r"\\([,;:\s])|\\[/@!]", lambda match: " " if match[1] else "", decoded)


def _accented(match: re.Match[str]) -> str:
    mark = match[1] or match[2]
    base = match[3] or match[4] or match[5]
    if mark not in "dckb":
        base = {"ı": "i", "ȷ": "j"}.get(base, base)
    return normalize("NFC", base + _ACCENTS[mark])


def _sign(match: re.Match[str]) -> str:
    name, space = match.groups()
    if name in _SETTING:
        return ""
    if name in _SIGNS:
        return _SIGNS[name]
    sign = _decoded(f"$\\{name}$").strip("$")
    if "\\" in sign:
        raise NotText(f"\\{name} is not understood", "write the character itself, or $…$ for mathematics")
    return sign + space  # a sign of mathematics without its dollars: its words stay apart


def _raised(match: re.Match[str]) -> str:
    kind = "sub" if "sub" in (match[1], match[3]) else "super"
    words = match[2] if match[1] else match[4]
    known = _RAISED_SIGNS[kind] | {sign: sign for sign in " ®©™"}
    if missing := [sign for sign in words if sign not in known]:
        raise NotText(f"Unicode has no {kind}script {missing[0]}", "write it as a formula, in $…$")
    return "".join(known[sign] for sign in words)


def _printed(decoded: str) -> str:
    decoded = re.sub(r"\\([$&%#_{}])", r"\1", re.sub(r"(?<!\\)[{}]", "", _TAG.sub("", decoded)))
    return entities(decoded).replace("\ue000", "\\")


def address(tex: str) -> str:
    """An address as browsers take it, where TeX's signs for its characters stand in it."""
    plain = re.sub(r"\\(?:url|path|nolinkurl)\s*(?=\{)", "", tex)
    plain = re.sub(r"\{?\\textasciitilde\s*(?:\{\})?\}?|\\~\{\}|\$\\sim\$", "~", plain)
    plain = re.sub(r"\\([_%&#~{}$])", r"\1", re.sub(r"(?<!\\)[{}]", "", plain))
    return f"https://{plain}" if re.match(r"www\.|[\w-]+(?:\.[\w-]+)*\.[a-z]{2,24}/", plain) else plain


_SPECIAL = {sign: f"\\{sign}" for sign in "{}%&_#$"} | {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip
_EMPHASIS = re.compile(r"(?<!\\)(\*{1,3}|(?<!\w)_{1,3})(?=\S)(.+?)(?<=[^\s\\])\1(?!\w)")


def written(line: str) -> str:
    """A line of a report, Markdown with formulas, as LaTeX."""
    parts, at = [], 0
    for span in scan(line)[0]:
        parts += [_words(line[at : span.start]), _span(line[span.start : span.end], span.kind, span.value)]
        at = span.end
    return "".join([*parts, _words(line[at:])])


def _span(whole: str, kind: str, value: str) -> str:
    if kind in ("math", "display"):
        return f"${' '.join(value.split())}$"
    return rf"\texttt{{{_escaped(value.strip())}}}" if kind == "code" else _escaped(whole)


def _words(markdown: str) -> str:
    unmarked = _EMPHASIS.sub(r"\2", markdown)
    return _escaped(marks.ESCAPED.sub(r"\1", unmarked))


def _escaped(words: str) -> str:
    return "".join(_SPECIAL.get(sign, sign) for sign in words)
