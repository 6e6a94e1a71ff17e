"""One formula as its author wrote it, rewritten for the converter: macros expanded, and what it lacks."""

from __future__ import annotations

import re

from noisebook.report import mathml
from noisebook.report.mathwords import SCRIPTED
from noisebook.report.texnames import ACCENTS, ALIASES, ENVIRONMENTS, FENCES, NUMBERED
from noisebook.report.texreader import Known, Reader, Token, Wrong, tokens

_LENGTH = re.compile(r"\s*(-?(?:\d+\.?\d*|\.\d+))\s*(pt|em|ex|mm|cm|in|px|mu|bp|pc)\s*")
_TEXT = (
    "\\text",
    "\\mbox",
    "\\hbox",
    "\\textrm",
    "\\textnormal",
    "\\textup",
    "\\textbf",
    "\\textit",
    "\\textsf",
)
_SIGN = re.compile(r"(\\[%&#$_{}])(?=\s)")
_SCRIPTS = ("_", "^")
_MATRIX = re.compile(r"([pbBvV])matrix\*|([pbBvV])smallmatrix|matrix\*")
_COLUMNS = re.compile(r"[@!><]\{(?:[^{}]|\{[^{}]*\})*\}|([pmbw])(?:\{[^{}]*\})+|\*\{(\d)\}\{([^{}]*)\}|\s+")
_PLACED = ("aligned", "gathered", "alignedat", "array", "split", "multlined")
"""Environments that may say in brackets how they stand on their line."""
_ONE_LINE = ("equation", "equation*", "displaymath", "math")
_MOST_COLUMNS = 20


class Rewriter(Reader):
    """One formula: ``tex`` is what the converter gets, ``marks`` what becomes of parts of its answer."""

    def __init__(self, known: Known, formula: str, display: bool) -> None:
        super().__init__(known, formula, display)
        self.marks = mathml.Marks()
        self.open: list[tuple[str, str, int]] = []
        """Environments: as written, as rewritten, and how many & their row has had."""
        self.tagged = self.rows = False
        self.depth = 0
        """Braces and fences that are open."""
        self._run()
        if self.rows:
            self._enclose("\\begin{gathered}", "\\end{gathered}")
        if display and self.tagged:
            self._enclose("\\begin{equation}", "\\end{equation}")
        self.tex = "".join(self.out)

    def _enclose(self, before: str, after: str) -> None:
        """Put the whole formula between two commands."""
        self.offsets = [offset + len(before) for offset in self.offsets]
        self.out = [before, *self.out, after]

    # Commands

    def _run(self) -> None:
        while self.rest:
            text, place = self.rest.pop()
            if text in self.known.macros:
                self._expand(text, place)
            elif text in ALIASES:
                self._push(tokens(ALIASES[text], place))
            elif text[0] == "\\" and (command := getattr(self, f"_do_{text[1:]}", None)):
                command(place)
            elif text in _TEXT:
                self._text(text, place)
            elif text == "\\\\":
                self._row(place)
            elif text == "&":
                self._cell(place)
            elif text in SCRIPTED:
                self._scripted(text, place)
            elif self.rest and self.rest[-1][0] in ACCENTS and not text.isspace():
                self._push([*tokens(ACCENTS[self.rest.pop()[0]] + "{", place), (text, place), ("}", place)])
            else:
                self._emit(" " if text.isspace() else text, place)

    def _do_definecolor(self, place: int) -> None:
        name, model, spec = (self._words(self._argument(place)) for _ in range(3))
        self.known.colours[name] = self._colour(spec, model, place)

    def _emit(self, text: str, place: int) -> None:
        bare = re.sub(r"\\[^A-Za-z]", "", text)
        self.depth += bare.count("{") - bare.count("}") + (text == "\\left") - (text == "\\right")
        super()._emit(text, place)

    def _scripted(self, text: str, place: int) -> None:
        """Characters that are raised or lowered by themselves: x₁₂, x²."""
        sign, plain = SCRIPTED[text]
        while self.rest and SCRIPTED.get(self.rest[-1][0], ("",))[0] == sign:
            plain += SCRIPTED[self.rest.pop()[0]][1]
        self._push(tokens(f"{sign}{{{plain}}}", place))

    def _do_begin(self, place: int) -> None:
        name = self._words(self._argument(place)).strip()
        if name in _PLACED:
            self._optional()
        if matrix := _MATRIX.fullmatch(name):
            self._matrix(matrix, place)
            return
        target, arguments = ENVIRONMENTS.get(name, (name, 0))
        self.open.append((name, target, 0))
        for _ in range(arguments):
            self._argument(place)
        if name == "smallmatrix":
            self._wrap({"table": "small"}, place)
        if target:
            self._emit(f"\\begin{{{target}}}", place)
        if name in ("array", "subarray"):
            self._emit(f"{{{_columns(self._words(self._argument(place)))}}}", place)

    def _matrix(self, matrix: re.Match[str], place: int) -> None:
        """``pmatrix*``, whose columns may stand left or right, and ``psmallmatrix``."""
        self._emit("\\left", place)
        self._emit(FENCES.get(matrix[1] or matrix[2], ".")[0], place)
        if matrix[2]:
            self._wrap({"table": "small"}, place)
            self._emit("\\begin{matrix}", place)
        else:
            align = self._words(self._optional() or []).strip()[:1] or "c"
            self._emit(f"\\begin{{array}}{{{align * _MOST_COLUMNS}}}", place)
        self.open.append((matrix[0], "matrix" if matrix[2] else "array", 0))

    def _do_end(self, place: int) -> None:
        name = self._words(self._argument(place)).strip()
        if not self.open:
            raise Wrong(place, f"\\end{{{name[:40]}}} without its \\begin")
        written, target, _ = self.open.pop()
        if written != name:
            raise Wrong(place, f"\\begin{{{written}}} is ended by \\end{{{name[:40]}}}")
        if target:
            self._emit(f"\\end{{{target}}}", place)
        if name.endswith("smallmatrix"):
            self._emit("}", place)
        if matrix := _MATRIX.fullmatch(name):
            self._emit("\\right", place)
            self._emit(FENCES.get(matrix[1] or matrix[2], ".")[-1], place)

    def _row(self, place: int) -> None:
        """``\\\\``, with the space below its row if there is any."""
        self._star()
        if self.open and self.open[-1][0] not in _ONE_LINE:
            written, target, _ = self.open[-1]
            self.open[-1] = written, target, 0
        elif not self._peek():
            return
        elif not self.display or self.depth or self.open:
            hint = (
                "\\begin{aligned} … \\end{aligned} has several"
                if self.display
                else "$$ … $$ may have several"
            )
            raise Wrong(place, "\\\\ begins a new line, and there is only one here", hint)
        else:
            self.rows = True
        if self.rest and self._peek() == "[":
            kept = list(self.rest)
            found = _LENGTH.fullmatch(self._words(self._optional() or []))
            if found:
                self._emit(f"\\hspace{{{self.marks.row(float(found[1]), found[2])}}}", place)
            else:
                self.rest = kept
        self._emit("\\\\", place)

    def _cell(self, place: int) -> None:
        """``&``; the second of an eqnarray's row stands within what is on the right."""
        if self.open and self.open[-1][0].startswith("eqnarray"):
            written, target, count = self.open[-1]
            self.open[-1] = written, target, count + 1
            if count % 2:
                return
        self._emit("&", place)
        if self.open and self.open[-1][0].endswith("cases*"):
            self._worded(place)

    def _worded(self, place: int) -> None:
        """What stands up to the end of the cell is words."""
        found: list[Token] = []
        depth = 0
        while self.rest and not (depth == 0 and self.rest[-1][0] in ("\\\\", "\\cr", "\\end", "&")):
            found.append(self.rest.pop())
            depth += (found[-1][0] == "{") - (found[-1][0] == "}")
        self._push([*tokens("\\text{", place), *found, ("}", place)])

    def _text(self, text: str, place: int) -> None:
        """Words, and the formulas among them."""
        name = text if text in ("\\textbf", "\\textit", "\\textsf", "\\textrm") else "\\text"
        words = self._words(self._argument(place))
        for index, part in enumerate(re.split(r"(?<!\\)\$", words)):
            if index % 2:
                self._push(tokens("{" + part + "}", place))
                self._some(place)
            elif part:
                # The converter drops the space after any command; TeX keeps it after a sign: 50\% of
                kept = _SIGN.sub(r"\1{}", part)
                self._emit(f"{name}{{{kept}}}", place)

    def _some(self, place: int) -> None:
        """Rewrite one group that was pushed, at once."""
        group = self._argument(place)
        rest, self.rest = self.rest, [*group][::-1]
        self._emit("{", place)
        self._run()
        self._emit("}", place)
        self.rest = rest

    def _wrap(self, mark: dict[str, str], place: int) -> None:
        """Begin a group that is found again in the answer, by the colour that it has there."""
        colour = self.marks.wrap(mark)
        if not colour:
            message = "too many colours, boxes and the like in one formula"
            raise Wrong(place, message, "write it as several")
        self._emit(f"\\textcolor{{{colour}}}{{", place)

    def _wrapped(self, mark: dict[str, str], place: int, before: str = "", after: str = "") -> None:
        content = self._argument(place)
        self._wrap(mark, place)
        self._push([*tokens(before, place), *content, *tokens(after, place), ("}", place)])

    def _do_smash(self, place: int) -> None:
        self._optional()
        self._wrapped({"height": "0", "depth": "0"}, place)

    def _do_mathrlap(self, place: int) -> None:
        self._wrapped({"width": "0"}, place)

    def _do_mathllap(self, place: int) -> None:
        self._wrapped({"width": "0", "move": "-100%"}, place)

    def _do_mathclap(self, place: int) -> None:
        self._wrapped({"width": "0", "move": "-50%"}, place)

    def _do_substack(self, place: int) -> None:
        content = self._argument(place)
        self._wrap({"table": "stack"}, place)
        begin, end = tokens("\\begin{matrix}", place), tokens("\\end{matrix}", place)
        self._push([*begin, *content, *end, ("}", place)])

    def _do_ref(self, place: int) -> None:
        self._wrapped({"text": "bare"}, place, "\\eqref{", "}")

    def _do_textcolor(self, place: int) -> None:
        self._wrapped({"style": f"color:{self._colours(place)}"}, place)

    def _do_colorbox(self, place: int) -> None:
        self._wrapped({"style": f"background:{self._colours(place)};padding:.15em"}, place, "\\text{", "}")

    def _do_fcolorbox(self, place: int) -> None:
        border = self._colours(place)
        style = f"border:1px solid {border};background:{self._colours(place)};padding:.15em"
        self._wrapped({"style": style}, place, "\\text{", "}")

    def _do_color(self, place: int) -> None:
        """What follows in the same group has the colour."""
        colour = self._colours(place)
        depth, ends = 0, ("&", "\\\\", "\\right", "\\middle", "\\end", "\\cr")
        index = len(self.rest) - 1
        while index >= 0:
            text = self.rest[index][0]
            if depth == 0 and (text == "}" or text in ends):
                break
            depth += (text in ("{", "\\begin", "\\left")) - (text in ("}", "\\end", "\\right"))
            index -= 1
        self._wrap({"style": f"color:{colour}"}, place)
        self.rest.insert(index + 1, ("}", place))

    def _colours(self, place: int) -> str:
        model = self._words(self._optional() or [])
        return self._colour(self._words(self._argument(place)), model, place)

    def _colour(self, spec: str, model: str, place: int) -> str:
        spec = spec.strip()
        numbers = re.findall(r"\d+(?:\.\d+)?|\.\d+", spec)
        if model == "HTML" or re.fullmatch(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})", spec):
            if re.fullmatch(r"#?(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})", spec):
                return "#" + spec.lstrip("#").lower()
        elif model in ("rgb", "RGB") and len(numbers) == 3:
            scale = 255 if model == "rgb" else 1
            return "#" + "".join(f"{min(255, round(float(each) * scale)):02x}" for each in numbers)
        elif model == "gray" and len(numbers) == 1:
            return "#" + f"{min(255, round(float(numbers[0]) * 255)):02x}" * 3
        elif not model and (found := self.known.colours.get(spec) or mathml.colour(spec)):
            return found
        hint = "a name such as red or Teal, or six digits: #cc3300"
        raise Wrong(place, f"{spec[:30]!r} is no colour", hint)

    def _do_mathop(self, place: int) -> None:
        """An operator; what stands under and over it in a formula of its own, or after ``\\limits``."""
        content = self._argument(place)
        limits = self.display
        while self._peek() in ("\\limits", "\\nolimits"):
            limits = self.rest.pop()[0] == "\\limits"
        scripts: dict[str, list[Token]] = {}
        while limits and self._peek() in _SCRIPTS and self._peek() not in scripts:
            sign = self.rest.pop()[0]
            scripts[sign] = self._argument(place)
        inner = content
        for sign, command in (("_", "\\underset"), ("^", "\\overset")):
            if sign in scripts:
                opening, middle = tokens(command + "{", place), tokens("}{", place)
                inner = [*opening, *scripts[sign], *middle, *inner, ("}", place)]
        self._emit("\\mathop{", place)
        self._push([*inner, ("}", place)])

    def _do_hspace(self, place: int) -> None:
        self._star()
        self._emit("\\hspace", place)

    def _do_operatorname(self, place: int) -> None:
        """An operator's name is upright whatever it says of its type."""
        star = "*" if self._star() else ""
        self._emit(f"\\operatorname{star}", place)
        words = self._words(self._argument(place))
        plain = re.sub(r"\\(?:mathrm|mathsf|mathup|text(?:rm|sf|up)?|rm|sf)\b\s*|[{}]", "", words)
        plain = words if re.search(r"\\[A-Za-z]", plain) else plain
        self._push(tokens(f"{{{plain}}}", place))

    def _do_require(self, place: int) -> None:
        self._argument(place)

    def _do_hdotsfor(self, place: int) -> None:
        count = self._words(self._argument(place)).strip()
        self._push(
            tokens(" & ".join(["\\dots"] * min(int(count) if count.isdigit() else 1, _MOST_COLUMNS)), place)
        )

    def _do_overbracket(self, place: int) -> None:
        self._bracket("\\overbracket", place)

    def _do_underbracket(self, place: int) -> None:
        self._bracket("\\underbracket", place)

    def _bracket(self, name: str, place: int) -> None:
        while self._optional() is not None:
            pass  # how thick and how high it is
        self._emit(name, place)

    def _do_tag(self, place: int) -> None:
        star = "*" if self._star() else ""
        words = self._words(self._argument(place)).replace("$", "")
        if not any(target in NUMBERED for _, target, _ in self.open):
            if not self.display:
                raise Wrong(place, "\\tag stands in a formula of its own", "write it between $$ and $$")
            self.tagged = True
        self._emit(f"\\tag{star}{{{words}}}", place)

    def _do_label(self, place: int) -> None:
        words = self._words(self._argument(place))
        if not any(target in NUMBERED for _, target, _ in self.open):
            if not self.display:
                raise Wrong(place, "\\label stands in a formula of its own", "write it between $$ and $$")
            self.tagged = True
        self._emit(f"\\label{{{words}}}", place)

    def _do_eqref(self, place: int) -> None:
        self._emit(f"\\eqref{{{self._words(self._argument(place))}}}", place)

    def _do_intertext(self, place: int) -> None:
        words = self._words(self._argument(place))
        number = "" if not self.open or self.open[-1][1].endswith("*") else "\\nonumber"
        self._wrap({"text": "row"}, place)
        self._push(tokens(f"\\text{{{words}}}}}{number}\\\\", place))

    _do_shortintertext = _do_intertext

    def _do_root(self, place: int) -> None:
        degree: list[Token] = []
        while self.rest and self.rest[-1][0] != "\\of":
            degree.append(self.rest.pop())
        if self.rest:
            self.rest.pop()
        self._push([*tokens("\\sqrt[", place), *degree, ("]", place)])

    def _do_unicode(self, place: int) -> None:
        words = self._words(self._argument(place)).strip().lower()
        number = re.fullmatch(r"(?:x|u\+|\")([0-9a-f]{1,6})|(\d{1,7})", words)
        code = int(number[1], 16) if number and number[1] else int(number[2]) if number else 0
        if not 32 < code < 0x110000 or 0xD800 <= code < 0xE000:
            raise Wrong(place, f"{words[:20]!r} is no character", "write its number: \\unicode{x2115}")
        self._emit(chr(code), place)


def _columns(spec: str) -> str:
    """The columns of an array, without what stands between them and how wide they are."""

    def plain(match: re.Match[str]) -> str:
        return "l" if match[1] else match[3] * int(match[2]) if match[2] else ""

    return _COLUMNS.sub(plain, spec)
