"""Build the picture library that the embedded models know, from pinned packages of free pictograms.

``python -m tools.dataset`` downloads each package from the npm registry (or takes it from the
user's cache folder), checks its digest, rasterises what is drawn in vectors, composes full-frame scenes from
the pieces and writes ``models/library.zip`` with its entry in the lock file. The same packages and the same
rasteriser give the same pictures.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import tarfile
import urllib.error
import urllib.request
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from noisebook.models import text
from noisebook.models.exact import understand
from noisebook.models.library import Picture, write
from noisebook.models.lock import MissingModel, pin
from tools.scenes.catalogue import DRAWN, draw

SIZE = 256
LIBRARY = "models/library.zip"
REGISTRY = "https://registry.npmjs.org"


@dataclass(frozen=True, slots=True)
class Source:
    """One package: where it is, what it must be, and the drawing style that it stands for."""

    style: str
    package: str
    version: str
    licence: str
    credit: str
    integrity: str
    """sha512 of the tarball in base64, as the registry states it."""


SOURCES = [
    Source(
        "3d",
        "@lobehub/fluent-emoji-3d",
        "1.1.0",
        "MIT",
        "Fluent Emoji, Microsoft; packaged by LobeHub",
        "Wlq2lVStTnr8BDpIJ0pEnTKO4LuDxxqTEhTvRtD1DLRF0me7ogeRQjKoehDHXuVJ2Qaecgl5wRBv60lUAG3h7g==",
    ),
    Source(
        "flat",
        "@iconify-json/fluent-emoji-flat",
        "1.2.6",
        "MIT",
        "Fluent Emoji, Microsoft; packaged by Iconify",
        "RY47RgPb47fYUiyrA64sIOL0+UU02s29sXpNBbIQRBUlPlfNFTKUmZDERGuxDs/7yNGWqQYvuaSYM1M4fRXlUw==",
    ),
    Source(
        "cartoon",
        "@iconify-json/noto",
        "1.2.9",
        "Apache-2.0",
        "Noto Emoji, Google; packaged by Iconify",
        "DQiuXENbun41ch+XPSV55H9FaWKpHTyz46YIKtSaKYD4fIDDzL1tR6H4np/T38jfrTAeI3rcKF0mqHYeZVAuaw==",
    ),
    Source(
        "icon",
        "@iconify-json/twemoji",
        "1.2.5",
        "CC-BY-4.0",
        "Twemoji, Twitter and contributors; packaged by Iconify",
        "uKpuIEV0v6K5BW3Mjdyl+XKFVAbbcPxAgifKvEMtZoUZB5+YiY5zaMm2uNNCxyXzAWU9yNLlj41WU6/mvgALsw==",
    ),
    Source(
        "drawing",
        "@iconify-json/emojione",
        "1.2.3",
        "CC-BY-4.0",
        "EmojiOne 2, JoyPixels; packaged by Iconify",
        "T9+T3HIbJNLKKsmxYKlaYhvnHYkz/HNYTV7SHCXVZPfeUi4FqskY70YeN8yYAZT8cCv7w5vJxS4Q1m8zb9CMMg==",
    ),
    Source(
        "blob",
        "@iconify-json/noto-v1",
        "1.2.5",
        "Apache-2.0",
        "Noto Emoji before 2017, Google; packaged by Iconify",
        "/DsVMius69Q0fRS53z7QK1TROSuar606jiIx+laXtdsYGMXpf6LtHBx6CGfoo3UHHb/XpBsw+1L1x3eyPqMuVA==",
    ),
]
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


def fetch(source: Source) -> Path:
    """The package's tarball, from the cache folder or the registry; MissingModel if it cannot be had."""
    name = source.package.split("/")[-1]
    file = f"{name}-{source.version}.tgz"
    path = user_cache_path("noisebook") / "data" / file
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        url = f"{REGISTRY}/{source.package}/-/{file}"
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                data = answer.read()
        except (urllib.error.URLError, TimeoutError) as error:
            raise MissingModel(
                f"{url}: {error}. Put the file into {path.parent} yourself, then run again."
            ) from None
        temporary = path.with_suffix(".part")
        temporary.write_bytes(data)
        temporary.replace(path)
    found = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    if found != source.integrity:
        raise MissingModel(
            f"{path} is not the pinned package: its sha512 is {found}. Delete it, then run again."
        )
    return path


def drawings(source: Source) -> dict[str, str]:
    """Name → SVG text of an Iconify package."""
    with tarfile.open(fetch(source)) as tar:
        icons = json.load(_member(tar, "package/icons.json"))
    out = {}
    for name, icon in icons["icons"].items():
        width = icon.get("width", icons.get("width", 16))
        height = icon.get("height", icons.get("height", 16))
        out[name] = (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="0 0 {width} {height}">{icon["body"]}</svg>'
        )
    return out


def renderings(source: Source, names: dict[str, str]) -> dict[str, bytes]:
    """Name → WebP of a package of pictures named by code points; ``names`` maps code points to names."""
    out = {}
    with tarfile.open(fetch(source)) as tar:
        for member in tar:
            code = Path(member.name).stem
            name = names.get(code) or names.get(code.replace("-fe0f", ""))
            if member.name.endswith(".webp") and name:
                out[name] = _member(tar, member.name).read()
    return out


def codepoints(source: Source) -> dict[str, str]:
    """Code points, as in ``1f680``, → name, from an Iconify package."""
    with tarfile.open(fetch(source)) as tar:
        found: dict[str, str] = json.load(_member(tar, "package/chars.json"))
    return found


def _member(tar: tarfile.TarFile, name: str) -> Any:
    member = tar.extractfile(name)
    if member is None:
        raise MissingModel(f"{tar.name!r} holds no {name}")
    return member


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
    sources = {source.style: source for source in SOURCES}
    vectors = {style: drawings(source) for style, source in sources.items() if style != "3d"}
    rendered = renderings(sources["3d"], codepoints(sources["cartoon"]))
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


def spoken(name: str) -> str:
    """A set's name for a pictogram as a person would say it: "dog-face" is a dog."""
    words = name.replace("-", " ")
    return words.removesuffix(" face") if words.removesuffix(" face") in ANIMALS else words


ANIMALS = {
    *(
        "dog",
        "cat",
        "horse",
        "cow",
        "pig",
        "mouse",
        "hamster",
        "rabbit",
        "fox",
        "bear",
        "panda",
        "koala",
        "tiger",
    ),
    *("lion", "monkey", "frog", "wolf", "dragon", "unicorn"),
}


def scenes() -> list[tuple[Picture, bytes]]:
    """Landscapes and people, drawn from a seed."""
    out = []
    for name, kind, how, count in DRAWN:
        for number in range(count):
            file = f"drawn/{name.replace(' ', '-')}-{number:02d}.webp"
            out.append((Picture(name, "drawn", kind, file), rasterise(draw(name, number, how))))
    return out


def build(root: Path) -> None:
    """Write the library, the text vectors and the lock entries of the report at ``root``."""
    pictures = sorted(pieces() + scenes(), key=lambda pair: (pair[0].name, pair[0].file))
    path = root / LIBRARY
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, pictures)
    names = sorted({picture.name for picture, _ in pictures})
    subjects = [understand(prompt).subject for prompt in PROMPTS]
    text.write(root / text.SHIPPED, names + subjects, text.Text())
    for name, kind, module in (
        ("exact/stage1", "model", "exact"),
        ("exact/stage2", "model", "exact"),
        ("library", "data", "library"),
    ):
        pin(
            root,
            name,
            [LIBRARY],
            kind=kind,
            loader=f"noisebook.models.{module}",
            revision="1",
            licence="MIT, Apache-2.0 and CC-BY-4.0: see models/README.md",
            get="noisebook[compute] brings this file; models/README.md says how it was made.",
        )
    print(f"{path}: {len(pictures)} pictures, {len(names)} names, {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    build(Path.cwd())
