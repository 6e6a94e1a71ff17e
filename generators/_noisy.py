"""The noisy test picture that A1.1 shows, A1.2 blurs and A1.3 denoises: the same one in all three."""

from __future__ import annotations

from typing import TYPE_CHECKING

from noisebook.cells.contract import Cell, Context

from ._sampling import source

if TYPE_CHECKING:
    from torch import Tensor


def noisy_picture(
    cell: Cell, context: Context, alphas_cumprod: Tensor | None = None, size: int | None = None
) -> tuple[Tensor, Tensor]:
    """(x_0, x_t), each (3, size, size), of the cell's picture and its timestep ``t`` (None: x_t is x_0).

    On DeepFloyd's schedule, unless a model's own is given.
    """
    import torch

    from noisebook.diffusion.sampling import draw_noise, generators
    from noisebook.diffusion.schedules import forward, squared_cosine

    size = size or int(cell.params["size"])
    x_0 = torch.from_numpy(source(cell, context, size))
    t = cell.params["t"]
    if t is None:
        return x_0, x_0
    alphas = squared_cosine() if alphas_cumprod is None else alphas_cumprod
    noise = draw_noise(generators([context.seed(cell, "sample", 0)]), x_0.shape)[0]
    return x_0, forward(x_0, float(alphas[t]), noise)
