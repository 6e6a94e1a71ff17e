"""The noisy test picture that A1.1 shows, A1.2 blurs and A1.3 denoises: the same one in all three.

Heavy: imported by ``run`` alone.
"""

from __future__ import annotations

from torch import Tensor

from noisebook.cells.contract import Cell, Context, Output
from noisebook.cells.outputs import number
from noisebook.diffusion.sampling import draw_noise, generators
from noisebook.diffusion.schedules import forward, squared_cosine
from noisebook.models.latents import encoded, picture_shape

from ._metrics import psnr, ssim
from ._process import Denoiser, picture_of


def noisy_picture(cell: Cell, context: Context, denoiser: Denoiser | None = None) -> tuple[Tensor, Tensor]:
    """The cell's picture, (3, H, W), and with the noise of its timestep ``t`` (None: without).

    On DeepFloyd's schedule; with a denoiser on its own, at its size, and the noisy one of its shape.
    """
    if denoiser is not None:
        shape = picture_shape(denoiser)
    else:
        size = cell.params["size"]
        shape = (size, size) if isinstance(size, int) else (size[1], size[0])
    picture, t = picture_of(cell, context, shape), cell.params["t"]
    if t is None:
        return picture, picture
    x_0 = picture if denoiser is None else encoded(denoiser, picture[None])[0]
    alphas = squared_cosine() if denoiser is None else denoiser.alphas_cumprod
    noise = draw_noise(generators([context.seed(cell, "sample", 0)]), x_0.shape)[0]
    return picture, forward(x_0, float(alphas[t]), noise)


def distances(x: Tensor, x_0: Tensor, of: str = "") -> list[Output]:
    """How far a picture is from the clean one, both (3, H, W); ``of`` names one of a cell's pictures."""
    suffix = f" of {of}" if of else ""
    return [number(f"PSNR{suffix}", psnr(x, x_0), "dB"), number(f"SSIM{suffix}", ssim(x, x_0))]
