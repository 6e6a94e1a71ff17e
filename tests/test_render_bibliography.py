"""Bibliographies as Zotero, JabRef and people write them."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import Environment, FileSystemLoader

from noisebook.render.bibliography import LONGEST_VALUE, Work, parse
from noisebook.render.citation import of_figure, of_report
from noisebook.render.prose import Context, Writer
from noisebook.render.styles import Styles
from noisebook.report.model import BadInput, Position, Report

EXPORTED = r"""% an export; every @entry of it counts
@string{cvpr = "Computer Vision and Pattern Recognition"}

@online{zotero,
	title = {An {{ImageNet}} page},
	url = {https://example.org/page},
	abstract = {Braces {inside} and 100\% of $x$},
	date = {2024-03-01},
	author = {Example, Ann and {Some Lab at Place}},
	file = {Snapshot:/home/ann/storage/A B/page.html:text/html},
}
@article{accents,
	title = {Scores \& flows for $\epsilon_t$: na{\"\i}ve?},
	volume = {3},
	number = {2},
	pages = {10--20},
	doi = {https://doi.org/10.1000/a(b)<c>},
	journaltitle = cvpr # { 2021},
	author = {Sch{\"o}n, Bernd and van der Berg, {\v{C}}eda and others},
	month = mar,
	year = {2021},
}
@misc{bare, url = {javascript:alert(1)}}
@phdthesis{editor, editor = {Doe, J. and Roe, R.}, school = {A \'Ecole}, title = "Quoted {"} title",
	doi = {doi:10.2/y}}
@misc{hep, title = {T}, author = {A B}, eprint = {hep-th/9901001}}
@inproceedings{child, title = {T}, author = {A B and}, crossref = {book}}
@proceedings{book, title = {Proceedings of T}, year = 2019, editor = {E F}}
@article{signs, title = {O\textquotesingle Neil: \'{\i}, \d{a}, \enquote{q}, \dots, 5\,m,
	{\&}amp; <i>x</i>, 2 < 3, \(y_1\), \$5},
	author = {family=Beethoven, given=Ludwig, prefix=van}, url = {https://a.org/x\_y/{\textasciitilde}z}}
@article{marks, title = {A* and *B*, [x] `y` _z_ @w $*$ \$a and \$b},
	doi = {10.1/a\_b}, year = {in press}, author = {A, B}}
@misc{jstor, title = {T}, author = {A B}, eprint = {2346101}, eprinttype = {jstor}}
"""


@pytest.fixture(scope="module")
def works() -> dict[str, Work]:
    return parse(EXPORTED, "refs.bib")


def test_dates_people_and_places(works: dict[str, Work]) -> None:
    assert works["zotero"].year == "2024" and works["zotero"].short == "Example and Some Lab at Place, 2024"
    assert works["zotero"].title == "An ImageNet page" and works["zotero"].link == "https://example.org/page"
    accents = works["accents"]
    assert accents.authors == ["Bernd Schön", "Čeda van der Berg", "et al."]
    assert accents.short == "Schön et al., 2021"
    assert accents.venue == "Computer Vision and Pattern Recognition 2021 3(2), 10–20"
    assert accents.link == "https://doi.org/10.1000/a(b)%3Cc%3E"
    assert works["editor"].short == "Doe and Roe" and works["editor"].venue == "A École"
    assert works["editor"].link == "https://doi.org/10.2/y"
    assert works["hep"].link == "https://arxiv.org/abs/hep-th/9901001" and works["jstor"].link == ""


def test_titles_have_formulas_and_plain_words(works: dict[str, Work]) -> None:
    assert works["accents"].title_with_formulas == r"Scores & flows for $\epsilon_t$: naïve?"
    assert works["accents"].title == "Scores & flows for ε_t: naïve?"


def test_what_exports_write(works: dict[str, Work]) -> None:
    child = works["child"]
    assert (child.short, child.venue, child.authors) == ("B, 2019", "Proceedings of T", ["A B"])
    signs = works["signs"]
    assert signs.title == "O'Neil: í, ạ, “q”, …, 5 m, & x, 2 < 3, y_1, $5"
    assert signs.authors == ["Ludwig van Beethoven"] and signs.short == "van Beethoven"
    assert signs.link == "https://a.org/x_y/~z"
    assert works["marks"].link == "https://doi.org/10.1/a_b" and works["marks"].short == "A, in press"


def test_a_title_is_no_markdown(works: dict[str, Work]) -> None:
    writer = Writer(Context({}, {}, Styles(), lambda _: None))
    html, words = writer.title(works["marks"].title_as_text, Position("r.bib"))
    assert words == "A* and *B*, [x] `y` _z_ @w ∗ $a and $b"
    assert html.count("<math") == 1 and "<em>" not in html and "<code" not in html
    html, _ = writer.title(works["signs"].title_as_text, Position("r.bib"))
    assert "2 &lt; 3" in html and "&amp; x" in html and html.endswith("$5")


def test_what_is_missing_is_left_out(works: dict[str, Work]) -> None:
    bare = works["bare"]
    assert (bare.title, bare.short, bare.authors, bare.venue, bare.link) == ("bare", "bare", [], "", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n@misc{a,\n  title = nobody}", "r.bib:3:17: no @string defines 'nobody'"),
        ("@misc{a,\n  title = {x}\n  year = 2000}", "r.bib:3:3: '}' expected"),
        ("@misc{b, title={B}}\n@misc{a,\n  title = {x", "r.bib:2:1: 'a' is never closed"),
        ("@misc{a,\n  author = {A, B, C, D}}", "r.bib:1:1: 'a': Too many commas in 'A, B, C, D'"),
        ("@misc{a, author = {A; B}}", "r.bib:1:1: 'a': 'A; B' is several names: they are joined by “and”"),
        ("@misc{a, title = {b},\n title = {c}}", "r.bib:1:1: 'a': its title is given twice"),
        ("@misc{a}\n@misc{a}", "r.bib:2:1: the key 'a' is given twice"),
        ("@misc{a, title = {" + "x" * (LONGEST_VALUE + 1) + "}}", "its title has more than 2,000 characters"),
    ],
)
def test_a_mistake_is_told_at_its_line(text: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(text, "r.bib")
    assert message in str(caught.value)


PIECES = st.sampled_from(
    [
        *'@{}()"#,=%$\\ \n~',
        "@misc{",
        "@string",
        "a",
        "title",
        "author",
        "year",
        " and ",
        "others",
        '\\"',
        "{o}",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES, max_size=40).map("".join))
def test_whatever_it_says_is_read_or_told(text: str) -> None:
    read_or_told(text)


def test_strings_that_double_are_bounded() -> None:
    with pytest.raises(BadInput, match="more than 1,000,000 characters"):
        parse('@string{a = "x"}\n' + "@string{a = a # a}\n" * 60 + "@misc{b, title = a}", "r.bib")


def test_what_a_work_lacks_is_left_out() -> None:
    works = parse(
        "@misc{a, author={ and A B and }, url={https://b.org/c}}\n"
        "@misc{d, title={t}, url={http://[x}, journal={}, howpublished={h}, volume={}, pages={}}",
        "r.bib",
    )
    assert (works["a"].title, works["a"].authors) == ("b.org/c", ["A B"])
    assert (works["d"].link, works["d"].venue) == ("", "h")


@pytest.mark.soak
@settings(max_examples=10_000, deadline=None)
@given(st.lists(PIECES, max_size=120).map("".join))
def test_whatever_it_says_is_read_or_told_for_long(text: str) -> None:
    read_or_told(text)


def read_or_told(text: str) -> None:
    try:
        works = parse(text, "r.bib")
    except BadInput as error:
        lines = text.count("\n") + 1
        assert all(p.position.file == "r.bib" and 1 <= p.position.line <= lines for p in error.problems)
    else:
        for work in works.values():
            assert isinstance(work.short + work.title + work.venue + work.link + "".join(work.authors), str)


@pytest.mark.parametrize("piece", ["{a}", "@a{b,c={", "{a} ", "$a", '\\"', "a and ", "@", "#"])
def test_a_large_file_takes_no_time_to_speak_of(piece: str) -> None:
    begin = time.process_time()
    for opening in ("@a{b,title={", "@a{b,author={", '@a{b,c="', ""):
        read_or_told(opening + piece * (200_000 // len(piece)))
    assert time.process_time() - begin < 20


def test_a_single_author_has_no_comma_before_et_al() -> None:
    one = parse("@misc{a, author = {Schön, Bernd and others}, title = {T}}", "x.bib")["a"]
    assert one.authors == ["Bernd Schön et al."]


def one(text: str) -> Work:
    return next(iter(parse(text, "r.bib").values()))


@pytest.mark.parametrize(
    ("tex", "printed"),
    [
        ("Only title with 50% and more", "Only title with 50% and more"),
        (r"50\% and 5% {of $x$}", "50% and 5% of x"),
        (r"Nguy{\~{\^e}}n, Nguy\~{\^{e}}n, \'{\i}, \d{\^a}", "Nguyễn, Nguyễn, í, ậ"),
        (r"a\textbackslash{}b, \textbackslash c", "a\\b, \\c"),
        (r"a \alpha and \LaTeX{} b", "a α and LaTeX b"),
        (r"H\textsubscript{2}O, 1\textsuperscript{st}, CO<sub>2</sub>", "H₂O, 1ˢᵗ, CO₂"),
        (r"\enquote{of $x$ here} \href{https://a.org/%20}{there}\penalty0", "“of x here” there"),
        (r"\ensuremath{\beta} first\\second", "β first second"),
    ],
)
def test_tex_is_printed_as_unicode(tex: str, printed: str) -> None:
    assert one(f"@misc{{a, title = {{{tex}}}}}").title == printed


@pytest.mark.parametrize(
    ("tex", "message"),
    [
        (r"\unknown{x} \alpha", r"r.bib:3:3: 'a': in its title \unknown is not understood"),
        ("a $b", "r.bib:3:3: 'a': in its title a $ that opens a formula is never closed"),
        (r"a\>b", r"r.bib:3:3: 'a': in its title \> is not understood"),
        (r"a\textsubscript{Ω}", "r.bib:3:3: 'a': in its title Unicode has no subscript Ω"),
    ],
)
def test_tex_that_is_not_understood_is_told(tex: str, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        parse(f"@misc{{a,\n  author = {{A}},\n  title = {{{tex}}},\n}}", "r.bib")
    assert message in str(caught.value)
    with pytest.raises(BadInput, match=r"r.bib:2:1: 'b': \\foo is not understood"):
        parse("\n@misc{b, author = {{\\foo{A}} B}}", "r.bib")


def test_a_type_that_no_entry_has_is_told() -> None:
    with pytest.raises(BadInput) as caught:
        parse("\n@artcle{a, title = {b}}", "r.bib")
    assert "r.bib:2:1: 'a': no entry has the type '@artcle'" in str(caught.value)
    assert "did you mean 'article'?" in str(caught.value)


def test_a_key_is_no_title() -> None:
    work = one("@misc{a, author = {A O'Brien}, journal = {J}}")
    assert (work.title, work.venue, work.authors) == ("", "J", ["A O’Brien"])
    shown = one("@proceedings{p, title = {P of T}, booktitle = {P of T}, publisher = {ACM}}")
    assert shown.venue == "ACM"


@pytest.mark.parametrize(
    ("fields", "link", "venue"),
    [
        (r"howpublished = {\url{https://a.org/b_c}}", "https://a.org/b_c", ""),
        (r"howpublished = {Blog, \url{https://a.org/~b}}", "https://a.org/~b", "Blog, https://a.org/~b"),
        (r"note = {\href{https://a.org/b}{the page}}", "https://a.org/b", "the page"),
        ("howpublished = {https://a.org/b}, note = {Seen in May}", "https://a.org/b", "Seen in May"),
        ("url = {www.example.org/a_b}", "https://www.example.org/a_b", ""),
        (r"url = {\url{example.org/a\_b}}", "https://example.org/a_b", ""),
    ],
)
def test_an_address_is_found(fields: str, link: str, venue: str) -> None:
    work = one(f"@misc{{a, title = {{T}}, {fields}}}")
    assert (work.link, work.venue) == (link, venue)


def test_works_that_would_be_cited_alike_have_letters() -> None:
    people = "author = {Ho, Jonathan and Salimans, Tim}, year = 2020"
    works = parse(
        f"@misc{{a, title = {{B}}, {people}}}\n@misc{{b, title = {{A}}, {people}}}\n"
        "@misc{c, title = {C}, author = {Ho, Jonathan and Salimans, Tim}, date = {2021-02}}\n"
        "@misc{d, title = {D}, author = {Doe, J.}}\n@misc{e, title = {E}, author = {Doe, J.}}",
        "r.bib",
    )
    short = [work.short for work in works.values()]
    assert short == [
        "Ho and Salimans, 2020a",
        "Ho and Salimans, 2020b",
        "Ho and Salimans, 2021",
        "Doe",
        "Doe",
    ]
    assert [work.year for work in works.values()] == ["2020a", "2020b", "2021", "", ""]
    many = parse("".join(f"@misc{{k{n}, author = {{A}}, year = 2000}}\n" for n in range(28)), "r.bib")
    assert [many[key].year for key in ("k0", "k25", "k26", "k27")] == ["2000a", "2000z", "2000aa", "2000ab"]


@pytest.mark.parametrize(
    ("entry", "venue"),
    [
        ("@book{a, publisher = {P}, address = {Berlin}, series = {S}", "P, S, Berlin"),
        ("@inbook{a, booktitle = {B}, chapter = {3}", "B, chapter 3"),
        ("@techreport{a, number = {TR-12}, institution = {MIT}", "Technical Report TR-12, MIT"),
        ("@phdthesis{a, type = {Habilitation}, school = {MIT}", "Habilitation, MIT"),
        ("@book{a, edition = {2}, publisher = {P}", "2nd edition, P"),
        ("@book{a, edition = {12}, publisher = {P}", "12th edition, P"),
        ("@book{a, edition = {Third}, publisher = {P}", "Third edition, P"),
        ("@software{a, version = {1.2}, note = {With $\\alpha$}", "version 1.2, With α"),
        (
            "@incollection{a, booktitle = {B}, editor = {C D and E F and G H}, pages = {1--2}",
            "B, 1–2, edited by C D, E F and G H",
        ),
    ],
)
def test_what_an_entry_says_is_shown(entry: str, venue: str) -> None:
    assert one(f"{entry}, title = {{T}}, author = {{A B}}}}").venue == venue


def listed(entry: str) -> str:
    """As the list of works has it."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent.parent / "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    macros: Any = templates.get_template("macros.html").module
    return str(macros.work(one(entry))).strip()


@pytest.mark.parametrize(
    ("entry", "shown"),
    [
        ("author = {A B}, title = {Is it?}", "A B. Is it?"),
        ("author = {A B and others}, title = {T}", "A B et al. T."),
        ("author = {A B}, title = {T}, publisher = {P, Inc.}", "A B. T. <i>P, Inc.</i>"),
        ("title = {So?}, year = 2020", "So? (2020)."),
    ],
)
def test_a_full_stop_stands_once(entry: str, shown: str) -> None:
    assert listed(f"@misc{{a, {entry}}}") == shown


@pytest.mark.parametrize(
    ("fields", "arxiv", "address"),
    [
        ("eprint = {2108.01073}, archivePrefix = {arXiv}", "arXiv:2108.01073", ""),
        ("eprint = {2006.11239}, journal = {arXiv preprint arXiv:2006.11239}", "", ""),
        ("eprint = {2006.11239}, doi = {10.1/a<b}", "arXiv:2006.11239", "doi:10.1/a<b"),
        ("url = {https://a.org/x}", "", "https://a.org/x"),
        (r"howpublished = {Blog, \url{https://a.org/x}}", "", ""),
        ("", "", ""),
    ],
)
def test_paper_has_the_address_of_a_work(fields: str, arxiv: str, address: str) -> None:
    entry = f"@misc{{a, author = {{A B}}, title = {{T}}, {fields}}}"
    assert (one(entry).arxiv, one(entry).address) == (arxiv, address)
    shown = re.sub("<[^>]*>", "", listed(entry))
    assert shown.count(arxiv or "2006.11239" * ("eprint" in fields)) and address.replace("<", "&lt;") in shown


def test_a_name_of_the_east_begins_with_the_family() -> None:
    work = one("@misc{a, title = {T}, author = {李, 明 and 王小红 and 王 小红 and 김, 철수 and Li, Ming}}")
    assert work.authors == ["李明", "王小红", "王小红", "김철수", "Ming Li"] and work.names == "李 et al."


def test_a_misspelt_field_is_told() -> None:
    with pytest.raises(BadInput) as caught:
        parse("\n@misc{a, tilte = {T},\n yaer = 2000, author = {A B}}", "r.bib")
    assert "r.bib:2:10: 'a': no field has the name 'tilte'\n    did you mean 'title'?" in str(caught.value)
    assert "r.bib:3:2: 'a': no field has the name 'yaer'" in str(caught.value)
    for other in (
        "subtitle",
        "shortjournal",
        "editora",
        "urldate",
        "month",
        "keywords",
        "titles = {a}, title",
    ):
        parse(f"@misc{{a, {other} = {{x}}}}", "r.bib")


def test_editors_are_called_so() -> None:
    assert one("@book{a, title = {T}, editor = {A B and C D}}").role == "(eds.)"
    assert one("@book{a, title = {T}, editor = {A B}}").role == "(ed.)"
    assert one("@book{a, title = {T}, editor = {A B}, author = {C D}}").role == ""


def test_how_a_figure_is_cited_is_latex(tmp_path: Path) -> None:
    report = Report(
        tmp_path, "R & D of $x_t$", 1, "none", (), authors=("Ann O'Hara",), base_url="https://a.org"
    )
    words = ("R & D of xₜ", "50% of it")
    found = of_figure(report, words, "2020", "f", 3, r"A *50%* of `a_b` at $\alpha_t$ \$5 #1", "p.html#fig-f")
    assert r"{{Figure 3: A 50\% of \texttt{a\_b} at $\alpha_t$ \$5 \#1}}" in found.bibtex
    assert r"{In: R \& D of $x_t$}" in found.bibtex
    assert found.words.startswith("Ann O'Hara. Figure 3: 50% of it. In: R & D of xₜ, 2020.")
    assert r"{{R \& D of $x_t$}}" in of_report(report, words[0])


def test_names_may_stand_on_lines_of_their_own() -> None:
    """As DBLP exports them."""
    listed = "Jonathan Ho and\n    Ajay\n Jain\n    and\n\tand Pieter Abbeel and\n"
    assert parse(f"@article{{a, author = {{{listed}}}, title={{A}}}}", "r.bib")["a"].authors == [
        "Jonathan Ho",
        "Ajay Jain",
        "Pieter Abbeel",
    ]


@pytest.mark.parametrize("listed", ["A B, C D, E F", "B, A; D, C", "A B, C D, E F and G H"])
def test_names_that_are_not_joined_by_and_are_told(listed: str) -> None:
    with pytest.raises(BadInput, match="joined by “and”"):
        parse(f"@article{{a, author={{{listed}}}}}", "r.bib")
    for good in ("{A B, C D, E F}", "B, Jr., A", "family=van Gogh, given=Vincent Willem, prefix=van"):
        assert len(parse(f"@article{{a, author={{{good}}}}}", "r.bib")["a"].authors) == 1
