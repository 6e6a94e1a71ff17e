"""From Markdown to HTML: what is linked, what is escaped, where mistakes are told."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebook.render.bibliography import parse
from noisebook.render.html import serialise
from noisebook.render.prose import Context, Prose, Target, Writer, plain
from noisebook.render.styles import Styles
from noisebook.report.model import BadInput, Position

WORKS = parse(
    "@misc{ho2020, author={Ho, Jonathan and Jain, A. and Abbeel, P.}, title={DDPM}, year=2020}", "r.bib"
)
TARGETS = {
    "first": Target("Figure 1", "one.html#fig-first", "One"),
    "two": Target("Section 2", "two.html", "Two"),
}


def writer() -> Writer:
    def image(path: str) -> tuple[str, int, int] | None:
        return ("assets/a.png", 3, 4) if path == "images/a.png" else None

    return Writer(Context(TARGETS, WORKS, Styles(), image, {"two": "two.html"}))


def write(text: str) -> Prose:
    return writer().body(text, "sections/x.md", 10, lambda name: f'<figure id="{name}"></figure>')


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "text <b onclick=x>bold</b>",
        "<!-- hidden -->",
        "[x](javascript:alert(1))",
        "[x](  JaVaScRiPt:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "[x](&#106;avascript:alert(1))",
        "[x](//elsewhere.example)",
        "[x]: javascript:alert(1)\n\n[x]",
        "<javascript:alert(1)>",
        "# <script>alert(1)</script>",
        "| <script> | b |\n|--|--|\n| <i>x</i> | y |",
        "```html\n<script>alert(1)</script>\n```",
        "`<script>` and $a<b$",
        "x[^1]\n\n[^1]: <script>alert(1)</script>",
        '[a](x "<script>")',
    ],
)
def test_no_html_of_an_author_gets_through(text: str) -> None:
    for tag, attributes in Tags(str(write(text).html)).found:
        assert tag not in ("script", "b", "i", "img", "iframe")
        assert not any(name.startswith("on") or name == "style" for name in attributes)
        href = attributes.get("href") or ""
        assert href.startswith(("#", "x")) or not re.match(r"\s*([a-z]+:|//)", href, re.IGNORECASE), href


@settings(deadline=None, max_examples=150)
@given(
    st.text(alphabet=st.sampled_from(list("<>&\"'`*_[]()!#|:/ \nabcjsx=$\\\ue000\ue0011{}@^-~")), max_size=60)
)
def test_no_text_opens_a_tag_of_its_own(text: str) -> None:
    try:
        html = str(write(text).html)
    except BadInput:
        return
    allowed = "p em strong code pre a ul ol li dl dt dd h2 h3 h4 h5 h6 blockquote hr br div span sup figure"
    allowed += " table thead tbody tr th td"
    for tag, attributes in Tags(re.sub(r"<math.*?</math>", "", html, flags=re.DOTALL)).found:
        assert tag in allowed.split(), html
        assert not any(name.startswith("on") or name == "style" for name in attributes), html


def test_references_and_citations_become_links() -> None:
    html = str(write('See {{ ref("first") }} and {{ ref("two") }} [@ho2020, p. 3].').html)
    assert '<a class="ref" href="one.html#fig-first" title="One">Figure 1</a>' in html
    assert '<a class="ref" href="two.html" title="Two">Section 2</a>' in html
    assert '(<a class="cite" href="references.html#ho2020" title="DDPM">Ho et al., 2020, p. 3</a>)' in html


def test_code_keeps_what_would_be_a_call_elsewhere() -> None:
    html = str(write('`[@ho2020] $x$ {{ ref("first") }}`\n\n```\n[@nobody] $y$\n```').html)
    assert "[@ho2020] $x$" in plain(html) and "[@nobody] $y$" in plain(html) and "<math" not in html


def test_an_unknown_work_is_told_with_its_place() -> None:
    with pytest.raises(BadInput) as caught:
        write("One.\n\nTwo [@ho2021] and\nthree [@nobody].")
    assert [str(problem.position) for problem in caught.value.problems] == [
        "sections/x.md:12:5",
        "sections/x.md:13:7",
    ]
    assert "ho2020" in caught.value.problems[0].hint


def test_bad_math_is_told_with_its_place() -> None:
    with pytest.raises(BadInput) as caught:
        write("One.\n\nTwo $\\frac{1}{2$.")
    assert str(caught.value.problems[0].position).startswith("sections/x.md:12:6")


def test_equations_are_numbered_and_referred_to() -> None:
    html = str(
        write(
            "$$\\begin{equation}a=b\\label{q}\\end{equation}$$\n\nBy $\\eqref{q}$ and $x + \\eqref{q}$."
        ).html
    )
    assert '<span class="equation" tabindex="0"><math display="block">' in html
    assert 'id="eq-q"' in html and "(1)" in html
    assert html.count('<a class="ref" href="#eq-q">(1)</a>') == 1
    assert " style=" not in html and " $" not in html


def test_styles_become_classes_of_one_sheet() -> None:
    styles = Styles()
    cells = fromstring('<mtr><mtd class="x" style="width: 50%;"></mtd><mtd style="width: 50%"></mtd></mtr>')
    html = serialise(cells, styles)
    assert (
        html
        == f'<mtd class="x {styles.name("width: 50%")}"></mtd><mtd class="{styles.name("width: 50%")}"></mtd>'
    )
    assert styles.sheet() == f".{styles.name('width: 50%')}{{width: 50%}}\n"


def test_a_figure_stands_between_paragraphs() -> None:
    prose = write('Before\n{{ figure("first") }}\nafter.')
    assert str(prose.html) == '<p>Before</p>\n<figure id="first"></figure>\n<p>after.</p>'
    assert prose.figures == ["first"]


@pytest.mark.parametrize("text", ["# A\n\n### B\n\n# C", "## A\n\n## B\n\n### C", "### A\n\n# B\n\n##### C"])
def test_headings_start_below_the_title_and_skip_nothing(text: str) -> None:
    levels = [int(tag[1]) for tag, _ in Tags(str(write(text).html)).found if re.fullmatch("h[1-6]", tag)]
    assert len(levels) == 3 and min(levels) == 2
    assert all(after <= before + 1 for before, after in zip([1, *levels], levels, strict=False))


def test_headings_take_no_id_of_the_page() -> None:
    html = str(write("## Main\n\n## Main\n\n## Fig. x\n\n## fig-first").html)
    assert re.findall(r'<h2 id="([^"]*)"', html) == [
        "main-section",
        "main-section_1",
        "fig-x-section",
        "fig-first-section",
    ]


def test_links_between_sections_and_pictures() -> None:
    html = str(write("[two](two.md#x) ![a tile](images/a.png)").html)
    assert 'href="two.html#x"' in html
    assert 'src="assets/a.png"' in html and 'width="3"' in html and 'alt="a tile"' in html
    for bad in ("images/none.png", "https://elsewhere.example/x.png"):
        with pytest.raises(BadInput):
            write(f"![x]({bad})")


def test_a_caption_has_no_paragraph_of_its_own() -> None:
    html = writer().inline('The *tower* at $t$, {{ ref("two") }}.', Position("x.md"))
    assert html.startswith("The <em>tower</em> at <math>") and not html.endswith("</p>")


def test_bibliography_fields_and_faults() -> None:
    works = parse(
        '@article{a, author="Mann, Anna and Frau, Bob", title={A {GAN} in {T}ime},\n journal = {J}, volume=2,'
        " number={1}, pages={3--4}, year = 1999, doi={10.1/x}}\n@comment{x, y}\n"
        "@misc{b, title={B}, eprint={1234.5}, author={Only One}}",
        "r.bib",
    )
    assert works["a"].short == "Mann and Frau, 1999" and works["a"].authors == ["Anna Mann", "Bob Frau"]
    assert works["a"].fields["title"] == "A GAN in Time" and works["a"].venue == "J 2(1), 3–4"
    assert works["a"].link == "https://doi.org/10.1/x" and works["b"].link == "https://arxiv.org/abs/1234.5"
    assert works["b"].short == "One"
    lab = parse("@misc{c, author={{Some Lab at Place} and Ann Other}, title={C}}", "r.bib")["c"]
    assert lab.short == "Some Lab at Place and Other" and lab.authors == ["Some Lab at Place", "Ann Other"]
    with pytest.raises(BadInput, match=r"r.bib:2:1: the key 'a' is given twice"):
        parse("@misc{a, title={x}}\n@misc{a, title={y}}", "r.bib")
    with pytest.raises(BadInput, match="never closed"):
        parse("@misc{a, title={x", "r.bib")


def test_a_table_is_a_region_with_a_name_and_no_empty_header() -> None:
    html = str(
        write("| level | $x_t$ <b> |\n|--|--|\n| 1 | 2 |\n\n|  |  |\n|--|--|\n| stages | I & II |").html
    )
    labels = [a["aria-label"] for tag, a in Tags(html).found if tag == "div" and a.get("role") == "region"]
    assert labels == ["Table: level <b>", "Table: stages I & II"]
    assert html.count("<th") - html.count("<thead") == 2 and "<math" in html
    root = str(write(r"$\sqrt{n}$").html)
    assert "<msqrt><mspace" in root, "or the sign hangs below the line"
