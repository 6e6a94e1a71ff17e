"""The noisy test picture that A1.1 shows, A1.2 blurs and A1.3 denoises: the same one in all three.

Heavy: imported by ``run`` alone.
"""

from __future__ import annotations

from torch import Tensor

from noisebook.cells.contract import Cell, Context, Output
from noisebook.cells.outputs import number
from noisebook.diffusion.metrics import psnr, ssim
from noisebook.diffusion.sampling import draw_noise, generators
from noisebook.diffusion.schedules import forward, squared_cosine

from ._process import picture_of


def noisy_picture(
    cell: Cell, context: Context, alphas_cumprod: Tensor | None = None, size: int | None = None
) -> tuple[Tensor, Tensor]:
    """(x_0, x_t), each (3, size, size), of the cell's picture and its timestep ``t`` (None: x_t is x_0).

    On DeepFloyd's schedule, unless a model's own is given.
    """
    x_0 = picture_of(cell, context, size or int(cell.params["size"]))
    t = cell.params["t"]
    if t is None:
        return x_0, x_0
    alphas = squared_cosine() if alphas_cumprod is None else alphas_cumprod
    noise = draw_noise(generators([context.seed(cell, "sample", 0)]), x_0.shape)[0]
    return x_0, forward(x_0, float(alphas[t]), noise)


def distances(x: Tensor, x_0: Tensor, of: str = "") -> list[Output]:
    """How far a picture is from the clean one, both (3, H, W); ``of`` names one of a cell's pictures."""
    suffix = f" of {of}" if of else ""
    return [number(f"PSNR{suffix}", psnr(x, x_0), "dB"), number(f"SSIM{suffix}", ssim(x, x_0))]
