"""One training loop for all networks: denoisers, and DDPM and flow with time or with time and class.

Whatever is random in a step comes from a seed of that step alone. A run can therefore be continued from its
weights and the optimizer's averages, and ends bit for bit where the unbroken run does (on the same kind of
processor, with the same number of threads).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from noisebook.diffusion import flow
from noisebook.networks.mnist.schedule import alphas_cumprod
from noisebook.networks.mnist.unet import Objective, UNet, unet_for
from noisebook.networks.precision import DTYPES, accelerate

if TYPE_CHECKING:
    from accelerate import Accelerator

Seed = Callable[..., int]
"""From what a draw is for, such as ``("step", 7)``, to its seed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is learnt, and how.

    Attributes:
        objective: ``denoise`` learns the clean digit x from x + σε; ``time`` learns ε from x_t and t/T;
            ``class`` is conditioned on the class as well. ``flow_time`` and ``flow_class`` learn the velocity
            of :mod:`noisebook.diffusion.flow` from x_t and t in [0, 1]; ``pure_noise`` learns the clean
            digit from noise that has nothing of it.
        width: channels at full resolution, D.
        batch: digits in a step.
        epochs: passes over the data, over which the learning rate falls.
        learning_rate: Adam's, in the first epoch.
        decay: what the learning rate is multiplied by over all epochs, in one step after each.
        sigma: σ, a standard deviation, for ``denoise``.
        timesteps: T.
        beta_first, beta_last: β_1 and β_T of the linear schedule.
        drop: probability with which a digit's class is dropped.
        average: decay of the exponential moving average of the weights; 0 for none.
        precision: what the network computes in while training. With ``bf16`` that is autocast: weights,
            their averages, the loss and Adam stay fp32, and so does :meth:`Training.test`.
    """

    objective: Objective
    width: int
    batch: int
    epochs: int
    learning_rate: float
    decay: float = 1.0
    sigma: float = 0.5
    timesteps: int = 300
    beta_first: float = 1e-4
    beta_last: float = 0.02
    drop: float = 0.1
    average: float = 0.0
    precision: Literal["fp32", "bf16"] = "fp32"

    def network(self) -> UNet:
        """The network, its weights drawn from torch's global generator."""
        return unet_for(self.objective, self.width)

    def learning_rate_in(self, epoch: int) -> float:
        """Adam's learning rate in an epoch, counted from 0: ExponentialLR(decay^(1/epochs))."""
        return self.learning_rate * float(self.decay ** (epoch / self.epochs))


def draw(
    recipe: Recipe, digits: Tensor, labels: Tensor, generator: torch.Generator
) -> tuple[list[Tensor], Tensor]:
    """The network's inputs (x_t, then t/T or t, then one-hot classes, as far as it has them), and its target.

    Args:
        digits: (N, 1, 28, 28), in [0, 1]; on the CPU, as all that is drawn here.
        labels: (N,), 0 … 9.
        generator: source of t, of the noise and of which classes are dropped, in this order.
    """
    n = len(digits)
    if recipe.objective == "pure_noise":
        return [torch.randn(digits.shape, generator=generator)], digits
    if recipe.objective == "denoise":
        return [digits + recipe.sigma * torch.randn(digits.shape, generator=generator)], digits
    if recipe.objective in ("flow_time", "flow_class"):
        t = torch.rand(n, generator=generator)
        noise = torch.randn(digits.shape, generator=generator)
        inputs, target = [flow.path(digits, noise, t), t], flow.target(digits, noise)
    else:
        t = torch.randint(1, recipe.timesteps + 1, (n,), generator=generator)
        noise = target = torch.randn(digits.shape, generator=generator)
        kept = alphas_cumprod(recipe.timesteps, recipe.beta_first, recipe.beta_last)[t].view(-1, 1, 1, 1)
        inputs = [kept.sqrt().float() * digits + (1 - kept).sqrt().float() * noise, t / recipe.timesteps]
    if recipe.objective in ("class", "flow_class"):
        shown = torch.rand((n, 1), generator=generator) >= recipe.drop
        inputs.append(nn.functional.one_hot(labels.long(), 10) * shown.float())
    return inputs, target


class Training:
    """A training run that can be left after any step and taken up again.

    Args:
        recipe: what to train.
        digits: the training set, uint8, (N, 28, 28).
        labels: (N,), 0 … 9.
        seed: gives the seed of each draw.
        accelerator: places network and batches; several processes share each batch between them, and
            what a step draws does not depend on how many they are.
    """

    def __init__(
        self, recipe: Recipe, digits: Tensor, labels: Tensor, seed: Seed, accelerator: Accelerator
    ) -> None:
        if accelerator.mixed_precision == "fp16":
            raise ValueError("fp16 cannot be resumed exactly (its loss scale is not kept): use bf16")
        self.recipe, self.digits, self.labels = recipe, digits, labels
        self.seed, self.accelerator = seed, accelerator
        with torch.random.fork_rng():
            torch.manual_seed(seed("weights"))
            network = recipe.network()
        self.network = network.to(accelerator.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.kernels = accelerate(self.network, DTYPES[recipe.precision])
        self.optimizer = torch.optim.Adam(self.network.parameters(), recipe.learning_rate, fused=True)
        self.prepared: tuple[Any, Any] = accelerator.prepare(self.network, self.optimizer)
        self.average: dict[str, Tensor] = {}
        if recipe.average:
            self.average = {name: value.clone() for name, value in self.network.state_dict().items()}
        self.train_loss: list[float] = []
        self.test_loss: list[float] = []
        self.seconds = 0.0
        self._shuffled = -1

    @property
    def step(self) -> int:
        """Steps done."""
        return len(self.train_loss)

    @property
    def steps_per_epoch(self) -> int:
        """Steps in an epoch; the last one's batch may be smaller."""
        return -(-len(self.digits) // self.recipe.batch)

    def train_step(self) -> float:
        """One step of Adam; returns its loss, the mean square error."""
        start = monotonic()
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if epoch != self._shuffled:
            self._order = torch.randperm(len(self.digits), generator=self._generator("shuffle", epoch))
            self._shuffled = epoch
        chosen = self._order[position * self.recipe.batch :][: self.recipe.batch]
        inputs, target = draw(
            self.recipe,
            self.digits[chosen][:, None].float() / 255,
            self.labels[chosen],
            self._generator("step", self.step),
        )
        rank, ranks = self.accelerator.process_index, self.accelerator.num_processes
        shares = [tensor[rank::ranks].to(self.accelerator.device) for tensor in [*inputs, target]]
        for group in self.optimizer.param_groups:
            group["lr"] = self.recipe.learning_rate_in(epoch)
        model, optimizer = self.prepared
        model.train()
        optimizer.zero_grad()
        # Gradients are averaged over processes: unequal shares of a last batch are weighted back.
        weight = len(shares[-1]) * ranks / len(target)
        # Not accelerate's own mixed precision: that is one for the whole process, and no part of a recipe.
        bf16 = self.recipe.precision == "bf16"
        with torch.autocast(self.accelerator.device.type, torch.bfloat16, enabled=bf16):
            answer = model(*shares[:-1])
        loss = nn.functional.mse_loss(answer.float(), shares[-1]) * weight
        self.accelerator.backward(loss)
        optimizer.step()
        self._update_average()
        self.train_loss.append(float(self.accelerator.reduce(loss.detach(), "mean")))
        self.seconds += monotonic() - start
        return self.train_loss[-1]

    @torch.no_grad()
    def test(self, digits: Tensor, labels: Tensor, batch: int = 500) -> float:
        """The mean square error on digits not trained on, with the same noise at every call."""
        start = monotonic()
        inputs, target = draw(self.recipe, digits[:, None].float() / 255, labels, self._generator("test"))
        self.network.eval()
        total = 0.0
        for part in zip(*(torch.split(tensor, batch) for tensor in [*inputs, target]), strict=True):
            *shown, answer = (tensor.to(self.accelerator.device) for tensor in part)
            total += float(nn.functional.mse_loss(self.network(*shown), answer, reduction="sum"))
        self.test_loss.append(total / target.numel())
        self.seconds += monotonic() - start
        return self.test_loss[-1]

    def state(self) -> dict[str, Tensor]:
        """Everything that :meth:`restore` needs, fp32, on the CPU."""
        tensors = {f"weights/{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"average/{name}": value for name, value in self.average.items()}
        for name, parameter in self.network.named_parameters():
            if self.step:
                tensors[f"first_moment/{name}"] = self.optimizer.state[parameter]["exp_avg"]
                tensors[f"second_moment/{name}"] = self.optimizer.state[parameter]["exp_avg_sq"]
        tensors["train_loss"] = torch.tensor(self.train_loss, dtype=torch.float64)
        tensors["test_loss"] = torch.tensor(self.test_loss, dtype=torch.float64)
        tensors["seconds"] = torch.tensor(self.seconds, dtype=torch.float64)
        return {name: value.detach().cpu().contiguous() for name, value in tensors.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Take up a run where :meth:`state` left it."""
        self.train_loss = state["train_loss"].tolist()
        self.test_loss = state["test_loss"].tolist()
        self.seconds = float(state["seconds"])
        # Copied into tensors that stand, so that the memory format, and with it every rounding, is the same.
        for name, value in self.network.state_dict().items():
            value.copy_(state[f"weights/{name}"])
        for name, value in self.average.items():
            value.copy_(state[f"average/{name}"])
        for name, parameter in self.network.named_parameters():
            if self.step:
                self.optimizer.state[parameter] = {
                    "step": torch.tensor(float(self.step), device=parameter.device),
                    "exp_avg": torch.empty_like(parameter).copy_(state[f"first_moment/{name}"]),
                    "exp_avg_sq": torch.empty_like(parameter).copy_(state[f"second_moment/{name}"]),
                }

    def _generator(self, *purpose: str | int) -> torch.Generator:
        return torch.Generator().manual_seed(self.seed(*purpose))

    @torch.no_grad()
    def _update_average(self) -> None:
        # Young averages follow closely, or the first, random weights would linger.
        decay = min(self.recipe.average, (1 + self.step) / (10 + self.step))
        for name, value in self.network.state_dict().items() if self.average else ():
            if value.is_floating_point():
                self.average[name].lerp_(value, 1 - decay)
            else:
                self.average[name].copy_(value)
