"""From Markdown to HTML: what is linked, what is escaped, where mistakes are told."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from noisebook.render.bibliography import parse
from noisebook.render.html import ATTRIBUTES, ELEMENTS, serialise
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


ATTACKS = [
    '[a]("[a]($x$',
    '![a]("[a]($x$',
    '``` {.python id=\'x"><script src="assets/z.js"></script><b x="\'}\nx\n```',
    "[x](java&#115;cript:alert(1))",
    "[x](java&Tab;script:alert(1))",
    "[x](&#1;javascript:alert(1))",
    "[x](<java\tscript:alert(1)>)",
    "[x](&amp;#106;avascript:alert(1))",
    "[x](\\javascript:alert(1))",
    "[x](/\\elsewhere.example)",
    "[x](&sol;&sol;elsewhere.example)",
    "[x](vbscript:x) [y](file:///etc/passwd) [z](blob:x)",
    "<details onclick=x><summary onclick=x>a</summary>\n\nb\n\n</details>",
    "<sub onclick=alert(1)>x</sub> <kbd style=x>y</kbd> <br onload=x>",
    "<svg><a href='javascript:x'>y</a></svg><math><maction xlink:href='x'>z</maction></math>",
    "$\\text{<script>alert(1)</script>}$ ![<script>](images/a.png '\"><script>')",
    "| &#xE000;99&#xE001; |\n|--|\n| &#2;piece:0&#3; $x$ |",
    "&#x02;piece:7&#x03; \ue0000\ue001 `a`",
    '!!! x"onclick="y "t"\n    b',
    "[x]: javascript:alert(1) 'a'\n[x] ![x]",
    '## A <img src=x onerror=y> {#a"onclick="b}',
]


@pytest.mark.parametrize("text", ATTACKS)
def test_attacks_reach_no_page(text: str) -> None:
    try:
        html = str(write(text).html)
    except BadInput:
        return
    assert not unlisted(html), html


def unlisted(html: str) -> list[str]:
    """What is in a page and on no list: an independent reading of the finished HTML."""
    found = []
    for tag, attributes in Tags(html).found:
        if tag not in ELEMENTS | {"figure"}:
            found.append(tag)
        for name, value in attributes.items():
            if name not in ATTRIBUTES or name.startswith("on") or name == "style":
                found.append(f"{tag}.{name}")
            address = re.sub("[\x00-\x20]", "", value or "").replace("\\", "/")
            if name in ("href", "src") and (
                address.startswith("//") or re.match("(?!(https?|mailto):)[^/?#:]*:", address, re.IGNORECASE)
            ):
                found.append(address)
    return found


_PARTS = r"""
$x$ $$ ` ```\n [a]( ](b) ![ [^1] [^1]:_n\n &#106;avascript: javascript: &#2; <details> </details>
<summary> <sub> </sub> <script> <!-- --> {{ {{_ref("two")_}} #_ ##_ -_ __ ____ 1._ >_
|_a_|_b_|\n|--|--|\n | \n \n\n ** * ~~ \ " ' x word_ https://a.b/ // {#id} !!!_note\n :_ --- === [@ho2020] é
"""
PARTS = [part.replace("_", " ").replace("\\n", "\n") for part in _PARTS.split()] + ["_", "\ue000", "\x03"]


def follows_the_lists(parts: list[str]) -> None:
    text = "".join(parts)
    try:
        prose = write(text)
    except BadInput as error:
        assert all(1 <= problem.position.line <= 10 + text.count("\n") for problem in error.problems)
        return
    pages = [str(prose.html), *(heading["html"] for heading in prose.headings)]
    assert not any(unlisted(page) for page in pages)
    assert not re.search("[\x02\x03]", "".join(pages)), "no sign of the machinery is left"
    ids = re.findall(r' id="([^"]*)"', pages[0])
    assert len(ids) == len(set(ids))


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(PARTS), max_size=25))
def test_every_text_follows_the_lists(parts: list[str]) -> None:
    follows_the_lists(parts)


@pytest.mark.soak
@settings(deadline=None, max_examples=50_000)
@given(st.lists(st.sampled_from(PARTS), max_size=60))
def test_every_longer_text_follows_the_lists(parts: list[str]) -> None:
    follows_the_lists(parts)


ENDLESS = [
    "[",
    "\\",
    '"',
    "**a",
    "<!--",
    "![",
    "[a](",
    "<a ",
    "&a",
    "~~a",
    "`a",
    "$",
    "$a$ ",
    "\\(",
    "\\[",
    "a_ ",
]
ENDLESS += [
    "{{",
    "[@",
    "*a **b ",
    "<sub>",
    "http://a ",
    "--a ",
    "  ",
    "[]: ",
    "1. ",
    "> ",
    "- ",
    "\\begin{align}",
    "'",
]


@pytest.mark.parametrize("piece", ENDLESS)
def test_every_text_ends(piece: str) -> None:
    """400 kB of one thing over and over are read, or refused with a place, in a few seconds."""
    start = time.perf_counter()
    try:
        write(piece * (400_000 // len(piece)))
    except BadInput as error:
        assert 1 <= len(error.problems) <= 50 and error.problems[0].position.line == 10
    assert time.perf_counter() - start < 15  # on a busy machine


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("$$" + "{" * 100_000 + "}" * 100_000 + "$$", "characters, more than"),
        ("$$" + "\\frac{1}{" * 1000 + "}" * 1000 + "$$", "deep"),
        ("$$" + "\\frac1" * 1600 + "2$$", "deep"),
        ("$$" + "\\frac" * 1000 + "$$", "follow one another"),
        ("1. " * 2000 + "x", "deep"),
        ("".join(" " * 2 * i + "- a\n" for i in range(500)), "deep"),
        ("a " * 40 + "[" * 300, "brackets"),
        ("\n".join(["| a " * 900, "|--" * 900, "| b " * 900]), "columns"),
    ],
)
def test_what_is_too_much_is_told(text: str, said: str) -> None:
    with pytest.raises(BadInput, match=said):
        write(text)


def test_a_long_page_is_written_in_time() -> None:
    paragraph = 'A *word* in **bold** with `code`, $x_t$, a [link](two.md) and it\'s "quoted". ' * 8
    page = "".join(f"## Part {i}\n\n{paragraph}\n\n- one\n- two\n\n{paragraph}\n\n" for i in range(320))
    assert len(page) > 400_000
    start = time.perf_counter()
    write(page)
    assert time.perf_counter() - start < 6  # some 0.8 s; the machine may be busy
