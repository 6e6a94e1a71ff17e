"""Ways to look at a picture anew. A view must be orthogonal to be used in sampling: it may move pixels and
change signs, so that noise seen through it is the same kind of noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

Transform = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class View:
    """A picture seen another way. All functions take and give (..., H, W) with H = W.

    Attributes:
        name: what an author calls it.
        apply: the picture through the view.
        invert: back again.
        move: the inverse for values that belong to pixels but have no sign, such as a variance.
        frame: (picture, progress in 0 … 1) -> the picture on its way to ``apply(picture)``, for an animation.
        is_orthogonal: whether noise stays noise.
    """

    name: str
    apply: Transform
    invert: Transform
    move: Transform
    frame: Callable[[Tensor, float], Tensor]
    is_orthogonal: bool = True


def turned(x: Tensor, degrees: float, squash: tuple[float, float] = (1.0, 1.0)) -> Tensor:
    """``x`` (C, H, W) turned about its centre, counter-clockwise, and scaled by ``squash`` (down, across);
    white outside."""
    angle = torch.deg2rad(torch.tensor(float(degrees)))
    c, s = float(torch.cos(angle)), float(torch.sin(angle))
    down, across = (max(abs(value), 1e-3) * (1 if value >= 0 else -1) for value in squash)
    matrix = torch.tensor([[c / across, -s / across, 0.0], [s / down, c / down, 0.0]], dtype=x.dtype)
    grid = functional.affine_grid(matrix[None], [1, *x.shape], align_corners=False)
    # Sampled around white, so that what lies outside is white.
    return functional.grid_sample(x[None] - 1, grid, align_corners=False)[0] + 1


def _moving(name: str, apply: Transform, invert: Transform, frame: Callable[[Tensor, float], Tensor]) -> View:
    return View(name, apply, invert, invert, frame)


def _blend(apply: Transform) -> Callable[[Tensor, float], Tensor]:
    return lambda x, progress: (1 - progress) * x + progress * apply(x)


def _quarter(turns: int) -> View:
    name = {1: "quarter turn", 2: "half turn", 3: "three-quarter turn"}[turns]
    return _moving(
        name,
        lambda x: torch.rot90(x, turns, (-2, -1)),
        lambda x: torch.rot90(x, -turns, (-2, -1)),
        lambda x, progress: turned(x, 90.0 * turns * progress),
    )


def _inner_turn() -> View:
    def disc(x: Tensor) -> Tensor:
        size = x.shape[-1]
        axis = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
        return (axis[:, None] ** 2 + axis[None] ** 2) < (0.375 * size) ** 2

    def half(x: Tensor) -> Tensor:
        return torch.where(disc(x), torch.rot90(x, 2, (-2, -1)), x)

    return _moving("inner circle", half, half, lambda x, p: torch.where(disc(x), turned(x, 180.0 * p), x))


def _jigsaw(seed: int = 42, pieces: int = 4) -> View:
    order = torch.randperm(pieces * pieces, generator=torch.Generator().manual_seed(seed))

    def permute(x: Tensor, order: Tensor) -> Tensor:
        size = x.shape[-1] // pieces
        tiles = x.reshape(*x.shape[:-2], pieces, size, pieces, size).movedim(-2, -3).flatten(-4, -3)
        moved = tiles[..., order, :, :].reshape(*x.shape[:-2], pieces, pieces, size, size)
        return moved.movedim(-2, -3).reshape(x.shape)

    def apply(x: Tensor) -> Tensor:
        return permute(x, order)

    return _moving("jigsaw", apply, lambda x: permute(x, order.argsort()), _blend(apply))


_ALL = [
    _moving("identity", lambda x: x, lambda x: x, lambda x, progress: x),
    _moving("flip", lambda x: x.flip(-2), lambda x: x.flip(-2), lambda x, p: turned(x, 0, (1 - 2 * p, 1.0))),
    _moving(
        "mirror", lambda x: x.flip(-1), lambda x: x.flip(-1), lambda x, p: turned(x, 0, (1.0, 1 - 2 * p))
    ),
    *(_quarter(turns) for turns in (1, 2, 3)),
    _inner_turn(),
    _jigsaw(),
    View("negative", lambda x: -x, lambda x: -x, lambda x: x, lambda x, progress: (1 - 2 * progress) * x),
]
VIEWS: dict[str, View] = {view.name: view for view in _ALL}
"""Every view by its name."""
