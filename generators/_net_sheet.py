"""The pictures that the embedded network is trained on, and contact sheets of what it draws meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from noisebook.cells.contract import Cell, Context, Json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    from noisebook.models.captions import CaptionedPictures
    from noisebook.networks.text.denoiser import NetDenoiser
    from noisebook.networks.text.network import Network

ENLARGED = 6
"""Pictures on a contact sheet of stage II."""
NOISE_LEVEL = 250
"""Timestep of the noise on the low-resolution picture, on such a sheet."""


@lru_cache(maxsize=4)
def captioned(
    library: str, size: int, subjects: int, unseen: bool, always: tuple[str, ...]
) -> tuple[CaptionedPictures, Tensor]:
    """Pictures, and the text encoder's states of their captions in half precision, (captions, n, 384)."""
    import torch

    from noisebook.models import captions
    from noisebook.models.library import shipped
    from noisebook.models.tokens import commonness

    pictures = shipped(Path(library))
    names = captions.subjects(pictures, subjects, always, commonness)
    made = captions.CaptionedPictures(pictures, names, size, unseen=unseen)
    return made, torch.from_numpy(tokens().states(made.captions))


@lru_cache(maxsize=1)
def tokens() -> Any:
    """The text encoder's states of texts, from the user's cache."""
    from noisebook.models.tokens import Tokens

    return Tokens()


def read(texts: Sequence[str]) -> Tensor:
    """Texts to tokens (B, n, 384) float32."""
    import torch

    return torch.from_numpy(tokens().states(texts)).float()


class ContactSheet:
    """What a network draws at a cell's checkpoint, always from the same noise."""

    def __init__(self, network: Network, size: int, cell: Cell, context: Context) -> None:
        from noisebook.networks.text.denoiser import NetDenoiser

        self.denoiser = NetDenoiser(network, read)
        self.denoiser.image_size = size
        self.cell, self.context = cell, context

    def from_text(self, prompts: Sequence[str]) -> NDArray[np.uint8]:
        """A picture of each prompt, (H, W, 3)."""
        pictures = self._drawn(prompts, "dynamic")
        columns = next(n for n in range(min(8, len(prompts)), 0, -1) if len(prompts) % n == 0)
        return _tiled(pictures, columns, 64 // self.denoiser.image_size)

    def enlarged(self, source: CaptionedPictures) -> NDArray[np.uint8]:
        """Low-resolution pictures; what the network makes of them; what they were: (H, W, 3)."""
        import torch
        from torch.nn import functional

        from noisebook.diffusion.denoiser import Enlarge
        from noisebook.diffusion.sampling import draw_noise

        originals, captions = source.draw(ENLARGED, self._generator("lessons"))
        small = functional.avg_pool2d(originals, 4)
        noise = draw_noise(self._generators("augmentation", ENLARGED), originals.shape[1:])
        prompts = [
            Enlarge(source.captions[caption], picture, each, NOISE_LEVEL)
            for caption, picture, each in zip(captions.tolist(), small, noise, strict=True)
        ]
        drawn = self._drawn(prompts, "static")
        shown = functional.interpolate(small, scale_factor=4.0)
        return _tiled(torch.cat([shown, drawn, originals]), ENLARGED, 1)

    def _drawn(self, prompts: Sequence[Any], clipping: Any) -> Tensor:
        from noisebook.diffusion.estimates import guided
        from noisebook.diffusion.sampling import draw_noise, finish, reverse
        from noisebook.diffusion.schedules import strided
        from noisebook.diffusion.thresholding import thresholding

        denoiser: NetDenoiser = self.denoiser
        each = self._generators("sheet", len(prompts))
        x = draw_noise(each, (3, denoiser.image_size, denoiser.image_size))
        timesteps = strided(990, 330 if self.context.draft else 30)
        estimate = guided(denoiser, prompts, self.cell.params["guidance"])
        threshold = thresholding(clipping)
        return finish(reverse(x, timesteps, denoiser.alphas_cumprod, estimate, each, threshold=threshold))

    def _generators(self, purpose: str, count: int) -> list[Any]:
        return [self._generator(purpose, k) for k in range(count)]

    def _generator(self, *purpose: Json) -> Any:
        import torch

        return torch.Generator().manual_seed(self.context.seed(self.cell, *purpose))


def _tiled(pictures: Tensor, columns: int, scale: int) -> NDArray[np.uint8]:
    """(N, 3, S, S) in [-1, 1] as one picture, row by row."""
    from noisebook.models.pictures import to_bytes

    pixels = to_bytes(pictures).repeat(scale, 1).repeat(scale, 2)
    side = pixels.shape[1]
    rows = pixels.reshape(-1, columns, side, side, 3).swapaxes(1, 2)
    return rows.reshape(-1, columns * side, 3)
