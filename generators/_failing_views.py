"""Views that are not orthogonal: to show why no other may be used in sampling."""

from __future__ import annotations

import torch
from torch import Tensor

from noisebook.diffusion.views import View


class Gains(View):
    """Each colour channel multiplied by a gain of its own, as a camera's white balance does."""

    is_orthogonal = False

    def __init__(self, name: str, gains: tuple[float, float, float]) -> None:
        super().__init__(name)
        self._gains = torch.tensor(gains)[:, None, None]

    def apply(self, x: Tensor) -> Tensor:
        """Each channel times its gain."""
        return x * self._gains.to(x)

    def invert(self, x: Tensor) -> Tensor:
        """Each channel divided by its gain."""
        return x / self._gains.to(x)


class Blur(View):
    """A Gaussian blur across the picture's edges, ``sigma`` pixels where the shorter side has 64. What it
    weakens its inverse strengthens, by up to exp(2π²σ²/2): 140 times at σ = 0.7."""

    is_orthogonal = False

    def __init__(self, name: str, sigma: float) -> None:
        super().__init__(name)
        self._sigma = sigma

    def _response(self, x: Tensor) -> Tensor:
        """What the blur leaves of each frequency, (H, W)."""
        height, width = x.shape[-2:]
        down, across = (
            torch.fft.fftfreq(side, dtype=torch.float64) * min(height, width) / 64 for side in (height, width)
        )
        squares = down[:, None] ** 2 + across[None] ** 2
        return torch.exp(-2 * (torch.pi * self._sigma) ** 2 * squares).to(x.device)

    @staticmethod
    def _filtered(x: Tensor, response: Tensor) -> Tensor:
        filtered: Tensor = torch.fft.ifft2(torch.fft.fft2(x.double()) * response).real
        return filtered.to(x.dtype)

    def apply(self, x: Tensor) -> Tensor:
        """Blurred."""
        return self._filtered(x, self._response(x))

    def invert(self, x: Tensor) -> Tensor:
        """Sharp again."""
        return self._filtered(x, 1 / self._response(x))


FAILING: dict[str, View] = {
    view.name: view for view in (Blur("blur", 0.7), Gains("white balance", (1.4, 1.0, 0.6)))
}
