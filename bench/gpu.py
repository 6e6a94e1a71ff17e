"""What a GPU does: DeepFloyd of true size beside diffusers' pipelines, digits, the embedded net, one cell.

    python bench/gpu.py [--minutes 8] [--json FILE]
    python bench/gpu.py --tiny          # the same path in a minute, on any machine: its figures mean nothing

Networks are random: they are as fast as trained ones. Stage I has DeepFloyd XL's shape, 4.3 billion
parameters, in half precision; stage II has a network of about its size, with residual blocks as converted.
Both pipelines call the same network, from the same noise, in batches of four, at γ = 7 (stage II: one
picture, γ = 4). Equality is measured in fp32: in half precision diffusers draws its noise in half too. A part
for which too few minutes are left is left out, and said to be.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDPMScheduler,
    IFImg2ImgPipeline,
    IFPipeline,
    IFSuperResolutionPipeline,
    UNet2DConditionModel,
    UNet2DModel,
)
from diffusers.models.attention_processor import AttnAddedKVProcessor2_0
from torch import Tensor

from noisebook.cells.contract import derive_seed
from noisebook.diffusion.denoiser import Denoiser, Enlarge
from noisebook.diffusion.estimates import guided
from noisebook.diffusion.sampling import draw_noise, finish, generators, reverse
from noisebook.diffusion.schedules import forward, leading
from noisebook.diffusion.thresholding import dynamic, static
from noisebook.models.deepfloyd import DeepFloyd
from noisebook.models.encoders import T5, TextEncoder
from noisebook.models.settings import Settings
from noisebook.models.unconditional import Unconditional
from noisebook.networks.mnist.denoiser import MnistDenoiser
from noisebook.networks.mnist.training import Recipe as DigitRecipe
from noisebook.networks.mnist.training import Training as DigitTraining
from noisebook.networks.mnist.unet import unet_for
from noisebook.networks.text.network import Shape
from noisebook.networks.text.training import Recipe, Training

SEEDS = [1, 2, 3, 4]
SCHEDULER = {
    "beta_schedule": "squaredcos_cap_v2",
    "variance_type": "learned_range",
    "thresholding": True,
    "dynamic_thresholding_ratio": 0.95,
}


@dataclass(frozen=True)
class Size:
    """How large all is. Of stage I and II: blocks' channels, layers of each, width of a text's states."""

    first: tuple[int, ...] = (704, 1408, 2112, 2816)
    second: tuple[int, ...] = (320, 640, 1280, 1280)
    layers: tuple[int, int] = (3, 4)
    text: int = 4096
    heads: int = 64
    groups: int = 32
    sides: tuple[int, int] = (64, 256)
    steps: int = 20
    digits: int = 64
    batches: int = 200
    dtype: torch.dtype = torch.float16


TINY = Size((32, 64), (32, 64), (1, 1), 24, 8, 8, (16, 32), 3, 8, 2, torch.float32)


class Words(TextEncoder):
    """Random states: the text encoder is not what is measured."""

    def __init__(self, width: int) -> None:
        super().__init__(None, "bench", Path(), Settings())
        self.width = width

    def missing(self, texts: Sequence[str]) -> list[str]:
        for text in texts:
            generator = torch.Generator().manual_seed(len(text))
            states = torch.randn(T5.tokens, self.width, generator=generator)
            self._known.setdefault(T5.prepare(text), {"embedding": states})
        return []


def unet(size: Size, stage: int, device: str) -> UNet2DConditionModel:
    """Random weights of a stage's shape, made on the device in its precision."""
    channels = size.first if stage == 1 else size.second
    attends = [(stage == 1 and k > 0) or k == len(channels) - 1 for k in range(len(channels))]
    second: dict[str, Any] = {"class_embed_type": "timestep", "resnet_skip_time_act": True}
    second |= dict.fromkeys(("resnet_out_scale_factor", "mid_block_scale_factor"), 2**0.5)
    kinds = [("SimpleCrossAttn{}Block2D" if each else "Resnet{}sampleBlock2D") for each in attends]
    torch.manual_seed(stage)
    torch.set_default_dtype(size.dtype)
    try:
        with torch.device(device):
            network = UNet2DConditionModel(
                sample_size=size.sides[stage - 1],
                in_channels=3 * stage,
                out_channels=6,
                block_out_channels=channels,
                layers_per_block=size.layers[stage - 1],
                down_block_types=[kind.format("Down") for kind in kinds],
                up_block_types=[kind.format("Up") for kind in reversed(kinds)],
                mid_block_type="UNetMidBlock2DSimpleCrossAttn",
                cross_attention_dim=channels[-1],
                encoder_hid_dim=size.text,
                attention_head_dim=size.heads,
                norm_num_groups=size.groups,
                addition_embed_type="text",
                addition_embed_type_num_heads=2 if size is TINY else 64,
                cross_attention_norm="group_norm",
                resnet_time_scale_shift="scale_shift",
                time_embedding_act_fn="gelu",
                act_fn="gelu",
                **(second if stage == 2 else {}),
            )
    finally:
        torch.set_default_dtype(torch.float32)
    network.set_attn_processor(AttnAddedKVProcessor2_0())
    return network.eval()


def stage_of(network: UNet2DConditionModel, folder: Path, words: Words, settings: Settings) -> DeepFloyd:
    """Our denoiser around a network that is in memory already."""
    network.save_config(folder / "unet")
    limit = 1.5 if network.config.in_channels == 3 else 1.0
    DDPMScheduler(**SCHEDULER, sample_max_value=limit).save_pretrained(folder / "scheduler")
    DDPMScheduler().save_pretrained(folder / "image_noising_scheduler")
    model = DeepFloyd(folder, words, settings)
    model.network._loaded = network
    return model


def theirs(model: DeepFloyd, kind: Any, **more: Any) -> Any:
    """One of diffusers' pipelines around our denoiser's network."""
    pipeline = kind(
        tokenizer=None,
        text_encoder=None,
        unet=model.network.loaded(),
        scheduler=DDPMScheduler.from_pretrained(model.folder / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
        **more,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def clock(device: str) -> float:
    """Seconds, once the device has done all that it was asked to do."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def measured(work: Callable[[], Tensor], device: str) -> tuple[Tensor, dict[str, float]]:
    """The pictures, pictures a second and the peak of GPU memory in GB."""
    cuda = device == "cuda"
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    began = clock(device)
    pictures = work().float().cpu()
    seconds = clock(device) - began
    peak = torch.cuda.max_memory_allocated() / 1e9 if cuda else 0.0
    return pictures, {"pictures/s": len(pictures) / seconds, "GB": peak}


def tasks(
    model: DeepFloyd, small: Tensor, steps: int, seeds: Sequence[int]
) -> Iterator[tuple[str, Callable[[], Tensor], Callable[[], Tensor]]]:
    """Name, our way and diffusers' way of each task of a stage."""
    settings, count = model.network.settings, len(seeds)
    side, shape = model.image_size, (3, model.image_size, model.image_size)
    gamma = 4.0 if model.enlarges else 7.0
    model.text.missing(["a cat", ""])
    states = (
        model.text[text].repeat(count, 1, 1).to(settings.device, settings.dtype) for text in ("a cat", "")
    )
    asked: dict[str, Any] = dict(zip(("prompt_embeds", "negative_prompt_embeds"), states, strict=True))
    asked |= {"guidance_scale": gamma, "output_type": "pt", "num_inference_steps": steps}
    threshold = static if model.enlarges else dynamic()

    def ours(start: int, first: Callable[[Any], Tensor], prompts: Callable[[Any], list[Any]]) -> Tensor:
        each = generators(list(seeds))
        x = first(each)
        estimate = guided(model, prompts(each), gamma)
        times = leading(steps)[start:]
        return finish(reverse(x, times, model.alphas_cumprod, estimate, each, threshold=threshold))

    def other(kind: Any, pipeline: Any = None, **more: Any) -> Tensor:
        pipeline = pipeline or theirs(model, kind)
        found: Tensor = pipeline(**asked, **more, generator=generators(list(seeds))).images
        return found

    def noise(each: Any) -> Tensor:
        return draw_noise(each, shape)

    def texts(each: Any) -> list[Any]:
        return ["a cat"] * count

    def enlarge(each: Any) -> list[Any]:
        return [Enlarge("a cat", small[0], more, 250) for more in draw_noise(each, shape)]

    if model.enlarges:
        noising = DDPMScheduler.from_pretrained(model.folder / "image_noising_scheduler")
        large = theirs(model, IFSuperResolutionPipeline, image_noising_scheduler=noising)
        yield (
            "stage II",
            lambda: ours(0, noise, enlarge),
            lambda: other(None, large, image=small.repeat(count, 1, 1, 1), noise_level=250),
        )
        return
    yield "text to image", lambda: ours(0, noise, texts), lambda: other(IFPipeline)
    original = torch.nn.functional.interpolate(small, (side, side))
    start = steps - int(steps * 0.7)
    alpha = float(model.alphas_cumprod[leading(steps)[start]])
    yield (
        "SDEdit",
        lambda: ours(start, lambda each: forward(original, alpha, noise(each)), texts),
        lambda: other(IFImg2ImgPipeline, image=original.repeat(count, 1, 1, 1), strength=0.7),
    )


def deepfloyd(size: Size, stage: int, settings: Settings, left: Callable[[], float]) -> dict[str, Any]:
    """Rates and memory of a stage's tasks by both ways, and how far apart they are in fp32."""
    network = unet(size, stage, settings.device)
    small = torch.rand(1, 3, size.sides[0], size.sides[0], generator=generators([9])[0]) * 2 - 1
    found: dict[str, Any] = {"parameters": sum(value.numel() for value in network.parameters())}
    with tempfile.TemporaryDirectory() as place:
        model = stage_of(network, Path(place), Words(size.text), replace(settings, dtype=size.dtype))
        seeds = SEEDS if stage == 1 else SEEDS[:1]
        for name, our_way, their_way in tasks(model, small, size.steps, seeds):
            next(iter(tasks(model, small, 2, seeds)))[1]()  # warm
            found[name] = {"ours": measured(our_way, settings.device)[1]}
            found[name]["diffusers"] = measured(their_way, settings.device)[1]
        room = torch.cuda.mem_get_info()[0] if settings.device == "cuda" else 1e12
        if left() < 60 or room < 4 * found["parameters"]:
            return found | {"difference": "not measured: no time or no room for fp32"}
        model.network.settings = replace(settings, dtype=torch.float32)
        network.float()
        for name, our_way, their_way in tasks(model, small, 5, seeds[:1]):
            found[name]["difference"] = float((our_way() - their_way().float().cpu()).abs().max())
    return found


class Moved(Denoiser):
    """A denoiser of digits whose network is on another device than its pictures."""

    def __init__(self, denoiser: MnistDenoiser, device: str) -> None:
        self.denoiser, self.device = denoiser, device
        self.image_size, self.alphas_cumprod = denoiser.image_size, denoiser.alphas_cumprod
        self.timesteps = denoiser.timesteps
        denoiser.network.to(device)

    def embed(self, prompts: Sequence[Any]) -> Tensor:
        rows = self.denoiser.embed(prompts)
        assert rows is not None
        return rows.to(self.device)

    def predict(self, x_t: Tensor, t: int, conditioning: Tensor) -> tuple[Tensor, None]:
        time_now = torch.full((len(x_t),), t / self.timesteps, device=self.device)
        return self.denoiser.network(x_t.to(self.device), time_now, conditioning).cpu(), None


def mnist(size: Size, settings: Settings) -> dict[str, Any]:
    """Digits a second, in training (batches of 128) and in sampling (100 at once, γ = 5, 300 steps)."""
    from accelerate import Accelerator

    recipe = DigitRecipe(
        objective="class",
        width=size.digits,
        batch=128,
        epochs=1,
        learning_rate=1e-3,
        decay=0.1,
        average=0.999,
    )
    digits = torch.randint(0, 256, (1280, 28, 28), dtype=torch.uint8, generator=generators([1])[0])
    run = DigitTraining(
        recipe, digits, torch.arange(1280) % 10, lambda *purpose: derive_seed(1, *purpose), Accelerator()
    )
    run.train_step()
    began = clock(settings.device)
    for _ in range(size.batches):
        run.train_step()
    training = 128 * size.batches / (clock(settings.device) - began)
    network = unet_for("class", size.digits).eval().requires_grad_(False)
    schedule = (recipe.timesteps, recipe.beta_first, recipe.beta_last)
    denoiser = Moved(MnistDenoiser(network, *schedule), settings.device)
    times = list(range(recipe.timesteps, 0, -(100 if size is TINY else 1)))
    each = generators(list(range(100)))
    estimate = guided(denoiser, [k % 10 for k in range(100)], 5.0)
    x = draw_noise(each, (1, 28, 28))
    began = time.perf_counter()
    finish(reverse(x, times, denoiser.alphas_cumprod, estimate, each, threshold=lambda x_0: x_0))
    return {"training, digits/s": training, "sampling, digits/s": 100 / (time.perf_counter() - began)}


def embedded(size: Size) -> dict[str, Any]:
    """Steps a second of the embedded net's training. It trains on the processor: that is what is measured."""

    class Random:
        """Pictures as its library would draw them."""

        def draw(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
            pictures = torch.rand(count, 3, 64, 64, generator=generator) * 2 - 1
            return pictures, torch.zeros(count, dtype=torch.long)

    batch = 2 if size is TINY else 64
    run = Training(Recipe(shape=Shape(), batch=batch), lambda *purpose: derive_seed(1, *purpose))
    tokens = torch.randn(1, 16, 384)
    run.train_step(Random(), tokens, 1e-3)
    began, steps = time.perf_counter(), 1 if size is TINY else 5
    for _ in range(steps):
        run.train_step(Random(), tokens, 1e-3)
    return {f"steps/s of {batch} pictures, on the processor": steps / (time.perf_counter() - began)}


def twice(size: Size, settings: Settings) -> dict[str, Any]:
    """One picture from the same noise on the processor and on the device, in fp32."""
    torch.manual_seed(4)
    blocks = {"down_block_types": ("DownBlock2D", "AttnDownBlock2D"), "block_out_channels": (32, 64)}
    ups = ("AttnUpBlock2D", "UpBlock2D")
    network = UNet2DModel(sample_size=32, norm_num_groups=8, up_block_types=ups, **blocks)
    with tempfile.TemporaryDirectory() as place:
        network.save_pretrained(Path(place))
        DDPMScheduler().save_config(place)
        pictures = []
        for device in ("cpu", settings.device):
            model = Unconditional(Path(place), Settings(device))
            each = generators([5])
            x, times = draw_noise(each, (3, 32, 32)), leading(size.steps)
            states = reverse(x, times, model.alphas_cumprod, guided(model, [""]), each, threshold=static)
            pictures.append(finish(states))
    difference = (pictures[0] - pictures[1]).abs() * 127.5
    return {"largest difference, grey levels of 255": float(difference.max())}


def attempt(part: Callable[[], dict[str, Any]]) -> dict[str, Any] | str:
    """What a part found, or why it could not: one that fails costs no other."""
    try:
        return part()
    except (ArithmeticError, MemoryError) as error:
        return f"failed: {error}"
    except Exception as error:
        return f"failed: {type(error).__name__}: {error}"


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Measure part by part within the minutes, and print JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tiny", action="store_true", help="small networks, on any machine")
    parser.add_argument("--minutes", type=float, default=8.0, help="after which no part begins")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    given = parser.parse_args(arguments)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu" and not given.tiny:
        print("no GPU here; --tiny goes the same way on the processor")
        return {}
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    size, settings = TINY if given.tiny else Size(), Settings(device)
    card = torch.cuda.get_device_name() if device == "cuda" else "none: a processor"
    found: dict[str, Any] = {"card": card, "torch": torch.__version__, "tiny": given.tiny}
    end = time.monotonic() + 60 * given.minutes

    def left() -> float:
        return end - time.monotonic()

    parts: dict[str, tuple[float, Callable[[], dict[str, Any]]]] = {
        "stage I": (0, lambda: deepfloyd(size, 1, settings, left)),
        "one cell on both": (30, lambda: twice(size, settings)),
        "MNIST": (60, lambda: mnist(size, settings)),
        "stage II": (120, lambda: deepfloyd(size, 2, settings, left)),
        "embedded net": (30, lambda: embedded(size)),
    }
    for name, (needs, part) in parts.items():
        began = time.monotonic()
        found[name] = attempt(part) if left() > needs else "left out: no time"
        if device == "cuda":
            torch.cuda.empty_cache()
        print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    print(json.dumps(found, indent=1))
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")
    return found


if __name__ == "__main__":
    main()
