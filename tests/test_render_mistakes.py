"""What would reach the reader otherwise than meant is told at its place, or read as it was meant."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from noisebook.render.bibliography import parse
from noisebook.report.body import scan
from noisebook.report.formulas import math_faults
from noisebook.report.habits import foreign
from noisebook.report.model import BadInput, Position, Problem
from noisebook.report.parse import Document, parse_yaml
from noisebook.report.reader import Source
from noisebook.report.sections import check_text
from noisebook.report.validation import validate
from tests.test_render_prose import write, writer


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a <div>b</div>", "10:3", "no HTML"),
        ('[a](two.md)\n<a href="b">c</a>', "11:1", "[words](address)"),
        ("<img src=images/a.png>", "10:1", "![what it shows](path)"),
        ("<details class=x>\n\nb\n\n</details>", "10:1", "begin lines"),
        ('x <kbd class="y">z</kbd>', "10:3", "without attributes"),
        ("a <sub>b", "10:3", "no </sub>"),
        ("a <abbr title='x'>b</abbr>", "10:3", "without attributes"),
        ("a <made up='x'>", "10:3", "no HTML"),
        ("a</sup> b", "10:2", "no <sup>"),
        ("[x](javascript:y)", "10:5", "https://"),
        ("a [x](//elsewhere.example)", "10:7", "https://"),
        ("[x](ftp://elsewhere.example/a)", "10:5", "cannot lead to"),
        ("a\n[b]: https://b.org", "11:1", "a blank line"),
        ("!!! note Title\n    a", "10:1", "begins no block"),
        ('!!! "Title"\n    a', "10:1", "begins no block"),
        ("!!! danger\n  two spaces", "10:1", "indented by four"),
        ("# A\n\n: lost", "12:1", "no term"),
        ("| a | b |\n| 1 | 2 |", "10:1", "|---|---|"),
        ("| a |\n|---|\n| 1 | 2 |", "12:1", "or | within a formula or code"),
        ("A\n:   one\nB\n:   two", "12:1", "a blank line goes before a term"),
        ("1. a\n\nb\n2. c", "13:1", "item 2"),
        ("a\n\n##\n\nb", "12:1", "says nothing"),
        ("## A {#x}\n\n## B {#x}", "12:7", "there already"),
        ("## A {#main}", "10:7", "there already"),
        ("a {#x}\n\nb\n{#fig-1}", "13:2", "there already"),
        ("a[^note1] b[^note]\n\n[^note]: c", "10:2", "did you mean 'note'?"),
        ("[a][lnk] [link]\n\n[link]: https://a.org", "10:4", "did you mean 'link'?"),
        ("[see @ho2020 and @ho2020]", "10:2", "a semicolon"),
        ("[@ho2020 p. 3]", "10:1", "a comma follows the key: [@ho2020, p. 3]"),
        ("a [@ho2020, eq. $x$]", "10:4", "outside its brackets"),
        ("a ![u]()", "10:6", "no picture"),
        ("[y](https:/example.org)", "10:5", "cannot lead to"),
        ("[@ho2020](https://a.org)", "10:2", "without an address"),
        ("An ![a](images/x&amp;y\\_.png)", "10:9", "no picture 'images/x&y_.png'"),
        ("A [b](ftp&colon;//c)", "10:7", "cannot lead to 'ftp://c'"),
        ("| a |\n|---|\n| b |\n\n: c\n\n: d", "16:1", "no term"),
        ("see [@fig:one]", "10:5", '{{ ref("id") }}'),
        ("i. one\nii. two", "10:1", "begins with - or 1."),
        ("#No space\n\na", "10:1", "a space after its #"),
        ("So:\n\na) one\nb) two", "12:1", "make no list"),
        ("So\n(1) one\n(2) two", "11:1", "begins with - or 1."),
    ],
)
def test_what_is_not_what_it_looks_like_is_told(text: str, place: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        write(text)
    problem = caught.value.problems[0]
    assert str(problem.position) == f"sections/x.md:{place}" and said in f"{problem.message} {problem.hint}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "the <label>, <eos> and </s>; a<b and c>d",
            "<p>the &lt;label&gt;, &lt;eos&gt; and &lt;/s&gt;; a&lt;b",
        ),
        ("\\<div> and &lt;p&gt;, `<div>`", "&lt;div&gt; and &lt;p&gt;, <code>&lt;div&gt;</code>"),
        ("<https://x.org/[a](b)>", '<a href="https://x.org/[a](b)" rel="noopener">https://x.org/[a](b)</a>'),
        ("a\n\n| b |\n|---|\n: A *c* {#tbl:d}", '<p>a</p>\n<div class="scroll" tabindex="0"'),
        ("a\n\n| b |\n|---|\n: A *c* {#tbl:d}", '<table><caption id="tbl:d">A <em>c</em></caption>'),
        (
            "- a\n\n  Table: $x$ of\n  b\n\n  | c |\n  |---|",
            "<caption><math><mi>x</mi></math> of\nb</caption>",
        ),
        ("Table: a\n\n| b |\n|--|\n\nTable: c\n\n| d |\n|--|", "<caption>c</caption>\n<thead><tr><th>d"),
        ("Table: a\n\nTable: b", "<p>Table: a</p>"),
        ("of '$y$' and '*x*' is", "of ‘<math><mi>y</mi></math>’ and ‘<em>x</em>’ is"),
        ("a) one\nc) two\n(1999) this\n(2001) that", "<p>a) one\nc) two\n(1999) this"),
        ("a[^b c]\n\n[^b c]: d", '<li id="fn:b-c"><p>d'),
        ("| $x$ |\n|---|", 'aria-label="Table"'),
        ("![*a* $x_t$ \\*b\\* c_d_e](images/a.png)", 'alt="a xₜ *b* c_d_e"'),
        ("![**a** b][p]\n\n[p]: images/a.png", 'alt="a b"'),
        ("3$\\times$2 of $5", "3<math><mo"),
        ("a<Br>b", "a<br>b"),
        ("|x| and |y| are bars", "<p>|x| and |y| are bars</p>"),
        ("It was in\n1999. A year.", "<p>It was in\n1999. A year.</p>"),
        ("!!!note\n    a", '<div class="admonition note">'),
        ('!!! tip ""\n    a', '<div class="admonition tip"><p>a</p>'),
        ("| a |\n|---|\n| `x\\|y` |", "<code>x|y</code>"),
        ("`x\\|y`", "<code>x\\|y</code>"),
        (
            "**注意：**很重要。**「引用」**说。",
            "<strong>注意：</strong>很重要。<strong>「引用」</strong>说。",
        ),
        ("Das ist **„wichtig“**und **»a«**b", "<strong>„wichtig“</strong>und <strong>»a«</strong>b"),
        ("中文字\n换行 \n中文 and\n中文", "<p>中文字换行中文 and\n中文</p>"),
        ("한국\n어", "<p>한국\n어</p>"),
        ("见https://a.org/b 吧", '见<a href="https://a.org/b" rel="noopener">https://a.org/b</a> 吧'),
        ("see https://a.org/b。", '<a href="https://a.org/b"'),
        ('"\'a\'" and "--frozen", (--x)', "“‘a’” and “--frozen”, (--x)"),
        ("[a]: https://a.org\n'T'\n[b]: https://b.org\ntext [b]", '<p>text <a href="https://b.org"'),
        (
            "[n][i](https://j.org)\n\n[n]: https://n.org\n[i]: https://i.org",
            '<a href="https://i.org" rel="noopener">n</a>(',
        ),
    ],
)
def test_what_is_what_it_looks_like(text: str, expected: str) -> None:
    assert expected in str(write(text).html)


def test_a_comment_on_its_own_is_a_block_that_nobody_sees() -> None:
    assert write("- a\n- b\n<!-- c -->\n- d").html.count("<ul>") == 2, "as in CommonMark"
    assert "<p>" not in write("- a\n<!-- c\n\nd -->\n- b").html
    table = write("| a |\n|---|\n| 1 |\n<!-- | 2 | -->\n| 3 |").html
    assert table.count("<tr>") == 3 and "2" not in table
    assert "<li>a\nb</li>" in write("- a\n  <!-- c -->\n  b").html
    assert str(write("x<!-->y<!--->z <!-- a -->w").html) == "<p>xyz w</p>"


def test_no_comment_stands_in_a_formula() -> None:
    for text, place in (("$a <!-- b --> c$", 3), ("> $$\n> a <!-- b -->\n> $$", 9)):
        (fault,) = math_faults(scan(text)[0], {})
        assert fault.offset == place and "comment" in fault.message


@pytest.mark.parametrize(
    "text",
    [
        "as in [1] (https://x.org)",
        "x ** y ** z",
        "at 10:30:00, a:b:c, std::x::y",
        "- [ ] to do\n- [x] done\n- [a](two.md)",
        "#1 is\nhow\n#this begins",
    ],
)
def test_what_only_resembles_marks_is_left(text: str) -> None:
    assert not list(foreign(text, scan(text)[0])) and write(text).html


@pytest.mark.parametrize(
    "text", ["from $1 to $2 (both $) it is. A$AP and Ke$ha. The cost is 5$.", "Ke$ha and others$ are"]
)
def test_dollars_between_words_are_dollars(text: str) -> None:
    assert scan(text) == ([], [])


@pytest.mark.parametrize(
    "name",
    ["textbf", "emph", "section*", "subsection", "newcommand", "renewcommand", "url", "citep", "frac", "hat"],
)
def test_commands_of_tex_in_a_text_are_told(name: str) -> None:
    (fault,) = scan(rf"a \{name}{{b}}")[1]
    assert fault.offset == 2 and fault.hint


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("H~2~O", 1),
        ("x^2^", 1),
        ("a ==b c== d", 2),
        ("{# to do #}", 0),
        ("a\n\n% to do", 3),
        ("he said ``no''", 8),
        (r"the loss (\epsilon) is", 10),
        (r"as \sigma_t grows", 3),
        (r"from A \rightarrow B", 7),
        (r"a\n\noindent b".replace("\\n\\n", "\n\\n"), 2),
        ("see @fig:one", 4),
        ("a\n\n%%\nb\n%%", 3),
        ("## A {-}\n\nb", 5),
        ("``no'' and ``yes''", 0),
        ("it is ~one~ of", 6),
        ("as Fig.~1 shows", 3),
        (r"see \S 3", 4),
        (r"a, \ldots and b", 3),
        ("$$x$$ {#eq:z}", 6),
        ("![pic] (images/x.png)", 0),
        ("a [link] (https://x.org)", 2),
        ("** bold ** text", 0),
        ("a :smile: b", 2),
        ("More.^1^", 5),
        ("- [] not", 0),
        ("- [ ]nospace", 0),
    ],
)
def test_more_marks_of_other_programs(text: str, place: int) -> None:
    (fault,) = foreign(text, scan(text)[0])
    assert fault.offset == place and fault.hint


@pytest.mark.parametrize("attributes", ["width=50%", ".wide height=3cm"])
def test_the_size_of_a_picture_is_told(attributes: str) -> None:
    text = f"![x](y.png){{{attributes}}}"
    (fault,) = foreign(text, scan(text)[0])
    assert "size cannot be set" in fault.message and fault.hint


@pytest.mark.parametrize(("name", "said"), [("subequations", "not supported"), ("itemize", "of Markdown")])
def test_environments_that_are_no_formulas_are_told(name: str, said: str) -> None:
    assert [said in fault.hint for fault in scan(f"\\begin{{{name}}}\na\n\\end{{{name}}}")[1]] == [True, True]


def test_captions_have_neither_equations_nor_footnotes() -> None:
    (fault,) = math_faults(scan(r"by \eqref{eq:g}")[0], {}, body=False)
    assert fault.offset == 10 and "cannot refer to equations" in fault.message
    problems: list[Problem] = []
    where = Position("sections/x.md", 2, 8)
    document = Document({"caption": r"by \eqref{eq:g}"}, values={("caption",): where})
    check_text(document, ("caption",), {}, problems)
    assert [problem.position for problem in problems] == [where] and problems[0].message == fault.message
    for write_line in (writer().inline, writer().title):
        with pytest.raises(BadInput) as caught:
            write_line("a [^1]", where)
        assert "have no footnotes" in caught.value.problems[0].message


def test_bars_of_formulas_and_code_in_a_table() -> None:
    html = str(write("| a |\n|---|\n| $p(x|y)$ `a|b` |\n| $p(x\\|y)$ `c\\|d` |").html)
    assert html.count("<td>") == 2 and "<code>a|b</code>" in html and "<code>c|d</code>" in html
    assert html.count(">|</mo>") == html.count(">‖</mo>") == 1


@pytest.mark.parametrize("text", ["~~a~~b~~c~~", "x == 1 and y == 2", "50\n% of it", "``a ` b''``", "a~b"])
def test_what_only_resembles_them_is_left(text: str) -> None:
    assert not list(foreign(text, scan(text)[0]))


def test_accents_and_addresses_of_bibliographies() -> None:
    works = parse(
        r"@misc{a, title={\~n {\~N} \~{o} a~b}, author={Mu{\~n}oz, J}, eprint={2301.1v2 [cs.LG]}}"
        "\n@misc{b, title={b}, eprint={https://arxiv.org/abs/2301.12345}}"
        r"@misc{c, title={c}, url={\url{https://a.org/x\_y}}}",
        "r.bib",
    )
    assert works["a"].title == "ñ Ñ õ a b" and works["a"].authors == ["J Muñoz"]
    links = [work.link for work in works.values()]
    assert links == [
        "https://arxiv.org/abs/2301.1v2",
        "https://arxiv.org/abs/2301.12345",
        "https://a.org/x_y",
    ]
    assert [str(work.position) for work in works.values()][:2] == ["r.bib:1:1", "r.bib:2:1"]


def test_a_title_is_told_where_it_stands() -> None:
    with pytest.raises(BadInput) as caught:
        writer().title("A <div> [@nobody]", Position("sections/x.md", 2, 8))
    assert {str(problem.position) for problem in caught.value.problems} == {"sections/x.md:2:8"}


@pytest.mark.parametrize(
    ("text", "place", "said", "hint"),
    [
        ("a:\n  b: x\n   c: [1]\n", "3:5", "mapping values", "indented deeper than the one above"),
        ("a: x\n  b: y\n", "2:4", "mapping values", "indented deeper than the one above"),
        ("a:\n  - b: x\n     c: y\n", "3:7", "mapping values", "indented deeper than the one above"),
        ("a:\n  - b: x\n   c: y\n", "3:4", "'-' indicator", "indented as those"),
        ("a: b: c\n", "1:5", "mapping values", "a colon in it"),
        ("a: [{b: c.png, p: a house, a tree}]\n", "1:28", "'a tree' is a key of its own", "a comma in it"),
    ],
)
def test_yaml_that_is_not_what_it_looks_like_says_what_to_do(
    text: str, place: str, said: str, hint: str
) -> None:
    problems: list[Problem] = []
    parse_yaml(Source("x.md", text), 0, len(text), problems)
    (problem,) = problems
    assert str(problem.position) == f"x.md:{place}" and said in problem.message and hint in problem.hint


def test_keys_and_values_may_be_empty_where_a_colon_says_so() -> None:
    text, problems = "a: {b: , 'c': , d: {}}\ne:\n? f\n", list[Problem]()
    document = parse_yaml(Source("x.md", text), 0, len(text), problems)
    assert not problems and document
    assert document.data == {"a": {"b": None, "c": None, "d": {}}, "e": None, "f": None}


def test_a_backslash_that_yaml_eats_is_told_alone() -> None:
    text, problems = 'title: "The $\\theta$, $\\nabla$"\n', list[Problem]()
    document = parse_yaml(Source("x.md", text), 0, len(text), problems)
    assert document and document.data["title"] == r"The $\theta$, $\nabla$"
    check_text(document, ("title",), {}, problems)
    assert [str(each.position) for each in problems] == ["x.md:1:14"]


class Either(BaseModel):
    size: Annotated[int, Field(ge=16)] | Annotated[list[int], Field(min_length=2)] = 16
    mode: Literal["auto", "none"] | list[int] = "auto"


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("size: big", "1:7", "expected a whole number or a list, found the text 'big'"),
        ("size: 3", "1:7", "must be at least 16, found the number 3"),
        ("size: [1]", "1:7", "must have at least 2 items, found a list"),
        ("size: [1, x]", "1:11", "expected a whole number, found the text 'x'"),
        ("mode: atuo", "1:7", "expected 'auto' or 'none' or a list, found the text 'atuo'"),
        ("mode: 3", "1:7", "expected 'auto' or 'none' or a list, found the number 3"),
    ],
)
def test_a_value_of_one_of_several_types_is_told_once(text: str, place: str, said: str) -> None:
    problems: list[Problem] = []
    document = parse_yaml(Source("x.md", text), 0, len(text), problems)
    assert document and validate(Either, document.data, document, (), problems) is None
    assert [f"{each.position} {each.message}" for each in problems] == [f"x.md:{place} {said}"]
