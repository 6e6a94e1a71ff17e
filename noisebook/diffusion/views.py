"""Ways to see a picture anew. A view that is used in sampling must be orthogonal: it may move pixels and
change signs, so that noise seen through it is such noise still (Geng and others 2024, "Visual anagrams").
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

Transform = Callable[[Tensor], Tensor]
Frame = Callable[[Tensor, float], Tensor]


class View:
    """A picture seen another way. All methods take and give (..., H, W).

    Attributes:
        name: what an author calls it.
        is_orthogonal: whether noise stays noise.
    """

    is_orthogonal = True

    def __init__(self, name: str) -> None:
        self.name = name

    def apply(self, x: Tensor) -> Tensor:
        """The picture through the view."""
        raise NotImplementedError

    def invert(self, x: Tensor) -> Tensor:
        """Back again: ``invert(apply(x))`` is x."""
        raise NotImplementedError

    def frame(self, x: Tensor, progress: float) -> Tensor:
        """``x`` (C, H, W) on its way to ``apply(x)``, for an animation; ``progress`` from 0 to 1."""
        return (1 - progress) * x + progress * self.apply(x)

    def invert_variance(self, v: Tensor) -> Tensor:
        """The inverse for what belongs to pixels but has no sign."""
        return self.invert(v)


class Permutation(View):
    """A view that moves pixels: one function of a picture of any size, of which all else follows.

    Turns by a quarter need a square, jigsaws sides that their number of pieces divides.
    """

    def __init__(self, name: str, move: Transform, frame: Frame | None = None) -> None:
        super().__init__(name)
        self._move, self._frame = move, frame

    def apply(self, x: Tensor) -> Tensor:
        """The pixels moved."""
        return self._move(x)

    def frame(self, x: Tensor, progress: float) -> Tensor:
        """The pixels on their way, or one picture fading into the other."""
        return self._frame(x, progress) if self._frame else super().frame(x, progress)

    def invert(self, x: Tensor) -> Tensor:
        """Each pixel back to where it came from."""
        height, width = x.shape[-2:]
        places = torch.arange(height * width, device=x.device).view(height, width)
        return x.flatten(-2)[..., self.apply(places).flatten().argsort()].view(x.shape)


class Negative(View):
    """Colours turn into their opposites. A variance keeps its sign."""

    def __init__(self) -> None:
        super().__init__("negative")

    def apply(self, x: Tensor) -> Tensor:
        """-x."""
        return -x

    invert = apply

    def invert_variance(self, v: Tensor) -> Tensor:
        """v."""
        return v


def turned(x: Tensor, degrees: float, squash: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """``x`` (C, H, W) turned about its centre, counter-clockwise, and scaled by ``squash`` (down, across);
    white outside."""
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    c, s = float(torch.cos(angle)), float(torch.sin(angle))
    down, across = (max(abs(value), 1e-3) * (1 if value >= 0 else -1) for value in squash)
    tall = x.shape[-2] / x.shape[-1]  # affine_grid counts in halves of each side
    rows = [[c / across, -s * tall / across, 0.0], [s / tall / down, c / down, 0.0]]
    matrix = torch.tensor(rows, dtype=x.dtype)
    grid = functional.affine_grid(matrix[None], [1, *x.shape], align_corners=False)
    # Sampled around white, so that what lies outside is white.
    return functional.grid_sample(x[None] - 1, grid, align_corners=False)[0] + 1


def _quarters(name: str, turns: int) -> View:
    return Permutation(
        name, lambda x: torch.rot90(x, turns, (-2, -1)), lambda x, progress: turned(x, 90 * turns * progress)
    )


def _inner_turn() -> View:
    def disc(x: Tensor) -> Tensor:
        down, across = (torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in x.shape[-2:])
        return (down[:, None] ** 2 + across[None] ** 2) < (0.375 * min(x.shape[-2:])) ** 2

    return Permutation(
        "inner circle",
        lambda x: torch.where(disc(x), torch.rot90(x, 2, (-2, -1)), x),
        lambda x, progress: torch.where(disc(x), turned(x, 180.0 * progress), x),
    )


def _skew() -> View:
    def shear(x: Tensor, progress: float = 1.0) -> Tensor:
        height, width = x.shape[-2:]
        across = torch.arange(width, device=x.device)
        down = torch.arange(height, device=x.device)[:, None] + (progress * across).round().long()
        return x[..., down % height, across]

    return Permutation("skew", shear, shear)


def _jigsaw(name: str, pieces: int, seed: int = 42) -> View:
    order = torch.randperm(pieces * pieces, generator=torch.Generator().manual_seed(seed))

    def move(x: Tensor) -> Tensor:
        height, width = x.shape[-2] // pieces, x.shape[-1] // pieces
        tiles = x.reshape(*x.shape[:-2], pieces, height, pieces, width).movedim(-2, -3).flatten(-4, -3)
        moved = tiles[..., order, :, :].reshape(*x.shape[:-2], pieces, pieces, height, width)
        return moved.movedim(-2, -3).reshape(x.shape)

    return Permutation(name, move)


_ALL = [
    Permutation("identity", lambda x: x),
    Permutation("flip", lambda x: x.flip(-2), lambda x, progress: turned(x, 0, (1 - 2 * progress, 1.0))),
    Permutation("mirror", lambda x: x.flip(-1), lambda x, progress: turned(x, 0, (1.0, 1 - 2 * progress))),
    _quarters("quarter turn", 1),
    _quarters("half turn", 2),
    _quarters("three-quarter turn", 3),
    _inner_turn(),
    _jigsaw("jigsaw", 4),
    _jigsaw("patches", 8),
    _skew(),
    Negative(),
]
VIEWS: dict[str, View] = {view.name: view for view in _ALL}
"""Every orthogonal view by its name."""
