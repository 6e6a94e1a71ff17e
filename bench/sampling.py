"""Our sampling against diffusers' pipelines: the same weights, steps and noise, in one run.

    python bench/sampling.py [--stride 30] [--threads 2]

A random network of the embedded network's size, in diffusers' own classes and DeepFloyd's block types, draws
the six-cell SDEdit figure and the five-cell guided figure twice: with IFImg2ImgPipeline and IFPipeline, as
their users call them (an img2img call has one strength, so six cells are six calls), and with one reverse
process for each figure, which cells join at their own timestep. Reported for each: pictures a second of wall
clock, processor seconds a picture (which mean more on a busy machine), rows through the network, peak memory
so far, and how far the pictures are apart: the largest difference in fp32, and, where the processor has
bfloat16, the speed of that and its PSNR against fp32. ``layers`` says what each of our layers brings:
processor milliseconds a row of one network call, at few rows and at many. ``flow`` draws digits
along the velocity of a random network, by diffusers' FlowMatchEulerDiscreteScheduler and by our loop.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    DDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    IFImg2ImgPipeline,
    IFPipeline,
    UNet2DConditionModel,
)
from noisebook.generators._joining import joining
from noisebook.generators._metrics import psnr
from torch import Tensor

from noisebook.diffusion.denoiser import Denoiser
from noisebook.diffusion.estimates import guided
from noisebook.diffusion.flow import integrate, times
from noisebook.diffusion.guidance import ClassifierFreeGuidance
from noisebook.diffusion.sampling import draw_noise, finish, generators, reverse
from noisebook.diffusion.schedules import forward, strided
from noisebook.kernels.deepfloyd_unet import PARTS, accelerate
from noisebook.models.deepfloyd import DeepFloyd
from noisebook.models.encoders import T5, TextEncoder
from noisebook.models.settings import Settings
from noisebook.networks.mnist.denoiser import load_unet
from noisebook.networks.mnist.unet import unet_for
from noisebook.networks.mnist.velocity import velocity_field

WIDTH, TOKENS, GAMMA = 384, 16, 7.0
STARTS = [1, 3, 5, 7, 10, 20]
SEEDS = [11, 12, 13, 14, 15]


class Embeddings(TextEncoder):
    """MiniLM's shape, random: the text encoder is not what is measured."""

    def missing(self, texts: Any) -> list[str]:
        for text in texts:
            generator = torch.Generator().manual_seed(len(text))
            embedding = torch.randn(TOKENS, WIDTH, generator=generator)
            self._known.setdefault(T5.prepare(text), {"embedding": embedding})
        return []


def make(folder: Path) -> None:
    """The network, with its scheduler."""
    torch.manual_seed(0)
    cross = "SimpleCrossAttn{}Block2D"
    unet = UNet2DConditionModel(
        sample_size=64,
        layers_per_block=2,
        block_out_channels=[32, 64, 128, 192],
        down_block_types=["ResnetDownsampleBlock2D"] + [cross.format("Down")] * 3,
        mid_block_type="UNetMidBlock2DSimpleCrossAttn",
        up_block_types=[cross.format("Up")] * 3 + ["ResnetUpsampleBlock2D"],
        in_channels=3,
        out_channels=6,
        cross_attention_dim=128,
        encoder_hid_dim=WIDTH,
        attention_head_dim=32,
        addition_embed_type="text",
        addition_embed_type_num_heads=6,
        cross_attention_norm="group_norm",
        resnet_time_scale_shift="scale_shift",
        time_embedding_act_fn="gelu",
        act_fn="gelu",
    )
    with torch.no_grad():
        # A random network amplifies its own rounding from step to step, as no trained one does.
        unet.conv_out.weight *= 0.25
    unet.save_pretrained(folder / "unet")
    DDPMScheduler(
        beta_schedule="squaredcos_cap_v2",
        variance_type="learned_range",
        thresholding=True,
        dynamic_thresholding_ratio=0.95,
        sample_max_value=1.5,
    ).save_pretrained(folder / "scheduler")


class Counted(Denoiser):
    """A denoiser that counts the rows of its calls."""

    def __init__(self, model: DeepFloyd) -> None:
        self.model, self.rows, self.calls = model, 0, 0
        self.image_size, self.alphas_cumprod = model.image_size, model.alphas_cumprod

    def embed(self, prompts: Any) -> Any:
        return self.model.embed(prompts)

    def predict(self, x_t: Tensor, t: int, conditioning: Any) -> tuple[Tensor, Tensor | None]:
        self.rows, self.calls = self.rows + len(x_t), self.calls + 1
        return self.model.predict(x_t, t, conditioning)


def stock(folder: Path) -> Any:
    """The network with diffusers' own layers."""
    return UNet2DConditionModel.from_pretrained(folder / "unet").eval()


def layers(folder: Path, half: bool) -> dict[str, dict[str, float]]:
    """Processor milliseconds a row of one network call, by what is changed; the best of five, in turn."""
    nets: dict[str, tuple[Any, torch.dtype]] = {"diffusers": (stock(folder), torch.float32)}
    changes = {
        "channels_last": (),
        "+ Winograd": ("convolution",),
        "+ one-pass normalization": ("convolution", "block"),
        "+ attention": PARTS,
    }
    for name, parts in changes.items():
        net = stock(folder)
        accelerate(net, parts)
        nets[name] = net, torch.float32
    if half:
        for name, parts in (("diffusers in bfloat16", None), ("ours in bfloat16", PARTS)):
            net = stock(folder).to(torch.bfloat16)
            if parts:
                accelerate(net, parts)
            nets[name] = net, torch.bfloat16
    found: dict[str, dict[str, float]] = {name: {} for name in nets}
    for rows in (2, 12):
        x, text = torch.randn(rows, 3, 64, 64), torch.randn(rows, TOKENS, WIDTH)
        best = dict.fromkeys(nets, float("inf"))
        with torch.inference_mode():
            for repeat in range(6):
                for name, (net, dtype) in nets.items():
                    began = time.process_time()
                    net(x.to(dtype), 500, encoder_hidden_states=text.to(dtype), return_dict=False)
                    if repeat:
                        best[name] = min(best[name], time.process_time() - began)
        for name in nets:
            found[name][f"{rows} rows"] = round(1000 * best[name] / rows, 1)
    return found


def digits_by_flow(steps: int = 10) -> dict[str, Any]:
    """Guided digits by Euler steps in fp32: diffusers' scheduler on plain layers, our loop on ours."""
    torch.manual_seed(0)
    plain = unet_for("flow_class", 64).eval().requires_grad_(False)
    quick = load_unet(plain.state_dict(), 64, "flow_class")
    labels = [k % 10 for k in range(20)]
    start = draw_noise(generators(range(len(labels))), (1, 28, 28))
    ours = velocity_field(quick, labels, ClassifierFreeGuidance(5.0), "fp32")
    stock = velocity_field(plain, labels, ClassifierFreeGuidance(5.0), "fp32")
    for field in (ours, stock):
        field(start, 0.5)

    @torch.inference_mode()
    def their_digits() -> Tensor:
        scheduler = FlowMatchEulerDiscreteScheduler()
        scheduler.set_timesteps(sigmas=[1 - t for t in times(steps)[:-1]])
        x = start
        for t, timestep in zip(times(steps), scheduler.timesteps, strict=False):
            x = scheduler.step(-stock(x, t), timestep, x).prev_sample
        return x

    expected, slow = measured(their_digits)
    pictures, fast = measured(lambda: [*integrate(start, times(steps), ours)][-1].x)
    return {
        "diffusers": slow,
        "ours": fast,
        "largest_difference": (pictures - expected).abs().max().item(),
        "speedup_wall": fast["pictures_per_second"] / slow["pictures_per_second"],
    }


def theirs(model: DeepFloyd, kind: Any) -> Any:
    """One of diffusers' pipelines around our network."""
    pipeline = kind(
        tokenizer=None,
        text_encoder=None,
        unet=stock(model.folder),
        scheduler=DDPMScheduler.from_pretrained(model.folder / "scheduler"),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def measured(work: Callable[[], Tensor]) -> tuple[Tensor, dict[str, float]]:
    """The pictures, with wall and processor seconds for each."""
    wall, processor = time.perf_counter(), time.process_time()
    pictures = work()
    count = len(pictures)
    return pictures, {
        "pictures_per_second": count / (time.perf_counter() - wall),
        "processor_seconds_per_picture": (time.process_time() - processor) / count,
        "peak_memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Our sampling against diffusers' pipelines.")
    parser.add_argument("--stride", type=int, default=30, help="between timesteps")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(given.threads)
    timesteps = strided(990, given.stride)
    # Starts are those of a stride of 30, at the same timesteps as far as there are such.
    starts = [min(len(timesteps) - 1, start * 30 // given.stride) for start in STARTS]
    half = torch.cpu._is_avx512_bf16_supported()
    found: dict[str, Any] = {"threads": given.threads, "steps": len(timesteps)}

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        make(folder)
        text = Embeddings(None, "bench", folder, Settings())
        full = DeepFloyd(folder, text)
        texts, shape = ["a rocket", ""], (3, 64, 64)
        found["parameters"] = sum(p.numel() for p in full.network.loaded().parameters())
        found["layers"] = layers(folder, half)
        original = torch.rand(1, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
        text.missing(texts)
        positive, negative = text[texts[0]][None], text[texts[1]][None]
        asked = {"guidance_scale": GAMMA, "output_type": "pt"}

        # Loading, and our transforms of the weights, are done once and not measured.
        editing, sampling = theirs(full, IFImg2ImgPipeline), theirs(full, IFPipeline)
        rough_model = DeepFloyd(folder, text, Settings(dtype=torch.bfloat16))
        x = draw_noise(generators(SEEDS), shape)
        for model in (full, rough_model)[: 2 if half else 1]:
            model.predict(x, 500, model.embed([texts[0]] * len(x)))

        def their_edits() -> Tensor:
            return torch.cat(
                [
                    editing(
                        image=original,
                        strength=1.0,
                        timesteps=timesteps[start:],
                        prompt_embeds=positive,
                        negative_prompt_embeds=negative,
                        generator=torch.Generator().manual_seed(11),
                        **asked,
                    ).images
                    for start in starts
                ]
            )

        def their_samples() -> Tensor:
            count = len(SEEDS)
            return sampling(
                timesteps=timesteps,
                prompt_embeds=positive.expand(count, -1, -1),
                negative_prompt_embeds=negative.expand(count, -1, -1),
                generator=generators(SEEDS),
                **asked,
            ).images

        def our_edits(model: Counted) -> Tensor:
            each = generators([11] * len(starts))
            alphas = [float(model.alphas_cumprod[timesteps[start]]) for start in starts]
            noise = draw_noise(each, shape)
            x = torch.stack([forward(original[0], *pair) for pair in zip(alphas, noise, strict=True)])
            for rows, state in joining(
                x,
                starts,
                timesteps,
                model.alphas_cumprod,
                lambda rows: guided(model, [texts[0]] * len(rows), GAMMA),
                each,
            ):
                x[rows] = state.x
            return x

        def our_samples(model: Counted, scale: float = GAMMA) -> Tensor:
            each = generators(SEEDS)
            estimate = guided(model, [texts[0]] * len(SEEDS), scale)
            return finish(reverse(draw_noise(each, shape), timesteps, model.alphas_cumprod, estimate, each))

        for name, reference, ours in (
            ("sdedit", their_edits, our_edits),
            ("guided", their_samples, our_samples),
        ):
            expected, slow = measured(reference)
            model = Counted(full)
            pictures, quick = measured(lambda ours=ours, model=model: ours(model))
            found[name] = {
                "diffusers": slow,
                "ours": quick | {"rows": model.rows},
                "largest_difference": (pictures - expected).abs().max().item(),
                "speedup_wall": quick["pictures_per_second"] / slow["pictures_per_second"],
                "speedup_processor": slow["processor_seconds_per_picture"]
                / quick["processor_seconds_per_picture"],
            }
            if half:
                model = Counted(rough_model)
                rough, quick = measured(lambda ours=ours, model=model: ours(model))
                found[name]["bfloat16"] = quick | {
                    "psnr_db": psnr(rough, pictures),
                    "speedup_wall": quick["pictures_per_second"] / slow["pictures_per_second"],
                    "speedup_processor": slow["processor_seconds_per_picture"]
                    / quick["processor_seconds_per_picture"],
                }
        rows = {}
        for scale in (0.0, 1.0, GAMMA):
            model = Counted(full)
            each = generators(SEEDS[:1])
            estimate = guided(model, texts[:1], scale)
            finish(reverse(draw_noise(each, shape), [500, 0], model.alphas_cumprod, estimate, each))
            rows[f"gamma={scale:g}"] = model.rows / model.calls
        found["rows_per_step"] = rows
        found["flow"] = digits_by_flow()
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
