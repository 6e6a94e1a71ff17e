"""Scenes, digits, curves: whatever a page can show."""

from collections.abc import Iterator, Sequence

from pydantic import Field

from noisebook.cells.contract import Cell, Context, Result
from noisebook.cells.contract import Params as Base
from noisebook.cells.outputs import animation, arrays, number, picture, table, vector


class Params(Base):
    kind: str = Field(description="what is drawn")
    size: int = Field(64, ge=8, le=512, description="pixels a side")
    levels: list[float] = Field([0.0, 0.3, 0.6, 0.9], description="noise")


def cells(params: Params) -> list[Cell]:
    if params.kind in ("curve", "table", "wide"):
        what = {"kind": params.kind}
        return [Cell(params.kind, "Test loss", f"A {params.kind} that falls", what, seed=None)]
    return [
        Cell(
            f"n={level:g}",
            "clean" if not level else f"σ = {level:g}",
            f"A {params.kind} under noise of {level:g}",
            {"kind": params.kind, "level": level, "size": params.size},
        )
        for level in params.levels
    ]


def scene(kind, size, level, seed):
    import numpy as np
    from PIL import Image, ImageDraw

    big = 4 * size
    image = Image.new("RGB", (big, big))
    draw = ImageDraw.Draw(image)
    if kind == "digit":
        draw.ellipse([big * 0.3, big * 0.12, big * 0.7, big * 0.5], outline="white", width=big // 12)
        draw.ellipse([big * 0.25, big * 0.46, big * 0.75, big * 0.9], outline="white", width=big // 12)
    else:
        for y in range(big):
            c = y / big
            draw.line([(0, y), (big, y)], fill=(int(70 + 150 * c), int(120 + 90 * c), int(190 + 20 * c)))
        hills = [(0, 0.75), (0.3, 0.5), (0.6, 0.78), (1, 0.6), (1, 1), (0, 1)]
        wall = [(0.44, 1), (0.47, 0.25), (0.53, 0.25), (0.56, 1)]
        roof = [(0.45, 0.26), (0.5, 0.1), (0.55, 0.26)]
        for shape, colour in ((hills, (60, 100, 70)), (wall, (230, 220, 200)), (roof, (170, 50, 40))):
            draw.polygon([(x * big, y * big) for x, y in shape], fill=colour)
    pixels = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS), np.float32)
    noise = np.random.default_rng(seed).normal(size=pixels.shape) * 110
    return np.clip(pixels * (1 - level) + level * (127 + noise), 0, 255).astype(np.uint8)


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    import numpy as np

    for cell in cells:
        kind = cell.params["kind"]
        if kind in ("curve", "wide"):
            points = " ".join(f"{40 + 5 * x},{20 + 190 * (1 - 2.718 ** (-x / 25))}" for x in range(110))
            svg = (
                '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 240">'
                "<style>text{font:14px sans-serif}</style>"
                '<path d="M40 10v210h580" fill="none" stroke="#555"/><text x="300" y="236">step</text>'
                f'<polyline points="{points}" fill="none" stroke="#b3541e" stroke-width="2.5"/></svg>'
            )
            rows = [[epoch, 0.031 / epoch, "yes" if epoch > 3 else "no"] for epoch in range(1, 6)]
            yield (
                cell,
                [
                    vector("picture", svg, 640, 240),
                    table("epochs", ["epoch", "test loss", "best"], rows),
                    arrays("loss", {"loss": np.linspace(1, 0, 110, dtype=np.float32)}),
                ],
            )
        elif kind == "table":
            rows = [
                [f"block {i} with a long name and more words", "1 × 64 × 28 × 28", 4**i] for i in range(6)
            ]
            shapes = table("shapes", ["block", "shape", "parameters"], rows)
            yield cell, [shapes, number("seconds", 12.5, "s", measured=True)]
        elif kind == "animation":
            frames = np.stack([scene("digit", cell.params["size"], 1 - i / 8, 3) for i in range(9)])
            yield cell, [animation("animation", frames, 8)]
        else:
            level = cell.params["level"]
            outputs = [picture("picture", scene(kind, cell.params["size"], level, context.seed(cell)))]
            if level:
                outputs += [number("psnr", 28 - 20 * level, "dB"), number("ssim", 0.97 - 0.8 * level)]
            yield cell, outputs
