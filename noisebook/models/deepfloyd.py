"""DeepFloyd IF, stages I and II, through diffusers.

    noisebook models add deepfloyd-xl          # download, and pin in models.lock.json
    noisebook models add deepfloyd-m/stage1 --folder /models/IF-I-M

Sizes xl, l and m for stage I, l and m for stage II (xl's second stage is l's). The weights are gated: accept
the licence on the model's page, then set HF_TOKEN or run ``hf auth login``. Pinned files are checked before
they are used.

The text encoder has 4.5 billion parameters: :mod:`noisebook.models.encoders` keeps what it says. Device,
precision and memory are :mod:`noisebook.models.settings`. For networks that are not too large,
:mod:`noisebook.kernels.deepfloyd_unet` makes a processor faster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.diffusion.denoiser import Enlarge, Prompt
from noisebook.diffusion.schedules import forward
from noisebook.models.embeddings import Embeddings
from noisebook.models.encoders import PARTS, TextEncoder, pinned
from noisebook.models.hub import fetch, located, read_config, schedule, understood
from noisebook.models.latents import Resizable
from noisebook.models.lock import Entry, MissingModel, pin
from noisebook.models.network import Network
from noisebook.models.settings import Settings, from_environment
from noisebook.models.tasks import description

REPOSITORIES = {
    ("xl", 1): "DeepFloyd/IF-I-XL-v1.0",
    ("l", 1): "DeepFloyd/IF-I-L-v1.0",
    ("m", 1): "DeepFloyd/IF-I-M-v1.0",
    ("xl", 2): "DeepFloyd/IF-II-L-v1.0",
    ("l", 2): "DeepFloyd/IF-II-L-v1.0",
    ("m", 2): "DeepFloyd/IF-II-M-v1.0",
}
NEEDED = ("unet/*", "scheduler/*", "image_noising_scheduler/*", "tokenizer/*", "text_encoder/*")


class DeepFloyd(Resizable):
    """A stage of DeepFloyd IF as a :class:`noisebook.diffusion.denoiser.Denoiser`.

    Stage II takes :class:`noisebook.diffusion.denoiser.Enlarge` as its prompts.
    """

    def __init__(
        self, folder: Path, text: TextEncoder | Embeddings, settings: Settings | None = None
    ) -> None:
        """Reads the configurations; the weights are loaded with the first prediction.

        Raises MissingModel for a folder that does not hold such a model.
        """
        self.folder, self.text = folder, text
        settings = settings or Settings()
        self.precision = settings.precision
        self.if_it_overflows = settings.if_it_overflows
        kind, prepare = "UNet2DConditionModel", accelerated(settings)
        self.network = Network("DeepFloyd", kind, folder / "unet", settings, prepare)
        config = self.network.config
        channels = config.get("in_channels")
        if channels not in (3, 6):
            raise MissingModel(
                f"{folder}: expected DeepFloyd's {kind} with 3 or 6 input channels, found one with {channels}"
            )
        self.image_size = self.height = self.width = int(config["sample_size"])
        self.multiple = 2 ** (len(config["block_out_channels"]) - 1)
        self.alphas_cumprod = schedule(folder / "scheduler" / "scheduler_config.json")
        self.enlarges = channels == 6
        self._augmentation = (
            schedule(folder / "image_noising_scheduler" / "scheduler_config.json") if self.enlarges else None
        )

    def describe(self) -> dict[str, Any]:
        """See :mod:`noisebook.models.tasks`."""
        return description(self, 3, "text")

    def embed(self, prompts: Sequence[Prompt]) -> tuple[list[str], Tensor | None, Tensor | None]:
        """Texts, and for stage II the enlarged pictures (B, 3, H, W) with their noise and its levels (B,).

        Raises PromptTooLong.
        """
        if not prompts:
            raise ValueError("no prompts")
        texts = [prompt.text if isinstance(prompt, Enlarge) else str(prompt) for prompt in prompts]
        self.text.know(texts, self.network.release)
        if not self.enlarges:
            return texts, None, None
        return (
            texts,
            torch.stack([self._enlarged(prompt) for prompt in prompts]),
            torch.tensor([prompt.level for prompt in prompts]),
        )

    def _enlarged(self, prompt: Enlarge) -> Tensor:
        assert self._augmentation is not None
        size = (self.height, self.width)
        large = functional.interpolate(prompt.picture[None], size, mode="bilinear", align_corners=True)[0]
        return forward(large, float(self._augmentation[prompt.level]), prompt.noise)

    def predict(
        self, x_t: Tensor, t: int, conditioning: tuple[list[str], Tensor | None, Tensor | None]
    ) -> tuple[Tensor, Tensor | None]:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`. Only the network runs in its own precision."""
        texts, enlarged, levels = conditioning
        x = x_t if enlarged is None else torch.cat([x_t, enlarged], 1)
        states = torch.stack([self.text[text] for text in texts])

        def ask(unet: Any, x: Tensor, states: Tensor, levels: Tensor | None) -> Tensor:
            answer: Tensor = unet(x, t, encoder_hidden_states=states, class_labels=levels, return_dict=False)[
                0
            ]
            return answer

        epsilon, variance = self.network.rows(ask, x, states, levels).chunk(2, 1)
        return epsilon, variance


def accelerated(settings: Settings) -> Any:
    """What makes a processor's layers faster, where that can be and the attention is not sliced."""

    def accelerate(unet: Any) -> None:
        with suppress(ImportError):  # kernels are optional
            from noisebook.kernels import deepfloyd_unet

            deepfloyd_unet.accelerate(unet)

    return None if settings.slicing else accelerate


def load(name: str, entry: Entry, root: Path) -> DeepFloyd:
    """The stage that ``entry`` of the lock file pins: from its folder, or from the hub at its revision."""
    folder, settings = located(name, entry, root), from_environment()
    if given := entry.get("embeddings"):
        width = int(read_config(folder / "unet" / "config.json").get("encoder_hid_dim") or 0)
        return DeepFloyd(folder, Embeddings(root / given["file"], width), settings)
    return DeepFloyd(folder, encoder_in(folder, entry, root, settings), settings)


def encoder_in(folder: Path, entry: Entry, root: Path, settings: Settings) -> TextEncoder:
    """What reads prompts for an entry whose files lie in ``folder``; it comes with stage I, both share it."""
    place = root / entry["text_folder"] if entry.get("text_folder") else folder
    return pinned(entry, place, settings)


def encoder_of(name: str, entry: Entry, root: Path) -> TextEncoder:
    """What reads prompts for an entry, without its network. Raises MissingModel where it is not here."""
    parts = {file: sha for file, sha in entry["files"].items() if file.startswith(PARTS)}
    if not parts and "text_folder" not in entry:
        family = name.partition("/")[0]
        again = f"noisebook models remove {family}, then noisebook models add {family}, bring it"
        raise MissingModel(f"{name} is pinned without its text encoder: {again}")
    folder = located(name, {**entry, "files": parts}, root)
    return encoder_in(folder, entry, root, from_environment())


def pin_stage(
    root: Path,
    size: str,
    stage: int,
    folder: Path | None = None,
    revision: str = "",
    *,
    encoder: bool = True,
) -> Mapping[str, Any]:
    """Pin one stage in the lock file, from a folder (from ``root``) or from the hub, and give its entry.

    Without its text ``encoder`` it draws prompts whose embeddings the report has.
    """
    repository = REPOSITORIES[size, stage]
    needed = [pattern for pattern in NEEDED if encoder or not pattern.startswith(PARTS)]
    where = root / folder if folder else fetch(repository, revision or "main", needed)
    # The hub's cache names a snapshot by its commit.
    revision = "folder" if folder else where.name
    files = {
        path.relative_to(where).as_posix(): path
        for pattern in needed
        for path in sorted(where.glob(pattern))
        if path.is_file() and path.suffix in (".json", ".safetensors", ".model", ".txt")
    }
    text = TextEncoder(where, revision, where, Settings())
    with understood(where):
        model = DeepFloyd(where, text)
        model.network.check()
    if model.enlarges != (stage == 2):
        raise MissingModel(f"{where} holds stage {3 - stage}, not stage {stage}")
    if encoder:
        text.check(model.network.config.get("encoder_hid_dim"))
    return pin(
        root,
        f"deepfloyd-{size}/stage{stage}",
        files,
        kind="model",
        loader="noisebook.models.deepfloyd",
        revision=revision,
        licence="DeepFloyd IF License Agreement",
        description=model.describe(),
        **({"folder": str(folder)} if folder else {"repository": repository}),
    )
