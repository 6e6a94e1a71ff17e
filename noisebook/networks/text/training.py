"""Training of the embedded network, step by step.

Whatever is random in a step comes from a seed of that step alone, so that a run can be left after any step
and taken up again, and ends bit for bit where the unbroken run does (on the same kind of processor, with the
same number of threads).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from noisebook.diffusion.schedules import squared_cosine
from noisebook.networks.precision import accelerate, autocast, fastest_dtype
from noisebook.networks.text.muon import Muon
from noisebook.networks.text.network import Network, Shape

Seed = Callable[..., int]
"""From what a draw is for, such as ``("step", 7)``, to its seed."""

BANDS = 10
"""Noise levels over which losses are logged: t in 0 … 99, 100 … 199, and so on."""
STEPS_LOGGED = 100
"""Steps of which one row of losses is kept."""
WARM_UP = 200
"""Steps over which the learning rate rises from 0."""
LARGEST_GRADIENT = 1.0
"""Norm at which the gradient is cut."""
LARGEST_AUGMENTATION = 500
"""Largest timestep of the noise on the small picture, stage II."""


class Pictures(Protocol):
    """A source of captioned pictures, as :class:`noisebook.models.captions.CaptionedPictures`."""

    def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures (count, 3, S, S) in [-1, 1], and the places of their captions (count,)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How the network learns, whatever the pictures.

    Attributes:
        shape: of the network.
        batch: pictures in a step.
        optimizer: ``adam`` is AdamW for all; ``muon`` is Muon for matrices and kernels inside.
        weight_decay: of matrices and kernels, times the learning rate.
        drop: probability with which a caption is dropped: "" in its place.
        weighting: of the squared error of v, by SNR = α²/σ²: ``velocity`` 1; ``truncated``
            min(1, γ/(1+SNR)), the error of x̂_0 with a weight of 1 + SNR up to γ (compare Salimans and Ho,
            2022); ``min-snr`` min(SNR, γ)/(1+SNR) (Hang and others, 2023); ``sigmoid``
            SNR/(1+SNR) · γ/(γ+SNR) (Hoogeboom and others, 2024, with bias ln γ).
        gamma: γ of the weighting.
        average: decay of the exponential moving average of the weights.
    """

    shape: Shape
    batch: int
    optimizer: Literal["adam", "muon"] = "adam"
    weight_decay: float = 0.01
    drop: float = 0.1
    weighting: Literal["velocity", "truncated", "min-snr", "sigmoid"] = "truncated"
    gamma: float = 5.0
    average: float = 0.9995


def weight(kind: str, gamma: float, alphas: Tensor) -> Tensor:
    """The weight of the squared error of v at ᾱ: see :class:`Recipe`."""
    snr = alphas / (1 - alphas)
    if kind == "velocity":
        return torch.ones_like(snr)
    if kind == "truncated":
        return (gamma / (1 + snr)).clamp(max=1)
    if kind == "min-snr":
        return snr.clamp(max=gamma) / (1 + snr)
    return alphas * gamma / (gamma + snr)


def log_noise(alphas: Tensor) -> Tensor:
    """ln(σ/α) of ᾱ, float32."""
    return (0.5 * torch.log((1 - alphas) / alphas)).float()


def enlarged(small: Tensor, size: int) -> Tensor:
    """Small pictures as stage II sees them, before noise: bilinear, corners on corners."""
    return functional.interpolate(small, (size, size), mode="bilinear", align_corners=True)


@dataclass(frozen=True, slots=True)
class Batch:
    """What the network is trained on in a step: its inputs, and v, its target."""

    x: Tensor
    t: Tensor
    captions: Tensor
    target: Tensor
    low_res: Tensor | None = None
    level: Tensor | None = None


def draw_batch(recipe: Recipe, source: Pictures, count: int, generator: torch.Generator) -> Batch:
    """Draw pictures and noise. The timesteps of a batch are spread evenly, so that no step lacks a level."""
    alphas = squared_cosine()
    pictures, captions = source.draw(count, generator)
    start, dropped = torch.rand((), generator=generator), torch.rand(count, generator=generator)
    captions = torch.where(dropped < recipe.drop, 0, captions)
    spread = (start + torch.arange(count) / count) % 1
    t = (spread * len(alphas)).long().clamp(max=len(alphas) - 1)
    t = t[torch.randperm(count, generator=generator)]
    noise = torch.randn(pictures.shape, generator=generator)
    kept = alphas[t].view(-1, 1, 1, 1)
    alpha, sigma = kept.sqrt().float(), (1 - kept).sqrt().float()
    x, target = alpha * pictures + sigma * noise, alpha * noise - sigma * pictures
    if not recipe.shape.enlarges:
        return Batch(x, t, captions, target)
    size = pictures.shape[-1]
    level = torch.randint(0, LARGEST_AUGMENTATION + 1, (count,), generator=generator)
    kept = alphas[level].view(-1, 1, 1, 1)
    low_res = enlarged(functional.avg_pool2d(pictures, 4), size) * kept.sqrt().float()
    low_res += (1 - kept).sqrt().float() * torch.randn(pictures.shape, generator=generator)
    return Batch(x, t, captions, target, low_res, level)


class Training:
    """A training run that can be left after any step and taken up again.

    Attributes:
        seen: pictures so far.
        loss: of every step.
        bands: a row for every STEPS_LOGGED steps: pictures seen, then the mean square error of v in each of
            BANDS noise levels.
    """

    def __init__(self, recipe: Recipe, seed: Seed) -> None:
        self.recipe, self.seed = recipe, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed("weights"))
            network = Network(recipe.shape)
        self.network = network.to(memory_format=torch.channels_last)
        self.dtype = fastest_dtype()
        self.kernels = accelerate(self.network, self.dtype)
        named = dict(self.network.named_parameters())
        # What comes in, goes out or modulates the blocks is no map between like spaces: not Muon's.
        inside = {
            name
            for name, value in named.items()
            if recipe.optimizer == "muon"
            and value.ndim > 1
            and name.startswith("levels")
            and ".modulation." not in name
        }
        self._inside = [named[name] for name in sorted(inside)]
        decayed = [value for name, value in named.items() if name not in inside and value.ndim > 1]
        plain = [value for name, value in named.items() if value.ndim <= 1]
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [
                    {"params": decayed, "weight_decay": recipe.weight_decay},
                    {"params": plain, "weight_decay": 0.0},
                ],
                lr=0.0,
                betas=(0.9, 0.99),
                fused=True,
            )
        ]
        if self._inside:
            self.optimizers.append(Muon(self._inside, 0.0, recipe.weight_decay))
        self.average = {name: value.detach().clone() for name, value in named.items()}
        self.seen, self.seconds = 0, 0.0
        self.loss: list[float] = []
        self.bands: list[list[float]] = []
        self._sums = torch.zeros(2, BANDS, dtype=torch.float64)
        self._used, self._since = 0, 0
        """Parameters in use, and the step since which they are."""

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.loss)

    def train_step(self, source: Pictures, tokens: Tensor, learning_rate: float) -> float:
        """One step; returns its loss.

        Args:
            tokens: (captions, n, 384), the text encoder's states of each caption of the source.
        """
        begun = monotonic()
        recipe = self.recipe
        batch = draw_batch(recipe, source, recipe.batch, self._generator("step", self.step))
        rate = learning_rate * min(1.0, (self.step + 1) / WARM_UP)
        for optimizer in self.optimizers:
            optimizer.zero_grad()
            for group in optimizer.param_groups:
                group["lr"] = rate
        errors = self._errors(self.network, batch, tokens)
        weights = weight(recipe.weighting, recipe.gamma, squared_cosine()[batch.t]).float()
        loss = (errors * weights).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        for optimizer in self.optimizers:
            optimizer.step()
        self.loss.append(float(loss.detach()))
        self.seen += recipe.batch
        self._update_average()
        self._log(batch.t, errors.detach())
        self.seconds += monotonic() - begun
        return self.loss[-1]

    @torch.no_grad()
    def test(self, source: Pictures, tokens: Tensor, count: int) -> list[float]:
        """The averaged network's mean square error of v in each of BANDS noise levels.

        The same pictures and the same noise at every call.
        """
        network = self.averaged()
        sums = torch.zeros(2, BANDS, dtype=torch.float64)
        for start in range(0, count, self.recipe.batch):
            size = min(self.recipe.batch, count - start)
            batch = draw_batch(self.recipe, source, size, self._generator("judge", start))
            _add(sums, batch.t, self._errors(network, batch, tokens))
        return (sums[0] / sums[1].clamp(min=1)).tolist()

    def averaged(self) -> Network:
        """The network with the moving average of its weights, for inference."""
        network = Network(self.recipe.shape)
        network.load_state_dict(self.average)
        network.to(memory_format=torch.channels_last)
        return network.eval().requires_grad_(False)

    def _errors(self, network: Network, batch: Batch, tokens: Tensor) -> Tensor:
        """Mean square error of v of each picture, (B,)."""
        alphas = squared_cosine()
        level = None if batch.level is None else log_noise(alphas[batch.level])
        with autocast(self.dtype):
            v = network(
                batch.x,
                log_noise(alphas[batch.t]),
                tokens[batch.captions].float(),
                batch.low_res,
                level,
            )
        errors: Tensor = (v.float() - batch.target).square().mean((1, 2, 3))
        return errors

    def state(self) -> dict[str, Tensor]:
        """Everything that :meth:`restore` needs."""
        tensors: dict[str, Tensor] = {
            f"weights/{name}": value for name, value in self.network.named_parameters()
        }
        tensors |= {f"average/{name}": value for name, value in self.average.items()}
        for name, parameter in self.network.named_parameters():
            for optimizer in self.optimizers:
                for key, value in optimizer.state.get(parameter, {}).items():
                    tensors[f"optimizer/{key}/{name}"] = value
        tensors["seen"] = torch.tensor(self.seen)
        tensors["seconds"] = torch.tensor(self.seconds, dtype=torch.float64)
        tensors["loss"] = torch.tensor(self.loss, dtype=torch.float64)
        tensors["bands"] = torch.tensor(self.bands, dtype=torch.float64).reshape(-1, BANDS + 1)
        tensors["sums"] = self._sums
        tensors["used"] = torch.tensor([self._used, self._since])
        return {name: value.detach().contiguous() for name, value in tensors.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up a run where :meth:`state` left it."""
        self.seen, self.seconds = int(state["seen"]), float(state["seconds"])
        self.loss, self.bands = state["loss"].tolist(), state["bands"].tolist()
        self._sums = state["sums"].clone()
        self._used, self._since = state["used"].tolist()
        inside = {id(parameter) for parameter in self._inside}
        # Copied into tensors that stand, so that the memory format, and with it every rounding, is the same.
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(state[f"weights/{name}"])
                self.average[name].copy_(state[f"average/{name}"])
                optimizer = self.optimizers[1 if id(parameter) in inside else 0]
                for key in ("step", "exp_avg", "exp_avg_sq", "momentum"):
                    kept = state.get(f"optimizer/{key}/{name}")
                    if kept is not None:
                        place = torch.empty_like(parameter) if kept.ndim else torch.empty(())
                        optimizer.state[parameter][key] = place.copy_(kept)

    def _generator(self, *purpose: str | int) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed(*purpose))

    @torch.no_grad()
    def _update_average(self) -> None:
        used = sum(value.grad is not None for value in self.network.parameters())
        if used != self._used:  # a phase with pictures of another size has begun
            self._used, self._since = used, self.step - 1
        # Young averages follow closely, or the first, random weights would linger.
        age = self.step - self._since
        decay = min(self.recipe.average, (1 + age) / (10 + age))
        for name, value in self.network.named_parameters():
            self.average[name].lerp_(value, 1 - decay)

    def _log(self, t: Tensor, errors: Tensor) -> None:
        _add(self._sums, t, errors)
        if self.step % STEPS_LOGGED == 0:
            self.bands.append([float(self.seen), *(self._sums[0] / self._sums[1].clamp(min=1)).tolist()])
            self._sums.zero_()


def _add(sums: Tensor, t: Tensor, errors: Tensor) -> None:
    """Add errors, and how many they are, to their noise levels."""
    band = t * BANDS // len(squared_cosine())
    sums[0].index_add_(0, band, errors.double())
    sums[1].index_add_(0, band, torch.ones(len(band), dtype=torch.float64))
