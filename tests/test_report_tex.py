"""TeX to MathML: what is rewritten, what is told, and where."""

from __future__ import annotations

from unicodedata import combining
from xml.etree.ElementTree import Element, tostring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebook.report.mathwords import words
from noisebook.report.tex import NotMath, Tex


def convert(*formulas: str, display: bool = True, **macros: str) -> list[Element]:
    return Tex(macros).convert([(formula, display) for formula in formulas])


def text(element: Element) -> str:
    return "".join(element.itertext())


WORKS = r"""
\widetilde{x}\widehat{xyz}
\sum_{\substack{i<j\\k}} \begin{split} a &= b\\ &= c\end{split}
\pmb{x} \mathbbm{1} \mathds{1} \mbox{if} \smash{x} \mathrlap{x}\mathllap{y}\mathclap{z}
x\hspace*{1em}y \hbox{x} \textnormal{x} \ensuremath{x}
\textcolor{#f00}{x} \textcolor{teal}{x} \textcolor[HTML]{FF0000}{x} \textcolor[rgb]{1,0,.5}{x} y
{\color{#00f} x+1} y
\colorbox{yellow}{$x$} \fcolorbox{red}{white}{x} \definecolor{mine}{RGB}{1,2,3}\textcolor{mine}{x}
\begin{alignedat}{2} a&=b & c&=d\end{alignedat} \begin{smallmatrix} a&b\\c&d\end{smallmatrix}
\begin{alignat}{2} a&=b & c&=d\end{alignat}
\begin{eqnarray} a &=& b\\ c &=& d\end{eqnarray}
\begin{align} a &= b \\ \intertext{and} c &= d\end{align}
\boxed{x}\cancel{x}\bcancel{x}\xcancel{x}\fbox{ab}\framebox{ab}
E=mc^2 \tag{1}
a \tag*{x}
\begin{aligned} a &= b \\[4pt] &= c \\[-1.5ex] &= d \\* &= e\end{aligned}
\text{if $x>0$ and 50\% of A \& B}
\DeclareMathOperator{\KL}{KL} \KL \DeclareMathOperator*{\am}{arg\,min} \am_x
\mathop{\mathrm{argmin}}\limits_x^y \mathop{x}
\newcommand\a[2][y]{b #1 #2} \a{x} \a[z]{x} \renewcommand{\b}{c} \b \def\c#1{d#1} \c{x} \let\e=\alpha \e
\root 3 \of x \nicefrac{1}{2} \unicode{x2115} \LaTeX \dotsc \llap{x}
\left|\frac{a}{b}\right| \left\|\frac{a}{b}\right\|^2 \Big| x \Big| \begin{vmatrix} a\\b\end{vmatrix}
x % a comment \frac
\begin{pmatrix*}[r] -1 & b\end{pmatrix*} \begin{psmallmatrix} a & b\end{psmallmatrix}
\begin{matrix*} a\end{matrix*}
\begin{cases*} a & if $x>0$ \\ b & else \end{cases*} \begin{multlined} a \\ b\end{multlined}
\begin{array}[t]{@{}r@{\;}l*{2}{c}p{2cm}|} a & b & c & d & e \end{array}
\symup{x} \cancelto{0}{x} \varinjlim \operatorname{\mathrm{Tr}} A \defeq \require{cancel} \adots
\begin{matrix} a & b \\ \hdotsfor{2}\end{matrix} ∅ ⊥ ⊤ ∠
""".strip().splitlines()


def test_a_mistake_in_a_macro_names_the_macro() -> None:
    told = Tex({"bad": r"\foo{#1}"}).fault(r"x + \bad{y}", False)
    assert told and told[0] == 4 and r'"\foo", in the macro \bad' in told[1]


@pytest.mark.parametrize(
    ("formula", "display", "place"),
    [
        ("p = 95%", False, 6),
        (r"95% \pm 2", True, 2),
        (r"\text{95%}", False, 8),
        ("a = 5%\n+ b", True, 5),
        ("a%b", True, 1),
        ("a = 5 % b\n+ c", True, -1),
        ("a %\n b", False, -1),
        (r"5\%", False, -1),
    ],
)
def test_a_comment_hides_nothing_that_was_meant(formula: str, display: bool, place: int) -> None:
    told = Tex().fault(formula, display)
    assert (told[0] if told else -1) == place


@pytest.mark.parametrize("formula", WORKS)
def test_what_authors_write_works(formula: str) -> None:
    assert Tex().fault(formula, True) is None
    convert(formula)


def test_row_spacing_is_spacing() -> None:
    (found,) = convert(r"\begin{aligned} a &= b \\[4pt] &= c \end{aligned}")
    rows = list(found.iter("mtr"))
    assert text(found) == "a=b=c" and len(rows) == 2
    assert all("padding-bottom:calc(.5ex + 4pt)" in cell.get("style", "") for cell in rows[0])
    assert not any("padding-bottom" in cell.get("style", "") for cell in rows[1])
    (kept,) = convert(r"\begin{matrix} a \\ [b, c] \end{matrix}")
    assert "[" in text(kept), "brackets that are no length are the author's"


def test_boxes_and_strikes_are_drawn() -> None:
    markup = tostring(convert(r"\boxed{x} \cancel{y} \xcancel{z}")[0], "unicode")
    assert "menclose" not in markup and "border:1px solid" in markup and markup.count("linear-gradient") == 3


def test_colours_reach_what_they_colour() -> None:
    (found,) = convert(
        r"\underset{\textcolor{#f00}{a}}{\textcolor{teal}{\max}} + {\color[RGB]{0,0,255} b + c} d"
    )
    coloured = {
        each.get("style"): text(each) for each in found.iter() if each.get("style", "").startswith("color")
    }
    assert coloured == {"color:#f00": "a", "color:#008080": "max", "color:#0000ff": "b+c"}


def test_macros_last_for_the_formulas_after() -> None:
    found = convert(r"\newcommand{\abar}{\bar\alpha} \abar_t", r"\abar_{t-1}", r"\E{x}", E=r"\mathbb{E}[#1]")
    assert text(found[1]).startswith("α") and text(found[2]) == "𝔼[x]"
    for name in ("E", "\\E"):
        assert text(Tex({name: "y"}).convert([("\\E", False)])[0]) == "y"


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        (r"\begin{aligned}[t] a &= b \end{aligned}", "a=b"),
        (r"\begin{gathered}[t] a \end{gathered}", "a"),
        (r"\overbracket[1pt][2pt]{ab} \underbracket[1pt]{c}", "ab⎴c⎵"),
        (r"\require{cancel} x", "x"),
        ("f’(x) a–b", "f′(x)a−b"),
        ("x_1\u200b", "x1"),
    ],
)
def test_what_only_places_or_measures_is_not_drawn(formula: str, said: str) -> None:
    assert text(convert(formula)[0]) == said


def test_lines_of_a_formula_are_lines() -> None:
    (found,) = convert(r"a = b \\[2pt] c = d \\")
    assert [text(row) for row in found.iter("mtr")] == ["a=b", "c=d"]
    for formula, display in (
        (r"a \\ b", False),
        (r"\frac{a \\ b}{c}", True),
        (r"\left( a \\ b \right)", True),
        (r"\begin{equation} a \\ b \end{equation}", True),
    ):
        fault = Tex().fault(formula, display)
        assert fault and "new line" in fault[1] and formula[fault[0] :].startswith("\\\\")


def test_words_between_equations_have_a_row_of_their_own() -> None:
    for star in ("", "*"):
        (found,) = convert(rf"\begin{{align{star}}} a &= b \\ \intertext{{and}} c &= d \end{{align{star}}}")
        _, row, _ = found.iter("mtr")
        (cell,) = row
        assert text(cell) == "and" and int(cell.get("columnspan", "")) >= 2


def test_lines_and_arrows_stand_over_what_they_belong_to() -> None:
    """A sign that combines with the one before it is drawn beside it by browsers."""
    markup = tostring(
        convert(r"\overline{AB} \underline{x} \overline{y} \vec{v} \dddot{x} x̄ θ̂")[0], "unicode"
    )
    assert not any(combining(sign) for sign in markup)
    assert "border-top" in markup and "border-bottom" in markup and markup.count("<mover") == 5


def test_a_line_below_the_last_row_is_that_rows() -> None:
    (found,) = convert(r"\begin{array}{|c|c|} \hline a & b \\ \hline \end{array}")
    (row,) = found.iter("mtr")
    assert all("border-bottom: 0.05em solid" in cell.get("style", "") for cell in row)


def test_typed_indices_are_indices() -> None:
    found = [tostring(each, "unicode") for each in convert("x₁₂² + y⁻¹", "x_{12}^{2} + y^{-1}")]
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("formula", "place", "said", "hint"),
    [
        (r"a + \foo", 4, "foo", "macros"),
        (r"a + \alhpa", 4, "alhpa", r"\alpha"),
        (r"\norm{x}", 0, "norm", r"\lVert"),
        (r"\begin{tabular}{c} a \end{tabular}", 0, "tabular", "array"),
        (r"x + \textcolor{nocolour}{y}", 4, "nocolour", "red"),
        (r"\def\x{\x\x} \x", 13, "expanded", ""),
        (r"\newcommand{\x}{\frac{1}} a + \x", 30, "", ""),
        (r"\begin{align} a \end{gather}", 16, "ended by", ""),
        (r"\ce{H2O}", 0, "ce", r"\mathrm"),
        (r"\dv{f}{x}", 0, "dv", r"\frac"),
        (r"\vb*{x}", 0, "vb", r"\mathbf"),
        (r"\qty{3}{m}", 0, "qty", r"3\,\mathrm{m}"),
        (r"\verb|x|", 0, "verb", r"\texttt"),
        (r"\begin{dmath} a \end{dmath}", 0, "dmath", "align"),
        (r"x \tag{$\ast$}", 2, "ASCII", r"\tag{*}"),
        (r"a &= b", 2, "table-like", r"\begin{aligned}"),
        ("2√x", 1, "√", r"\sqrt"),
        (r"x^{2", 4, "reached end of input", ""),
    ],
)
def test_what_does_not_work_is_told(formula: str, place: int, said: str, hint: str) -> None:
    found = Tex().fault(formula, True)
    assert found and said in found[1] and hint in found[2], found
    assert found[0] == place or said == "", found
    with pytest.raises(NotMath) as caught:
        convert("x", formula)
    assert caught.value.faults[0][0] == 1


@pytest.mark.parametrize(
    ("formula", "said"),
    [
        ("x_t", "xₜ"),
        ("x_0", "x₀"),
        (r"\bar\alpha_t", "ᾱₜ"),
        ("x^2", "x²"),
        (r"\hat{\boldsymbol\epsilon}_\theta", "ϵ̂_θ"),
        (r"\overline{x} \vec v \ddot x", "x̄v⃗ẍ"),
        (r"\binom{n}{k}", "(n over k)"),
        (r"\underbrace{a+b}_{n}", "a + bₙ"),
        (r"f(-x) = x'_t", "f(−x) = x′ₜ"),
        (r"\sum_{i=1}^n i", "∑ᵢ₌₁ⁿ i"),
        (r"\mathstrut x \phantom{y}", "x"),
        (r"\mathscr{F} \frac{\mathrm d x}{\mathrm d t}", "Fdx/dt"),
        (r"90^\circ A^\dagger", "90°A†"),
        (r"\frac{a}{b}", "a/b"),
        (r"\sqrt{n}", "√n"),
        (r"\mathcal{N}(0, I)", "N(0,I)"),
        ("x_{max}", "xₘₐₓ"),
        ("x_Q", "x_Q"),
        (r"\epsilon_\theta(x_t, t)", "ϵ_θ(xₜ,t)"),
        (r"\text{SNR} > 1", "SNR > 1"),
        (r"\text{50\% of A \& B, \$5 more \_ \# x}", "50% of A & B, $5 more _ # x"),
    ],
)
def test_formulas_in_words(formula: str, said: str) -> None:
    assert words(convert(formula, display=False)[0]).replace("ε", "ϵ") == said


TOKENS = r"\frac \left( \right) { } [ ] _ ^ & \\ \\[2pt] \text{ $ \begin{aligned} \end{aligned} \substack{ |"
TOKENS += (
    r" \textcolor{#f00}{ \color{red} \newcommand{\a}{b} \a \def # 1 x \alpha \boxed{ \smash{ \tag{1} \mathop{"
)
TOKENS += r" \label{a} \limits \hspace* \operatorname* \let \root \of % \color \unicode{x41} \ref{a}"
TOKENS += r" \begin{eqnarray} \end{eqnarray}"


def ends_well(parts: list[str]) -> None:
    formula = " ".join(parts)
    for display in (True, False):
        found = Tex().fault(formula, display)
        assert found is None or 0 <= found[0] <= len(formula)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(TOKENS.split()), max_size=20))
def test_any_formula_is_drawn_or_told(parts: list[str]) -> None:
    ends_well(parts)


@pytest.mark.soak
@settings(deadline=None, max_examples=50_000)
@given(st.lists(st.sampled_from(TOKENS.split()), max_size=60))
def test_any_longer_formula_is_drawn_or_told(parts: list[str]) -> None:
    ends_well(parts)


def delimiters(formula: str) -> list[tuple[str, str, str]]:
    """The sign, the height and the width of each, as far as they are said; "low" is that of the text."""
    return [
        (
            each.text or "",
            "low" if each.get("stretchy") == "false" else each.get("minsize", ""),
            each.get("style", ""),
        )
        for each in convert(formula)[0].iter("mo")
        if each.text in tuple("()[]")
    ]


def test_a_delimiter_of_a_given_size_has_it_as_the_base_of_scripts() -> None:
    for formula in (r"\bigl(a\bigr)^2", r"\Bigl[a\Bigr]_0^1", r"\big[a\big]_i", r"\bigl\|a\bigr\|_2^2"):
        scripts = [each for each in convert(formula)[0].iter() if each.tag in ("msub", "msup", "msubsup")]
        assert [each[0].tag for each in scripts] == ["mrow"]
        assert scripts[0][0][0].get("minsize")


def test_delimiters_have_the_room_of_their_size() -> None:
    assert delimiters(r"\bigl(x\bigr)") == [(sign, "1.2em", "width:.468em") for sign in "()"]
    assert delimiters(r"\Bigl[x\Bigr]^2") == [(sign, "1.623em", "width:.459em") for sign in "[]"]
    assert delimiters(r"\left(x_t\right)") == [(sign, "low", "") for sign in "()"]
    assert delimiters(r"\left(x^2\right)") == [(sign, "1.2em", "width:.468em") for sign in "()"]
    for tall in (r"\frac{a}{b}", r"\sum_i x", r"\sqrt{x}", r"\overbrace{x}", r"\Big| x"):
        assert delimiters(rf"\left({tall}\right)") == [(sign, "", "") for sign in "()"], tall


def test_a_colon_of_a_map_stands_with_its_name() -> None:
    signs = list(convert(r"f\colon X")[0])
    assert [each.tag for each in signs] == ["mi", "mo", "mspace", "mi"]
    assert (signs[1].text, signs[1].get("lspace"), signs[1].get("rspace")) == (":", "0", "0")
