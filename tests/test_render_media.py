"""Pictures, films and drawings on their way to the site: what they are, and how long they last."""

from __future__ import annotations

import hashlib
import io
import json
import re
import warnings
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from noisebook.cells import svg
from noisebook.cells.checks import Check
from noisebook.cells.media import published
from noisebook.cells.outputs import animation, arrays
from noisebook.cells.record import MIMES, Stored
from noisebook.project import Project
from noisebook.render import media
from noisebook.render.assets import Site
from noisebook.render.figures import view
from noisebook.render.styles import Styles
from noisebook.render.theme import Theme
from tests.sample_report import compute, render, write_report

HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="8" height="8">'
)


def durations(data: bytes) -> list[int]:
    return [milliseconds for _, milliseconds in media.film(data)]


def shots(*lengths: int) -> np.ndarray:  # type: ignore[type-arg]
    random = np.random.default_rng(0)
    return np.concatenate(
        [np.repeat(random.integers(0, 256, (1, 16, 16, 3), "uint8"), n, 0) for n in lengths]
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=6), st.sampled_from([1, 6, 7.5, 8, 12, 24, 30]))
def test_a_gif_lasts_as_long_as_its_film(lengths: list[int], fps: float) -> None:
    film = animation("animation", shots(*lengths), fps, quality=90).data
    made = media.gif(film, 64, 256)
    assert sum(durations(film)) == round(1000 / fps) * sum(lengths)
    assert abs(sum(durations(made)) - sum(durations(film))) <= 10
    held = [round(1000 / fps) * n for n in lengths]
    assert len(durations(made)) == len(lengths)
    assert all(abs(a - b) <= 10 for a, b in zip(durations(made), held, strict=True))


def test_frames_too_short_to_be_seen_give_their_time_to_the_next() -> None:
    film = animation("animation", shots(*[1] * 100), 100).data
    made = durations(media.gif(film, 64, 256))
    assert sum(made) == 1000 and min(made) == 20 and len(made) == 50
    still = animation("animation", shots(3), 8).data
    assert len(durations(media.gif(still, 64, 256))) == 1


def test_an_mp4_lasts_as_long_as_its_frames(tmp_path: Path) -> None:
    import imageio_ffmpeg
    from noisebook.generators._mnist_sampling import film

    frames = np.repeat(shots(5, 1, 1, 5)[..., 0], 4, 1).repeat(4, 2)
    (tmp_path / "film.mp4").write_bytes(film("animation", frames, fps=10).data)
    count, seconds = imageio_ffmpeg.count_frames_and_secs(str(tmp_path / "film.mp4"))
    assert count == 12 and abs(seconds - 1.2) < 0.01


@pytest.mark.parametrize(
    "inside",
    [
        "<script>alert(1)</script>",
        "<g onload='alert(1)'/>",
        "<g ONLOAD='alert(1)'/>",
        "<a xlink:href='javascript:alert(1)'><text>x</text></a>",
        "<a href=' jAvascript:alert(1)'/>",
        "<a href='https://example.org/'/>",
        "<image href='https://example.org/a.png'/>",
        "<image href='data:image/svg+xml;base64,PHN2Zz4='/>",
        "<use href='other.svg#a'/>",
        "<foreignObject><body xmlns='http://www.w3.org/1999/xhtml'><iframe src='x'/></body></foreignObject>",
        "<animate attributeName='href' to='javascript:alert(1)'/>",
        "<set attributeName='onclick' to='alert(1)'/>",
        "<feImage href='https://example.org/a.png'/>",
        "<rect fill='url(https://example.org/#a)'/>",
        "<rect fill='u\\72l(//example.org/#a)'/>",
        "<rect style=\"background: image-set('https://example.org/a.png' 1x)\"/>",
        "<style>@import 'https://example.org/a.css';</style>",
        "<style>g{fill:url( 'https://example.org/a.svg#x')}</style>",
        "<g mask=\"image-set('//example.org/a.png' 1x)\" cursor=\"src('//example.org/a')\"/>",
        "<style><g/>@import '//example.org/a.css';</style>",
        "<handler xmlns='http://www.w3.org/2001/xml-events'>alert(1)</handler>",
        "<svg:script xmlns:svg='http://www.w3.org/2000/svg'>alert(1)</svg:script>",
        "<g xml:base='https://example.org/'><use href='#a'/></g>",
    ],
)
def test_a_drawing_runs_nothing_and_asks_nobody(inside: str) -> None:
    clean = svg.clean(
        f"<?xml-stylesheet href='https://example.org/a.css'?>{HEAD}<g id='a'/>{inside}</svg>".encode()
    )
    text = clean.decode().lower()
    assert not re.search(r"alert|example|script|import|foreign|\bon\w+=|other\.svg|iframe|phn2zz4", text), (
        text
    )
    assert 'id="a"' in text


def test_a_drawing_keeps_what_draws() -> None:
    good = (
        f"{HEAD}<defs><linearGradient id='g'><stop offset='0'/></linearGradient></defs>"
        "<path id='p' d='M0 0'/>"
        "<style>*{stroke-linejoin: round; stroke-linecap: butt}</style>"
        "<rect fill=\"url('#g')\" filter='url( #f )'/>"
        "<use xlink:href='#p' style='fill: #ffffff; stroke: url(#g)'/><text>σ on 50%</text>"
        "<image href='data:image/png;base64,iVBORw0KGgo='/></svg>"
    )
    clean = ElementTree.fromstring(svg.clean(good.encode()))
    before = ElementTree.fromstring(good)
    assert [(e.tag, e.attrib, e.text) for e in clean.iter()] == [
        (e.tag, e.attrib, e.text) for e in before.iter()
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html/>",
        b"<svg/>",
        b"<!DOCTYPE svg [<!ENTITY a 'b'>]><svg xmlns='http://www.w3.org/2000/svg'>&a;</svg>",
        f"{HEAD}{'<g>' * 5000}{'</g>' * 5000}</svg>".encode(),
        f"{HEAD}<g></svg>".encode(),
        f"<?xml version='1.0' encoding='nothing'?>{HEAD}</svg>".encode(),
        f"<?xml version='1.0' encoding='base64'?>{HEAD}</svg>".encode(),
        "<?xml version='1.0'?><!DOCTYPE svg [<!ENTITY a 'b'>]><svg xmlns='http://www.w3.org/2000/svg'/>".encode(
            "utf-16"
        ),
        b"\xff\xfe<\x00s\x00",
    ],
)
def test_what_is_no_drawing_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError):
        svg.clean(data)


PARTS = [
    "<g>",
    "</g>",
    "<script>",
    "</script>",
    "<style>",
    "</style>",
    "<text>",
    "</text>",
    "x",
    "url(",
    "#a",
    ")",
]
PARTS += [
    "@import",
    "//",
    "&lt;",
    "<![CDATA[",
    "]]>",
    "<a href='javascript:x'>",
    "</a>",
    "<!--",
    "-->",
    "<?x ?>",
]
PARTS += ["<g onload='x'/>", "<use href='b'/>", "<use href='#b'/>", "<g style='fill:url(b)'>"]
ANY_SVG = st.lists(st.sampled_from(PARTS), max_size=12).map(" ".join)


@settings(max_examples=300, deadline=None)
@given(ANY_SVG)
def test_any_drawing_is_clean_or_refused(inside: str) -> None:
    try:
        clean = svg.clean(f"{HEAD}{inside}</svg>".encode())
    except ValueError:
        return
    for element in ElementTree.fromstring(clean).iter():
        assert str(element.tag).rpartition("}")[2] in svg.ELEMENTS
        for name, value in element.attrib.items():
            assert not name.startswith("on") and (not name.endswith("href") or value.startswith("#"))
    assert svg.clean(clean) == clean


def test_a_picture_is_what_it_says() -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (20, 20)).save(buffer, "GIF")
    assert published(buffer.getvalue(), "image/gif") == buffer.getvalue()
    for data, mime in (
        (buffer.getvalue(), "image/png"),
        (buffer.getvalue()[:30], "image/gif"),
        (b"<script>", "image/png"),
        (b"<script>", "video/mp4"),
        (b"<script>", "video/webm"),
        (b"<script>", "application/x-safetensors"),
    ):
        with pytest.raises(ValueError):
            published(data, mime)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media") / "report"
    write_report(folder)
    compute(folder)
    return folder


def forge(root: Path, figure: str, *outputs: tuple[str, str, bytes]) -> None:
    """Give a figure's first cell other outputs: names, types and bytes, as a forged record does."""
    cell = Project(root).planned[figure][0]
    assert cell.record
    stored = []
    for name, mime, data in outputs:
        digest = hashlib.sha256(data).hexdigest()
        (cell.store.place / "objects" / digest).write_bytes(data)
        stored.append(Stored(name, mime, digest, len(data), 64, 64))
    cell.store.refile(cell.key, cell.record.components, tuple(stored), cell.record.provenance)


ODD_JSON = [
    b'{"columns":["a"],"rows":[[]]}',
    b'{"columns":["a"],"rows":[[1,2,3],[{}]]}',
    b'{"columns":["a"],"rows":[7]}',
    b'{"columns":[],"rows":[]}',
    b'{"value":NaN,"unit":""}',
    b'{"value":1e999,"unit":["x"]}',
    b'{"value":true}',
    b'{"value":' + b"9" * 150 + b"}",
    b'{"value":' + b"9" * 9000 + b"}",
    b"[" * 100_000,
    b"not json",
    b"\xff",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(10**400), 10**400) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
NUMBER = st.fixed_dictionaries({"value": JSON}, optional={"unit": JSON})
TABLE = st.fixed_dictionaries(
    {"columns": st.lists(JSON, max_size=3) | JSON, "rows": st.lists(JSON, max_size=4)}
)


def test_whatever_json_a_cell_leaves_its_page_is_written(root: Path) -> None:
    forge(root, "shapes", *((f"odd {k}", "application/json", data) for k, data in enumerate(ODD_JSON)))
    render(root)
    page = (root / "site" / "b1-mnist.html").read_text("utf-8")
    figure = page[page.index('id="fig-shapes"') : page.index('id="fig-moving"')]
    assert "not a number" in figure and "∞" in figure and figure.count("<caption>Odd") == 3


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NUMBER | TABLE | JSON)
def test_whatever_json_a_cell_leaves_it_has_a_view(root: Path, value: object) -> None:
    any_json(root, value)


@pytest.mark.soak
@settings(max_examples=20_000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(NUMBER | TABLE | JSON)
def test_whatever_json_a_cell_leaves_it_has_a_view_for_long(root: Path, value: object) -> None:
    any_json(root, value)


def any_json(root: Path, value: object) -> None:
    forge(root, "shapes", ("odd", "application/json", json.dumps(value).encode()))
    report = Project(root)
    figure = next(figure for _, figure in report.figures() if figure.id == "shapes")
    site = Site(root / "nowhere")
    shown = view(figure, 1, report.planned["shapes"], site, Styles(), keep_stale=False)
    assert Theme(root, site).render("figure.html", figure=shown, live=None)


def test_a_picture_that_is_none_is_a_gap_with_a_warning(root: Path) -> None:
    script = b"alert(1)//"
    forge(root, "forward", ("picture", "image/gif", script))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        render(root)
    assert any("'picture' is not published" in str(warning.message) for warning in told)
    assert '<div class="gap">' in (root / "site" / "a1-1-forward.html").read_text("utf-8")
    assert not [path for path in (root / "site" / "assets").iterdir() if path.read_bytes() == script]


class _Structure(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, ...]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *sorted(name for name, _ in attrs if name != "class")))


def structure(root: Path, words: str) -> list[tuple[str, ...]]:
    """Elements and attributes of a figure all of whose words are these."""
    book = Project(root)
    figure = next(figure for _, figure in book.figures() if figure.id == "forward")
    table = {"columns": [words], "rows": [[words], [words]]}
    name = words.replace("/", "")
    odd = [(f"t {name}", table), (f"n {name}", {"value": 1, "unit": words})]
    forge(root, "forward", *((name, "application/json", json.dumps(value).encode()) for name, value in odd))
    first = Project(root).planned["forward"][0]
    assert first.record
    said = {"nearest": [words], "far": True, "similarity": 1.0}
    made = {
        **dict.fromkeys(("device", "processor", "python", "platform", "finished"), words),
        "figure": "forward",
    }
    made |= {
        "figure": "forward",
        "versions": {words: words},
        "models": {words: words},
        "words": {words: said},
    }
    first.store.refile(first.key, first.components, first.record.outputs, made)
    cell = replace(first.cell, label=words, alt=words, params={"a": words})
    site = Site(root / "nowhere")
    planned = [replace(first, cell=cell)]
    shown = view(replace(figure, alt=words), 1, planned, site, Styles(), keep_stale=False)
    shown.cells[0].check = Check(False, words, words, words, 1, as_recorded=False)
    reader = _Structure()
    reader.feed(Theme(root, site).render("figure.html", figure=shown, live=None))
    return reader.found


WORDS = st.text("<>\"'&;=/ ax#!-`{}()$%\u00e9", max_size=20).map(lambda text: f"x{text}x")


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WORDS)
def test_no_words_of_a_generator_or_a_record_are_html(root: Path, words: str) -> None:
    assert structure(root, words) == structure(root, "-" * len(words))


@pytest.mark.soak
@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(WORDS)
def test_no_words_of_a_generator_or_a_record_are_html_for_long(root: Path, words: str) -> None:
    assert structure(root, words) == structure(root, "-" * len(words))


def test_an_output_of_any_type_and_any_bytes_is_a_gap_at_most(root: Path) -> None:
    for mime in sorted(MIMES):
        outputs = (("picture", mime, b"\xff<script>"), ("animation", mime, b"x"), ("sampler", mime, b"\xfe"))
        forge(root, "forward", *outputs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            render(root)


def test_a_drawing_of_a_record_is_cleaned_and_the_manifest_says_what_is_published(root: Path) -> None:
    forge(
        root, "forward", ("picture", "image/svg+xml", f"{HEAD}<script>alert(1)</script><g/></svg>".encode())
    )
    render(root)
    manifest = json.loads((root / "site" / "manifest.json").read_text("utf-8"))
    [file] = next(f for f in manifest["figures"] if f["id"] == "forward")["cells"][0]["files"]
    data = (root / "site" / file["path"]).read_bytes()
    assert b"script" not in data and hashlib.sha256(data).hexdigest() == file["sha256"]


def test_the_film_that_a_reader_goes_through_keeps_its_holds(root: Path) -> None:
    forge(root, "film", ("animation", "image/webp", animation("animation", shots(5, 1, 3), 8).data))
    render(root)
    page = (root / "site" / "b1-mnist.html").read_text("utf-8")
    assert 'data-durations="625 125 375"' in page


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "?", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_curves_of_any_type_are_a_table(kind: str) -> None:
    """Their numbers are those that numpy has, without it."""
    array = np.array([0, 1, 0.1, 100], kind)
    table = media.curves(arrays("curve", {"a": array, "b": array[:2]}).data)
    rows = zip(array.tolist(), [*array[:2].tolist(), "", ""], strict=True)
    assert table is not None
    assert table.decode() == "index,a,b\n" + "".join(f"{i},{a},{b}\n" for i, (a, b) in enumerate(rows))
    assert media.curves(arrays("picture", {"a": array[:, None]}).data) is None
    with pytest.raises(ValueError, match="holds no arrays"):
        media.curves(b"something else")
