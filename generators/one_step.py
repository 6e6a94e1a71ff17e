"""One-step denoising: the model's estimate of the clean picture from one call, at several noise levels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import Field

from noisebook.cells.contract import Cell, Context, ImagePath, Json, Result
from noisebook.cells.outputs import picture

from ._sampling import NEUTRAL, Guidance, Prompt, Sized, Timestep, stem


class Params(Sized):
    """x̂_0 = (x_t - √(1-ᾱ_t) ε) / √ᾱ_t with one estimate of ε."""

    picture: ImagePath = Field(default="images/tower.jpg", description="the clean picture")
    timesteps: Annotated[list[Timestep], Field(min_length=1, description="noise levels")] = Field(
        default=[250, 500, 750]
    )
    prompt: Prompt = NEUTRAL
    guidance: Guidance = 1.0


def cells(params: Params) -> list[Cell]:
    """Clean, noisy and estimate, for each level."""
    name = stem(params.picture)
    shared: dict[str, Any] = {"inputs": {"picture": params.picture}, "models": {"stage1": params.model}}
    found = []
    for t in params.timesteps:
        asked: dict[str, Json] = {"t": t, "prompt": params.prompt, "guidance": params.guidance}
        asked |= params.sized()
        for show, label, alt in (
            ("clean", "clean", f"The test picture {name}."),
            ("noisy", f"noisy, t = {t}", f"{name} with the noise of timestep {t}."),
            ("estimate", "one-step estimate", f"The model's one-step estimate of {name} from timestep {t}."),
        ):
            found.append(Cell(f"{show}-t={t}", label, alt, {**asked, "show": show}, **shared))
    return found


def run(cells: Sequence[Cell], context: Context) -> Iterator[Result]:
    """One network call per level; clean and noisy pictures need none. x̂_0 is only clamped for display."""
    import torch

    from noisebook.diffusion.estimates import guided
    from noisebook.diffusion.schedules import clean
    from noisebook.models.latents import decoded
    from noisebook.models.pictures import to_bytes

    from ._noisy import distances, noisy_picture
    from ._process import model_of

    for cell in cells:
        params, denoiser = cell.params, model_of(cell, context)
        x_0, x_t = noisy_picture(cell, context, denoiser)
        if params["show"] == "clean":
            yield cell, [picture("picture", to_bytes(x_0))]
            continue
        x = x_t[None]
        if params["show"] == "estimate":
            with torch.inference_mode():
                estimate = guided(denoiser, [params["prompt"]], params["guidance"])
                epsilon, _ = estimate(x, params["t"])
            x = clean(x, epsilon, float(denoiser.alphas_cumprod[params["t"]]))
        x = decoded(denoiser, x)[0]
        x = x.clamp(-1, 1) if params["show"] == "estimate" else x
        yield cell, [picture("picture", to_bytes(x)), *distances(x, x_0)]
