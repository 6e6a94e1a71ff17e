"""Many samples of a figure, ranked, shown and chosen from."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from noisebook import candidates, commands
from noisebook.models import judges
from noisebook.project import Project
from noisebook.render.choices import SIDE, Sheet, decoded
from noisebook.report.model import BadInput

GENERATOR = '''
from collections.abc import Iterator
from pydantic import Field
from noisebook.cells.contract import Cell, Labelled, Params as Base
from noisebook.cells.outputs import animation, picture


class Params(Base):
    """Flat pictures, each of its sample's own brightness."""

    pairs: list[list[str]] = Field(default=[["bright", "dark"]], description="two prompts each")
    samples: list[int] = Field(default=[0], max_length=40, description="which")


def cells(params):
    return [
        Cell(
            f"{p}-s={s}" if len(params.samples) > 1 else f"{p}", one, one, {"p": [one, other], "sample": s},
            pictures=[
                Labelled("picture", one, one, one),
                Labelled("turned", other, other, other),
                Labelled("film", "f", "f"),
            ],
        )
        for p, (one, other) in enumerate(params.pairs) for s in params.samples
    ] + [Cell(f"shared-{s}", "shared", "s", {}, seed=None) for s in params.samples if len(params.pairs) > 1]


def run(cells, context) -> Iterator:
    import numpy as np

    for cell in cells:
        if cell.seed is None:
            yield cell, [picture("picture", np.zeros((64, 64, 3)))]
            continue
        grey = np.random.default_rng(context.seed(cell, cell.params["sample"])).random()
        x = np.full((64, 64, 3), grey)
        film = animation("film", np.stack([x, 1 - x]), 4)
        yield cell, [picture("picture", x), picture("turned", 1 - x), film]
'''
SECTION = """---
title: Choice
figures:
  - id: pair
    generator: flat   # of two
    caption: Two readings.

  - id: several
    generator: flat
    params: {pairs: [[a, b], [c, d]]}
  - {id: matrix, generator: flat, matrix: {samples: [[1], [2]]}}
---
{{ figure("pair") }}
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(tmp_path / "user"))
    root = tmp_path / "report"
    for folder in ("sections", "generators"):
        (root / folder).mkdir(parents=True)
    (root / "report.yaml").write_text("title: T\n")
    (root / "generators" / "flat.py").write_text(GENERATOR)
    (root / "sections" / "a.md").write_text(SECTION)
    monkeypatch.chdir(root)
    monkeypatch.setattr(candidates, "judges", lambda book, folder: Brightness())
    return root


class Brightness:
    """Likes what is bright for a prompt of brightness, and what is dark else."""

    name = "brightness"

    def scores(self, pictures: torch.Tensor, prompt: str) -> torch.Tensor | None:
        mean = pictures.mean((1, 2, 3))
        return {"bright": mean, "dark": -mean}.get(prompt)


def noisebook(*arguments: str) -> Any:
    return CliRunner().invoke(commands.cli, ["candidates", *arguments])


def test_drawn_ranked_shown_and_chosen(root: Path) -> None:
    done = noisebook("pair", "--count", "11")
    assert done.exit_code == 0, done.output
    page = (root / ".noisebook/candidates/pair.html").read_text()
    ranks = [int(k) for k in re.findall(r"<b>(\d+)</b>", page)]
    assert sorted(ranks) == list(range(11)) and page.count("<img") == 22
    seen = [Image.open(root / f".noisebook/candidates/pair/{k}-0.png").getpixel((5, 5))[0] for k in ranks]
    assert seen == sorted(seen, reverse=True), "the brightest first: its other reading is the darkest"
    assert (root / "sections/a.md").read_text() == SECTION and not (root / "images").exists()
    done = noisebook("pair", "--count", "11", "--choose", "7")
    assert done.exit_code == 0, done.output
    assert (root / "sections/a.md").read_text() == SECTION.replace(
        "    caption: Two readings.\n",
        "    caption: Two readings.\n    params: {samples: [7]}\n"
        '    chosen: {of: 11, by: "eye", sheet: images/chosen/pair.webp}\n',
    )
    sheet = decoded((root / "images/chosen/pair.webp").read_bytes())
    assert len(sheet.samples) == 11 and all(len(each) == 2 for each in sheet.samples)
    for k, rank in enumerate(ranks):
        assert sheet.samples[rank][0].getpixel((9, 9))[0] == pytest.approx(seen[k], abs=3)
    (planned,) = Project(root).planned["pair"]
    assert sheet.key == planned.key, "the figure's cell is the sample that was chosen"
    done = noisebook("pair", "--count", "11", "--choose", "best")
    assert f"samples: [{ranks[0]}]" in (root / "sections/a.md").read_text()
    assert 'by: "brightness"' in (root / "sections/a.md").read_text()


def test_the_page_shows_all_of_them_and_the_first_beside_the_chosen(root: Path) -> None:
    noisebook("pair", "--count", "11", "--choose", "7")
    for name in ("several", "matrix"):
        text = (root / "sections/a.md").read_text()
        (root / "sections/a.md").write_text(re.sub(rf"  - .?id: {name}.*\n(    .*\n)*", "", text))
    from noisebook.building import Request, build

    build(Project(root), Request()).check()
    page = (root / "site/a.html").read_text()
    assert 'Chosen of 11 by eye: <a href="a--pair-all.html">all 11</a>.' in page
    assert page.count("The first draw, nothing chosen: reading") == 2
    every = (root / "site/a--pair-all.html").read_text()
    assert "Sample 7 (row 1, place 8) was chosen of 11 by eye." in every and "earlier version" not in every
    assert "11 samples in rows of 8, each with 2 readings" in every
    generator = root / "generators/flat.py"
    generator.write_text(generator.read_text().replace("random()", "random() / 2"))
    build(Project(root), Request()).check()
    assert "drawn by an earlier version" in (root / "site/a--pair-all.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["matrix"], "a.md:11:10: 'matrix' is a matrix"),
        (["pear"], "did you mean"),
    ],
)
def test_what_cannot_be_chosen_from(root: Path, arguments: list[str], message: str) -> None:
    done = noisebook(*arguments, "--count", "2")
    assert done.exit_code == 2 and message in done.output and "Traceback" not in done.output


def test_a_sample_of_several_pictures_is_chosen_whole(root: Path) -> None:
    """Of two pairs with two readings each: four pictures a sample, and the picture that all samples share."""
    done = noisebook("several", "--count", "35", "--choose", "33")
    assert done.exit_code == 0, done.output
    page = (root / ".noisebook/candidates/several.html").read_text()
    assert page.count("<li>") == 35 and page.count("<img") == 35 * 5
    sheet = decoded((root / "images/chosen/several.webp").read_bytes())
    assert sheet.row == 6 and [len(each) for each in sheet.samples] == [5] * 35
    planned = Project(root).planned["several"]
    assert sheet.key.split() == [each.key for each in planned] and len(planned) == 3
    for k in (0, 33):
        for place, thumbnail in enumerate(sheet.samples[k]):
            with Image.open(root / f".noisebook/candidates/several/{k}-{place}.png") as drawn:
                assert thumbnail.getpixel((9, 9))[0] == pytest.approx(drawn.getpixel((9, 9))[0], abs=3)


def test_a_number_that_is_none(root: Path) -> None:
    done = noisebook("pair", "--count", "3", "--choose", "3")
    assert done.exit_code == 2 and "the last is 2" in done.output
    done = noisebook("pair", "--count", "3", "--choose", "first")
    assert done.exit_code == 2 and "'first' is not the number of a sample" in done.output
    assert not (root / ".noisebook/candidates").exists()


def test_best_without_a_judge(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "judges", lambda book, folder: None)
    done = noisebook("pair", "--count", "3", "--choose", "best")
    assert done.exit_code == 1 and "by eye" in done.output
    assert (root / "sections/a.md").read_text() == SECTION


@pytest.mark.parametrize("data", [b"no picture", "plain"])
def test_a_sheet_that_is_none_is_told_at_its_figure(root: Path, data: Any) -> None:
    noisebook("pair", "--count", "3", "--choose", "1")
    if data == "plain":
        buffer = io.BytesIO()
        Image.new("RGB", (64, 64)).save(buffer, "WEBP")
        data = buffer.getvalue()
    (root / "images/chosen/pair.webp").write_bytes(data)
    from noisebook.building import Request, build

    with pytest.raises(BadInput, match=r"sections/a\.md:\d+:\d+: .*pair\.webp"):
        build(Project(root), Request(only=("pair",)))


def test_a_sheet_is_small() -> None:
    """48 photographs with two readings each."""
    photos = [Image.open(f"images/{name}.jpg").convert("RGB") for name in ("tower", "mountain", "portrait")]
    crops = [
        photo.crop((x := k * photo.width // 40, x, photo.width // 2 + x, photo.height // 2 + x))
        for k in range(16)
        for photo in photos
    ]
    data = Sheet([[crop, crop.transpose(Image.Transpose.FLIP_TOP_BOTTOM)] for crop in crops], "k").encoded()
    assert len(data) < 120_000
    again = decoded(data)
    assert again.key == "k" and len(again.samples) == 48
    apart = [
        np.abs(np.asarray(one[0], float) - np.asarray(crop.resize((SIDE, SIDE)), float)).mean()
        for one, crop in zip(again.samples, crops, strict=True)
    ]
    assert max(apart) < 16


# Judges


def test_clip_prefers_the_picture_of_its_words(tmp_path: Path) -> None:
    """A CLIP of two layers, from a folder as transformers writes it: its answers are its own model's."""
    import transformers

    torch.manual_seed(0)
    words = ["<|startoftext|>", "<|endoftext|>", *[f"{c}</w>" for c in "abcdefghijklmnopqrstuvwxyz"]]
    words += list("abcdefghijklmnopqrstuvwxyz")
    (tmp_path / "vocab.json").write_text(json.dumps({word: k for k, word in enumerate(words)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    text = {"vocab_size": len(words), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    text |= {"intermediate_size": 32, "eos_token_id": 1, "bos_token_id": 0, "pad_token_id": 1}
    vision = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    config = transformers.CLIPConfig(
        text_config=text, vision_config=vision | {"image_size": 32, "patch_size": 8}, projection_dim=8
    )
    model = transformers.CLIPModel(config).eval()
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    judge = judges.clip(tmp_path)
    assert judge and judge.name == f"CLIP ({tmp_path.name})"
    pictures = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(1)) * 2 - 1
    found = judge.scores(pictures, "a dog")
    x = torch.nn.functional.interpolate(pictures, size=(32, 32), mode="bicubic", antialias=True)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in (judges.MEAN, judges.DEVIATION))
    with torch.no_grad():
        expected = model(
            pixel_values=((x.clamp(-1, 1) + 1) / 2 - mean) / deviation,
            **tokenizer(["a dog"], return_tensors="pt"),
        )
    scale = model.logit_scale.exp().detach()
    torch.testing.assert_close(found * scale, expected.logits_per_image[:, 0], atol=1e-4, rtol=1e-4)
    assert not torch.allclose(found, judge.scores(pictures, "a cat"))


def test_no_clip_is_none_and_a_folder_without_one_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(judges, "CLIP", str(tmp_path / "nowhere"))
    assert judges.clip() is None
    with pytest.raises(BadInput, match="there is no CLIP in"):
        candidates.judges(Project(Path()), tmp_path)


def test_the_judge_of_subjects_knows_what_words_mean() -> None:
    """A prompt's subjects are those with the nearest vectors; of others it says nothing."""

    class Words:
        def vectors(self, texts: Any) -> np.ndarray:
            known = {"dog": [1, 0, 0], "puppy": [0.98, 0.199, 0], "ship": [0, 1, 0], "hound": [1, 0.05, 0]}
            return np.array([known.get(text, [0, 0, 1]) for text in texts], np.float32)

    def answers(pictures: torch.Tensor) -> torch.Tensor:
        return pictures[:, :, 0, 0] * 10

    judge = judges.SubjectJudge(["dog", "puppy", "ship"], answers, Words())
    pictures = torch.eye(3)[:, :, None, None].expand(3, 3, 8, 8)
    scores = judge.scores(pictures, "a photo of a hound")
    assert scores is not None and scores[0] > -0.01 and scores[1] > -0.01 and scores[2] < -5
    assert judge.scores(pictures, "an oil painting of waterfalls") is None
    assert judge.scores(pictures, "a high quality photo") is None


def test_the_reports_own_judge_is_at_hand() -> None:
    judge = candidates.subject_judge(Project(Path()))
    assert judge and judge.name == "the judge of subjects"
