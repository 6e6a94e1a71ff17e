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
from noisebook.render.links import dead
from noisebook.render.prose import Context, Prose, Target, Writer, plain
from noisebook.render.styles import Styles
from noisebook.render.text import Text
from noisebook.report.body import scan
from noisebook.report.habits import foreign
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


class Untold(Text):
    """Writes a text whatever is wrong with it."""

    def _tell(self, offset: int, message: str, hint: str = "") -> None:
        pass


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
    """Not even where nobody had told that it may not."""
    untold = Untold(writer().context, text, lambda _: Position("x.md"), str)
    for tag, attributes in Tags(str(untold.write().html)).found:
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


def test_words_beside_a_citation_are_printed_as_prose_is() -> None:
    words = re.sub("<[^>]*>", "", write('A [see "this" in @ho2020, pp. 5--6; -@ho2020].').html)
    assert "(see “this” in Ho et al., 2020, pp. 5–6; 2020)" in words
    assert "(Ho et al., 2020)" in re.sub("<[^>]*>", "", write("[@{ho2020}]").html)


def test_a_work_without_a_year_says_so() -> None:
    works = parse("@misc{a, author={A O'Brien}, title={T}}\n@misc{b, title={U}}", "r.bib")
    own = Writer(Context({}, works, Styles(), lambda _: None))
    words = re.sub("<[^>]*>", "", own.inline("[-@a], [@a], [-@b].", Position("x.md")))
    assert words == "(n.d.), (O’Brien), (n.d.)."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[@ho2020, @ho_b]", "'@ho2020, @ho_b' names several works, and none has the key 'ho_b'"),
        ("[@ho2020, @{ho_b}]", "names several works, and none has the key 'ho_b'"),
        ("[@{nobody}]", "no work has the key 'nobody'"),
        ("[@HO2020]", "did you mean 'ho2020'?"),
    ],
)
def test_citations_of_nothing_are_told(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        write(text)
    assert message in str(caught.value)


def test_code_keeps_what_would_be_a_call_elsewhere() -> None:
    html = str(write('`[@ho2020] $x$ {{ ref("first") }}`\n\n```\n[@nobody] $y$\n```').html)
    assert "[@ho2020] $x$" in plain(html) and "[@nobody] $y$" in plain(html) and "<math" not in html


def test_places_are_those_of_what_is_wrong() -> None:
    """Not of other words that begin alike, nor of a citation that is right."""
    with pytest.raises(BadInput) as caught:
        write("[@ho2020] `@ho2020` @ho2020 ![x](../images/b.png) ![y](images/b.png) [z]()")
    assert [each.position.column for each in caught.value.problems] == [21, 34, 56, 72]
    told = nowhere("[a](two.md#there) [b](two) [c](/two.html) [d](two.md)")
    assert [line.split(": ")[0].rpartition(":")[2] for line in told] == ["23", "32"]


def test_a_tie_before_a_reference_is_a_space() -> None:
    html = str(write('Figure~{{ ref("first") }}, Ho~[@ho2020]; $$x \\label{q}$$ Eq.~\\eqref{q}, a~b').html)
    assert html.count("\N{NO-BREAK SPACE}<") == 3 and "a~b" in html


def test_an_unknown_work_is_told_with_its_place() -> None:
    with pytest.raises(BadInput) as caught:
        write("One.\n\nTwo [@ho2021] and\nthree [@nobody].")
    assert [str(problem.position) for problem in caught.value.problems] == [
        "sections/x.md:12:5",
        "sections/x.md:13:7",
    ]
    assert "ho2020" in caught.value.problems[0].hint


def test_a_citation_without_brackets_is_told() -> None:
    with pytest.raises(BadInput) as caught:
        write("One.\n\nAs @ho2020 says.")
    assert [str(problem.position) for problem in caught.value.problems] == ["sections/x.md:12:4"]
    assert plain(str(write(r"a@ho2020, \@ho2020, @nobody").html)) == "a@ho2020, @ho2020, @nobody"


def test_bad_math_is_told_with_its_place() -> None:
    with pytest.raises(BadInput) as caught:
        write("One.\n\nTwo $\\frac{1}{2$.")
    assert str(caught.value.problems[0].position).startswith("sections/x.md:12:16")


def test_a_formula_that_only_defines_shows_nothing() -> None:
    found = write("a\n\n$$\\newcommand{\\foo}{x}$$\n\n$\\foo$")
    assert "equation" not in found.html and str(found.html).count("<math") == 1 and found.equations == 0


def test_lines_may_define_macros() -> None:
    lines = "\\newcommand{\\xt}[1][t]{x_{#1}}\n\\DeclareMathOperator{\\tr}{tr}\n\\def\\a#1{#1^2}"
    found = write(f"{lines}\n\n$\\xt + \\tr\\a{{y}}$")
    assert (
        str(found.html).count("<math") == 1 and "newcommand" not in found.html and "<p></p>" not in found.html
    )


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("en-GB", "“It’s ‘so’”, *she* said"),
        ("de", "„It’s ‚so‘“, *she* said"),
        ("de-CH", "«It’s ‹so›», *she* said"),
        ("fr", "«\u202fIt’s “so”\u202f», *she* said"),
        ("sv", "”It’s ’so’”, *she* said"),
        ("ja", "“It’s ‘so’”, *she* said"),
    ],
)
def test_quotation_marks_are_those_of_the_language(language: str, expected: str) -> None:
    context = Context(TARGETS, WORKS, Styles(), lambda path: None, language=language)
    found = Writer(context).title("\"It's 'so'\", \\*she\\* said", Position("x.md"))
    assert found[0] == expected


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
        write("| level | $x_t$ \\<b> |\n|--|--|\n| 1 | 2 |\n\n|  |  |\n|--|--|\n| stages | I & II |").html
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
    start = time.process_time()
    try:
        write(piece * (400_000 // len(piece)))
    except BadInput as error:
        assert 1 <= len(error.problems) <= 50 and error.problems[0].position.line == 10
    assert time.process_time() - start < 15  # on a busy machine


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
    start = time.process_time()
    write(page)
    assert time.process_time() - start < 6  # some 0.8 s; the machine may be busy


def nowhere(text: str) -> list[str]:
    by = writer()
    prose = by.body(text, "sections/one.md", 10, lambda name: f'<figure id="fig-{name}"></figure>')
    return list(map(str, dead(prose.links, {"one": prose.html, "two": '<h2 id="there">'})))


def test_links_that_lead_nowhere_are_told() -> None:
    told = nowhere(
        "[a](nothere.md) [b](Two.md)\n[c](#nowhere) [d](images/a.png) [e](../report.yaml) [f](two)\n\n"
        "[g](two.md#their) [h](tow.md) [i][x]\n\n[x]: gone.html"
    )
    assert [line.partition(":")[2].split(": ")[0] for line in told] == [
        *("10:5", "10:21", "11:5", "11:19", "11:37", "11:57", "13:5", "13:23", "15:6")
    ]
    for number, words in {
        1: "did you mean two.md?",
        6: "did you mean there?",
        7: "did you mean two.md?",
    }.items():
        assert words in told[number]
    assert "no page 'two'" in told[5] or "called 'two'" in told[5]


def test_links_that_lead_somewhere_are_not() -> None:
    text = "## Here we are\n\n[a](two.md) [b](two.html#there) [c](#here-we-are) [d](./two.md) [e](index.html)"
    text += " [f](https://a.org) [g](mailto:a@b.org) [h](sections/two.md) [i](#fig-first) [j](#eq-q)"
    text += " [k](#fn:1)[^1]"
    text += '\n\n$$a \\label{q}$$\n\n{{ figure("first") }}\n\n[^1]: note\n\n## 结果\n\n[l](#结果)'
    assert nowhere(text) == []


def test_pictures_are_found_in_another_form_of_their_name() -> None:
    by = writer()
    by.context.image = lambda path: ("assets/b.png", 1, 1) if path == "images/e\u0301 a.png" else None
    for name in ("images/é%20a.png", "<images/é a.png>", "<images/e\u0301 a.png>"):
        assert "assets/b.png" in by.body(f"![x]({name})", "sections/x.md", 1, lambda _: "").html
    by.context.near = lambda path: "images/a.png"
    with pytest.raises(BadInput, match=r"x.md:1:6: no picture 'images/b.png'[^?]*did you mean images/a.png"):
        by.body("![x](images/b.png)", "sections/x.md", 1, lambda _: "")


@pytest.mark.parametrize(
    ("text", "said", "place"),
    [
        ("A note[^missing].", "no footnote is called 'missing'", "10:7"),
        ("a [link][undefined]", "no link is called 'undefined'", "10:9"),
        ("x\n\n![picture][undefined]", "no link is called 'undefined'", "12:11"),
        ("x\n\n[^1]: text", "no text refers to the footnote '1'", "12:1"),
        ("a[^1]\n\n[^1]: b\n[^1]: c", "is given twice", "13:1"),
        ("<details>\n\ntext", "<details> is never closed", "10:1"),
        ("##Heading", "a heading has a space", "10:1"),
        ("a|b\n-|-|-\nc|d", "header has 2 cells", "10:1"),
        ("|a|b|\n|-|-|\n|c|d|e|", "this row has 3 cells", "12:1"),
    ],
)
def test_mistakes_in_the_text_are_told_with_their_places(text: str, said: str, place: str) -> None:
    with pytest.raises(BadInput) as caught:
        write(text)
    (told,) = caught.value.problems
    assert said in told.message and str(told.position) == f"sections/x.md:{place}"


def shape(text: str) -> str:
    """The HTML of a text on one line, without what only serves the page."""
    html = re.sub(r'<a class="permalink".*?</a>| tabindex="0"| rel="noopener"', "", str(write(text).html))
    return re.sub(r">\n+<", "><", html).replace("\n", "⏎")


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("- a\n  - b\n    - c\n- d", "<ul><li>a<ul><li>b<ul><li>c</li></ul></li></ul></li><li>d</li></ul>"),
        ("1. one\n   - inner\n2. two", "<ol><li>one<ul><li>inner</li></ul></li><li>two</li></ol>"),
        ("- a\n    - b", "<ul><li>a<ul><li>b</li></ul></li></ul>"),
        ("- a\n\n  b\n- c", "<ul><li><p>a</p><p>b</p></li><li><p>c</p></li></ul>"),
        ("1. a\n\n   b", "<ol><li><p>a</p><p>b</p></li></ol>"),
        ("3) a\n4) b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("- a\n* b", "<ul><li>a</li></ul><ul><li>b</li></ul>"),
        ("text\n- a\n- b", "<p>text</p><ul><li>a</li><li>b</li></ul>"),
        ("text\n1. a", "<p>text</p><ol><li>a</li></ol>"),
        ("In\n1984. a", "<p>In⏎1984. a</p>"),
        ("- a\n\n  ```\n  x\n    y\n  ```\n- b", None),
        ("> a\n> - b\n>   c\nlazy", "<blockquote><p>a</p><ul><li>b⏎c⏎lazy</li></ul></blockquote>"),
        ("> a\n\nb", "<blockquote><p>a</p></blockquote><p>b</p>"),
        ("#1 is best", "<p>#1 is best</p>"),
        ("a\n#2 is next", "<p>a⏎#2 is next</p>"),
        ("# A #\ntext", '<h2 id="a">A</h2><p>text</p>'),
        ("A\n===\n\nB\n---", '<h2 id="a">A</h2><h3 id="b">B</h3>'),
        ("a\n***\nb", "<p>a</p><hr><p>b</p>"),
        ("    code *x*", "<pre><code>code *x*⏎</code></pre>"),
        ("a\n    b", "<p>a⏎b</p>"),
        ("a  \nb\\\nc", "<p>a<br>b<br>c</p>"),
        (
            "Price \\$5 and \\$6. Fifty \\% of A \\& B \\~ \\< \\#.",
            "<p>Price $5 and $6. Fifty % of A &amp; B ~ &lt; #.</p>",
        ),
        ("a <!-- b\n\n$x --> c", "<p>a  c</p>"),
        (
            "~~a~~ H<sub>2</sub>O<sup>*2*</sup> <kbd>x</kbd><br>y",
            "<p><del>a</del> H<sub>2</sub>O<sup><em>2</em></sup> <kbd>x</kbd><br>y</p>",
        ),
        (
            "A\n\n- [ ] b\n- [x] c\n",
            '<p>A</p><ul class="tasks"><li><input type="checkbox" disabled aria-label="to do">b</li>'
            '<li><input type="checkbox" disabled aria-label="done" checked>c</li></ul>',
        ),
        ("A\n\n- - b\n  - c\n- d", "<p>A</p><ul><li><ul><li>b</li><li>c</li></ul></li><li>d</li></ul>"),
        ("--frozen and `--x`, a--b, a -- b, a---b", "<p>--frozen and <code>--x</code>, a–b, a – b, a—b</p>"),
        ("\"a\" 'b' it's \"*c*\" ('90s) ...", "<p>“a” ‘b’ it’s “<em>c</em>” (’90s) …</p>"),
        (
            "see https://a.org/b_c_d. <https://e.org>",
            '<p>see <a href="https://a.org/b_c_d">https://a.org/b_c_d</a>. '
            '<a href="https://e.org">https://e.org</a></p>',
        ),
        (
            "<details>\n<summary>S *x*</summary>\n\n- a\n\n</details>\n\nb",
            "<details><summary>S <em>x</em></summary><ul><li>a</li></ul></details><p>b</p>",
        ),
        (
            '!!! note "A *b*"\n    c\n\n    d\n\ne',
            '<div class="admonition note"><p class="admonition-title">A <em>b</em></p><p>c'
            "</p><p>d</p></div><p>e</p>",
        ),
        (
            "> [!WARNING]\n> c",
            '<div class="admonition warning"><p class="admonition-title">Warning</p><p>c</p></div>',
        ),
        (
            "> [!note]- A *b*\n> c",
            '<details class="admonition note"><summary>A <em>b</em></summary><p>c</p></details>',
        ),
        ("<b>a</b> <i>b</i>", "<p><strong>a</strong> <em>b</em></p>"),
        ("-\n\n  a", "<ul><li></li></ul><p>a</p>"),
        ("## A {#own}\n\n[x](#own)", '<h2 id="own">A</h2><p><a href="#own">x</a></p>'),
        ("Term\n: one\n: two", "<dl><dt>Term</dt><dd>one</dd><dd>two</dd></dl>"),
        ("a[i][j] and x[0]", "<p>a[i][j] and x[0]</p>"),
        ("$5 in America and 7$ is prose", "<p>$5 in America and 7$ is prose</p>"),
        ("&copy; &#169; &nosuch; &lt;b&gt;", "<p>© © &amp;nosuch; &lt;b&gt;</p>"),
    ],
)
def test_marks_mean_what_authors_expect(text: str, html: str | None) -> None:
    if html is not None:
        assert shape(text) == html
    else:
        assert re.search(
            r"<li><p>a</p><div class=.highlight.><pre><code>x⏎  y⏎</code></pre></div></li><li>", shape(text)
        )


def test_blocks_end_a_table() -> None:
    found = shape("|a|b|\n|-|-|\n|c|d|\n# E\n|f|g|\n|-|-|\n***\nh")
    assert "</table></div><h2" in found and found.endswith("</table></div><hr><p>h</p>")


def test_math_may_be_fenced() -> None:
    html = write("```math\nx^2\n```\n\n> ```math\n> y\n> ```").html
    assert html.count('<math display="block">') == 2 and "&gt;" not in html and "<pre" not in html


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("see [[page]]", 4),
        ("a $ x_t $ b", 2),
        ("$ x $", 0),
        ("![[a.png]]", 0),
        ("a %%not for readers%%", 2),
        ("> ::: note", 2),
        ("{% include x %}", 0),
        ("![a](images/a.png){width=50%}", 18),
        ("[a](two.md){target=_blank}", 11),
        ("[a]{.small}", 3),
        ("## A {.unnumbered}", 5),
        ("## A {#b .c}", 5),
        ("•\ta", 0),
        ("a^[a note]", 1),
        ("+---+---+", 0),
        ("*[HTML]: words", 0),
        (r"\\(x\\)", 0),
        ("[TOC]", 0),
        ("\\newpage", 0),
    ],
)
def test_marks_of_other_programs_are_told(text: str, place: int) -> None:
    (fault,) = foreign(text, scan(text)[0])
    assert fault.offset == place and fault.message and fault.hint


@pytest.mark.parametrize(
    "text",
    [
        "x[[1]] and [[1]](https://a.org), a[[1, 2], [3, 4]]",
        "`[[a]] %%b%% {% c %}` and $a^{[b c]} {.x}$",
        "50%% of 60%%",
        "$ 5 + $ 6, US$ a word and $ another, $ and $",
        "## A {#own}",
        "the set {x=1} is {.5}",
        "a :: b",
        "```\n::: note\n```",
        "2 + 3",
    ],
)
def test_what_is_no_such_mark_is_not_told(text: str) -> None:
    assert not list(foreign(text, scan(text)[0]))


def test_code_that_leaves_its_list_item_is_told() -> None:
    assert not scan("- ```\n  a\n\n  ```")[1]
    (fault,) = scan("- ```\na\n```")[1]
    assert fault.offset == 6 and "leaves the list item" in fault.message


def test_all_that_is_wrong_with_a_text_is_told_at_once() -> None:
    with pytest.raises(BadInput) as caught:
        write("$\\foo$ [^1] [@nobody]\n\n##x\n\n[a][b] ![c](images/no.png)\n\n[^2]: unused")
    assert [str(each.position)[len("sections/x.md:") :] for each in caught.value.problems] == [
        *("10:2", "10:8", "10:13", "12:1", "14:4", "14:13", "16:1")
    ]


def test_task_lists() -> None:
    boxes = [
        attributes for tag, attributes in Tags(str(write("- [ ] a\n- [x] b").html)).found if tag == "input"
    ]
    assert ["checked" in box for box in boxes] == [False, True]
    assert all("disabled" in box and box["aria-label"] for box in boxes)


def test_the_marks_of_a_quote_are_no_part_of_math() -> None:
    html = str(write("> A theorem:\n>\n> $$\n> x = y\n> $$\n>\n> and $a\n> = b$.").html)
    assert "&gt;" not in html and html.count("<math") == 2
    with pytest.raises(BadInput):
        write("> $$\n> x = \\foo\n> $$")


@pytest.mark.parametrize(
    "text",
    [
        r"\(x\)",
        r"\[x\]",
        r"a \[ x^2 \] b",
        "a \\[\nx\n\\]",
        "\\begin{equation}\nx\n\\end{equation}",
        r"$$x\label{q}$$ by \eqref{q}",
        r"$\text{if $x$}$",
    ],
)
def test_other_ways_to_write_math(text: str) -> None:
    html = str(write(text).html)
    assert "<math" in html and "\\" not in html and "$" not in html


@pytest.mark.parametrize("text", [r"\[not a link\](x)", r"\[sic\]", r"\(an aside\)"])
def test_escaped_brackets_stay_brackets(text: str) -> None:
    assert "<math" not in write(text).html and "\\" not in write(text).html


@pytest.mark.parametrize(
    "text", [r"\begin{matrix} a", r"\cite{ho2020}", r"see \label{x}", r"\begin{align} x"]
)
def test_tex_in_a_text_is_told(text: str) -> None:
    assert scan(text)[1]


def test_search_reads_no_signs_of_the_page() -> None:
    assert plain(str(write("## A\n\nb[^1]\n\n[^1]: c").html)) == "A b c"


def test_headings_keep_their_addresses() -> None:
    for before in ("", "Intro $a$ and `b`.\n\n"):
        prose = write(before + "## The loss $L$ of $x_t$\n\n## 结果\n\n## Über `x`")
        assert [each["id"] for each in prose.headings] == ["the-loss-l-of-xt", "结果", "uber-x"]
        assert 'href="#结果"' in prose.html and "<math" in prose.headings[0]["html"]
        assert not re.search("[\ue000-\uf8ff\x00-\x08]", prose.headings[0]["html"])


def test_titles_and_captions() -> None:
    assert writer().title('"A" -- b --frozen', Position("x.md")) == ("“A” – b --frozen", "“A” – b --frozen")
    html, words = writer().title("How $x_t$ comes from **x0** \\& [a](two.md)", Position("x.md"))
    assert words == "How xₜ comes from x0 & a"
    assert "<math>" in html and "<strong>x0</strong> &amp; a" in html and "<a" not in html
    assert (
        writer().inline(r"Costs \$5, 5 \% of A \& B; 1. and - c", Position("x.md"))
        == "Costs $5, 5 % of A &amp; B; 1. and - c"
    )
    assert plain(str(writer().inline("At $x_0$", Position("x.md")))) == "At x₀"


def test_macros_of_the_report_and_of_the_text() -> None:
    by = writer()
    by.context.macros = {"E": r"\mathbb{E}"}
    html = by.body(r"$$\newcommand{\abar}{\bar\alpha} \abar_t$$ And $\abar \E$.", "x", 1, lambda _: "").html
    assert "𝔼" in html and html.count("α") == 2
