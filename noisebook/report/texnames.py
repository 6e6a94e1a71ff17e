"""Names of TeX that the converter lacks, and what stands for them."""

from __future__ import annotations

ALIASES = {
    "\\pmb": "\\boldsymbol", "\\bm": "\\boldsymbol", "\\mathbbm": "\\mathbb", "\\mathds": "\\mathbb",
    "\\mathbbmss": "\\mathbb", "\\mathnormal": "\\mathit", "\\mathbfit": "\\boldsymbol",
    "\\symbf": "\\mathbf", "\\symit": "\\mathit", "\\symbb": "\\mathbb", "\\symcal": "\\mathcal",
    "\\framebox": "\\fbox", "\\llap": "\\mathllap", "\\rlap": "\\mathrlap", "\\clap": "\\mathclap",
    "\\cr": "\\\\", "\\newline": "\\\\", "\\tabularnewline": "\\\\",
    "\\dotsc": "\\ldots", "\\dotso": "\\ldots", "\\mathellipsis": "\\ldots", "\\dotsb": "\\cdots",
    "\\dotsm": "\\cdots", "\\dotsi": "\\cdots", "\\smallsetminus": "\\setminus", "\\qed": "\\square",
    "\\smallint": "\\int", "\\allowbreak": "", "\\nobreak": "", "\\-": "", "\\/": "", "\\boldmath": "",
    "\\lcm": "\\operatorname{lcm}", "\\varlimsup": "\\limsup", "\\varliminf": "\\liminf",
    "\\AA": "\\text{Å}", "\\euro": "\\text{€}", "\\LaTeX": "\\text{LaTeX}", "\\TeX": "\\text{TeX}",
    "\\colon": "\\mathord{:}\\;",
    "\\*": "\\cdot", "\\displaylimits": "", "\\relax": "", "\\nulldelimiterspace": "",
    "\\mathstrut": "\\vphantom{(}", "\\strut": "\\vphantom{(}", "\\independent": "\\perp\\!\\!\\!\\perp",
    "\\indep": "\\perp\\!\\!\\!\\perp", "\\symup": "\\mathrm", "\\defeq": "\\coloneqq",
    "\\adots": "\\iddots", "\\celsius": "\\text{°C}", "⊥": "\\perp", "⊤": "\\top", "∠": "\\angle",
    "∅": "\\emptyset", "’": "'", "–": "-", "µ": "\\mu", "\u200b": "", "\u2060": "", "\ufeff": "",
}  # fmt: skip
"""Commands, and characters, that another does the work of."""

MACROS = {
    "\\ensuremath": "{#1}", "\\vcenter": "{#1}", "\\nicefrac": "{}^{#1}\\!/_{#2}",
    "\\sfrac": "{}^{#1}\\!/_{#2}",
    "\\emph": "\\textit{#1}", "\\bigl.": "", "\\cancelto": "{\\cancel{#2}}^{#1}",
    "\\varinjlim": "\\mathop{\\underrightarrow{\\lim}}", "\\varprojlim": "\\mathop{\\underleftarrow{\\lim}}",
}  # fmt: skip
"""Commands with arguments, as macros."""

ENVIRONMENTS: dict[str, tuple[str, int]] = {
    "split": ("aligned", 0), "alignedat": ("aligned", 1), "alignat": ("align", 1), "alignat*": ("align*", 1),
    "flalign": ("align", 0), "flalign*": ("align*", 0), "eqnarray": ("align", 0), "eqnarray*": ("align*", 0),
    "smallmatrix": ("matrix", 0), "subequations": ("", 0), "displaymath": ("", 0), "math": ("", 0),
    "align": ("align", 0), "align*": ("align*", 0), "aligned": ("aligned", 0), "gather": ("gather", 0),
    "gather*": ("gather*", 0), "gathered": ("gathered", 0), "equation": ("equation", 0),
    "equation*": ("equation*", 0), "multline": ("multline", 0), "multline*": ("multline*", 0),
    "matrix": ("matrix", 0), "pmatrix": ("pmatrix", 0), "bmatrix": ("bmatrix", 0), "Bmatrix": ("Bmatrix", 0),
    "vmatrix": ("vmatrix", 0), "Vmatrix": ("Vmatrix", 0), "cases": ("cases", 0), "dcases": ("dcases", 0),
    "rcases": ("rcases", 0), "array": ("array", 0), "subarray": ("subarray", 0), "multlined": ("gathered", 0),
    "drcases": ("drcases", 0), "cases*": ("cases", 0), "dcases*": ("dcases", 0), "rcases*": ("rcases", 0),
    "drcases*": ("drcases", 0),
}  # fmt: skip
"""Environments, what each becomes, and how many of its arguments are left out."""

FENCES = {"p": ("(", ")"), "b": ("[", "]"), "B": ("\\{", "\\}"), "v": ("|", "|"), "V": ("\\|", "\\|")}
"""What a matrix stands in, by the first letter of its environment."""

ACCENTS = {
    "\u0300": "\\grave", "\u0301": "\\acute", "\u0302": "\\hat", "\u0303": "\\tilde", "\u0304": "\\bar",
    "\u0305": "\\overline", "\u0306": "\\breve", "\u0307": "\\dot", "\u0308": "\\ddot",
    "\u030a": "\\mathring", "\u030c": "\\check", "\u0332": "\\underline", "\u20d7": "\\vec",
}  # fmt: skip
"""Characters that stand over or under the one before them."""

NUMBERED = ("equation", "align", "gather", "multline")

_GROUP = r"\{(?:[^{}\n]|\{(?:[^{}\n]|\{(?:[^{}\n]|\{[^{}\n]*\})*\})*\})*\}"
DEFINITION = (
    r"\\(?:(?:re)?newcommand|providecommand|DeclareMathOperator|def)\*?[ ]*(?:\{\\[A-Za-z]+\}|\\[A-Za-z]+)"
    rf"(?:\[[^\]\n]*\]|\#\d){{0,9}}[ ]*{_GROUP}"
)
"""A macro's definition, on one line."""

_OWN = "your own commands stand under macros: in report.yaml:"
HINTS = {
    "\\norm": f"{_OWN} norm: '\\left\\lVert #1 \\right\\rVert'",
    "\\abs": f"{_OWN} abs: '\\left\\lvert #1 \\right\\rvert'",
    "\\E": f"{_OWN} E: '\\mathbb{{E}}'",
    "\\R": f"{_OWN} R: '\\mathbb{{R}}'",
    "\\KL": f"{_OWN} KL: '\\operatorname{{KL}}'",
    "\\argmin": f"{_OWN} argmin: '\\operatorname*{{arg\\,min}}'",
    "\\argmax": f"{_OWN} argmax: '\\operatorname*{{arg\\,max}}'",
    "\\dv": "write \\frac{\\mathrm{d}f}{\\mathrm{d}x}",
    "\\pdv": "write \\frac{\\partial f}{\\partial x}",
    "\\bra": "write \\langle x|", "\\ket": "write |x\\rangle", "\\braket": "write \\langle x|y\\rangle",
    "\\qty": "write \\left( … \\right), or 3\\,\\mathrm{m} for a quantity with its unit",
    "\\verb": "write \\texttt{…}, or end the formula: code stands in the text",
    "dmath": "write align, or aligned within $$", "dgroup": "write align, or gather",
    "\\ce": "write \\mathrm{H_2O}",
    "\\SI": "write 5\\,\\mathrm{m}", "\\si": "write \\mathrm{m}", "\\num": "write the number alone",
    "\\ketbra": "write |a\\rangle\\langle b|", "\\expval": "write \\langle A\\rangle",
    "\\mel": "write \\langle a|B|c\\rangle", "\\comm": "write [A, B]", "\\acomm": "write \\{A, B\\}",
    "\\dd": "write \\mathrm{d}x", "\\vb": "write \\mathbf{x}", "\\va": "write \\vec{x}",
    "\\vu": "write \\hat{x}",
    "\\grad": "write \\nabla", "\\curl": "write \\nabla\\times", "\\order": "write \\mathcal{O}(x)",
    "\\eval": "write \\left. x \\right|_0", "\\fdv": "write \\frac{\\delta F}{\\delta f}",
    "\\class": "leave it out", "\\style": "a colour is \\textcolor{red}{…}", "\\cssId": "leave it out",
    "\\Tr": f"{_OWN} Tr: '\\operatorname{{Tr}}'", "\\tr": f"{_OWN} tr: '\\operatorname{{tr}}'",
    "\\sgn": f"{_OWN} sgn: '\\operatorname{{sgn}}'", "\\rank": f"{_OWN} rank: '\\operatorname{{rank}}'",
    "\\href": "a link stands in the text: [words](https://…)",
    "\\url": "a link stands in the text: <https://…>",
    "\\includegraphics": "a picture stands in the text: ![what it shows](path)",
    "\\cite": "a work is cited in the text: [@key]",
    "\\multicolumn": "write the cells one by one", "\\cline": "write \\hline",
    "\\rule": "write \\hspace{1em} for space",
    "\\scalebox": "write \\displaystyle, \\textstyle or \\scriptstyle",
    "\\mathpalette": "write \\displaystyle, \\textstyle or \\scriptstyle",
    "\\newenvironment": "define a command: \\newcommand",
    "\\symbol": "write the character itself", "\\char": "write the character itself",
    "\\above": "write \\frac{a}{b}",
    "tabular": "write array, or a table of Markdown", "CD": "write array with \\xrightarrow",
    "tikzpicture": "a drawing is a picture: ![what it shows](path)",
    "subequations": "it is not supported: leave it out, and each line of align has its number",
    "itemize": "a list is one of Markdown",
    "enumerate": "a list is one of Markdown", "figure": "a picture is ![what it shows](path)",
    "Direct Unicode input is not supported for this symbol yet: '√'.": "write \\sqrt{…}",
    "Expected non-special ASCII characters in string literal.":
        "a tag or a label has letters, digits and plain signs: \\tag{*}",
    'Found "&"': "write it between \\begin{aligned} and \\end{aligned}",
    "Not valid in text mode.": "write it as math, or a backslash before the sign",
    "Not valid in math mode.": "write it in \\text{…}, or \\scriptstyle for a size",
}  # fmt: skip
"""What works in place of what does not."""


def known_commands() -> tuple[str, ...]:
    """Commands that an unknown one may have been meant for."""
    words = (
        "alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi pi"
        " rho sigma tau upsilon phi varphi chi psi omega Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi"
        " Omega frac dfrac tfrac sqrt sum prod int lim sup inf max min log exp sin cos tan det dim ker"
        " infty partial nabla cdot times leq geq neq approx equiv sim propto in notin subset cup cap"
        " forall exists rightarrow leftarrow Rightarrow mapsto mathbb mathbf mathcal mathrm mathsf"
        " mathfrak boldsymbol operatorname text textcolor left right middle big Big bigg hat bar tilde"
        " vec dot ddot widehat widetilde overline underline overbrace underbrace overset underset"
        " stackrel substack begin end quad qquad ldots cdots boxed cancel label eqref tag nonumber binom"
        " mid parallel langle rangle lvert rvert lVert rVert xrightarrow arccos arcsin arctan"
        " displaystyle limits newcommand"
    )
    return tuple(f"\\{word}" for word in words.split())


INSTEAD = {
    "": "a work is cited as [@key]",
    "begin": "a formula stands between $$ and $$",
    "end": "a formula stands between $$ and $$",
    "label": "a label stands in an equation, between $$ and $$",
    "footnote": "a footnote is written [^name], and its text: [^name]: …",
    "includegraphics": "a picture is written ![what it shows](path)",
    "ref": '\\eqref{label} names an equation, {{ ref("id") }} a figure or a section',
    "newcommand": "a macro stands on a line of its own, or under macros: in report.yaml",
    "url": "a link is written [words](address)",
    "textit": "emphasised words are written *…*",
    "textbf": "strong words are written **…**",
    "emph": "emphasised words are written *…*",
    "texttt": "code is written `…`",
    "section": "a heading is written ## …",
    "href": "a link is written [words](address)",
}
"""What a text has in place of a command of TeX that stands outside formulas."""
ALIKE = r"^(?:re|(?:sub)+|cite.*)(?=new|sec|$)|^(?:auto|page|name|c|C)(?=ref$)"
"""What commands begin with that have another's hint."""
