"""Training and sampling digits against plain PyTorch loops: the same network, batch and data, in one run.

    python bench/training.py [--width 64] [--seconds 5] [--rounds 1] [--threads 2] [--losses [1000]] [LINE …]

The network is the class-conditioned one with D = 64; a training batch has 128 digits, and 64 in the lines
called flow, which learn and follow a velocity. Each line is measured
in a process of its own, as what one does to its process (the kernels, the memory that is kept) should help
no other, and told as soon as it is measured; lines alternate over rounds, and the best round counts. In the
table at the end: digits a second of wall clock, and of processor time (which means more on a busy machine);
each one's ratio to the plain loop; and the share of this machine's measured peak of matrix products (fp32 and
bf16) that training reaches, counting the multiplications of plain convolutions, of which Winograd's needs
fewer. LINEs are names from that table: they alone are measured, with the plain loops.

``--losses`` compares what training arrives at in place of that, from each of 3 seeds: fp32 in PyTorch's own
layers with what the report uses, on the same draws. Given are the mean loss of the last tenth of 1,000 steps,
and the loss on 10,000 test digits, in fp32. This takes an hour and a half of two cores; fewer steps, less.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from noisebook.cells.contract import derive_seed
from noisebook.models.lock import read_lock
from noisebook.models.mnist import Mnist, load
from noisebook.networks.mnist.denoiser import MnistDenoiser
from noisebook.networks.mnist.schedule import alphas_cumprod
from noisebook.networks.mnist.training import Recipe, Training, draw
from noisebook.networks.mnist.unet import UNet

RECIPE = Recipe(
    objective="class", width=64, batch=128, epochs=20, learning_rate=1e-3, decay=0.1, average=0.999
)
FLOW = Recipe(
    objective="flow_class", width=64, batch=64, epochs=10, learning_rate=1e-2, decay=0.1, average=0.999
)
SAMPLES, GAMMA, STRIDE = 100, 5.0, 60
STEPS, SEEDS = 1000, [1, 2, 3]
LOSSES = ("ours fp32, stock kernels", "ours bf16")

TRAINING = {
    "plain": "eager, fp32, a torchvision DataLoader",
    "tensor": "plain, the data as one tensor",
    "channels_last": "tensor, channels_last",
    "autocast": "channels_last, bf16 autocast",
    "compiled": "autocast, compiled",
    "ours fp32": "this project's loop, native kernels in fp32",
    "ours bf16": "this project's loop, native kernels in bf16: what the report uses",
    "ours bf16, memory not kept": "without keeping freed memory",
    "ours bf16, stock kernels": "NOISEBOOK_NATIVE=0",
    "flow plain": "flow matching, eager, fp32, a torchvision DataLoader",
    "flow ours fp32": "the same by this project's loop in fp32",
    "flow ours bf16": "the same in bf16: what the report uses",
}
SAMPLING = {
    "sampling plain": "the textbook loop, eager, two calls a step",
    "sampling ours fp32": "the one sampling loop in fp32",
    "sampling ours bf16": "the one sampling loop in bf16, as the report draws",
    "sampling flow plain": "Euler steps along a velocity, eager, two calls a step",
    "sampling flow ours bf16": "the same by this project's loop in bf16, as the report draws",
}


def recipe_of(line: str) -> Recipe:
    """What a line trains, or draws with."""
    return FLOW if "flow" in line else RECIPE


def reference(line: str) -> str:
    """The plain line that a line is compared with."""
    return f"{'sampling ' * (line in SAMPLING)}{'flow ' * ('flow' in line)}plain"


def mnist() -> Mnist:
    root = Path(__file__).resolve().parent.parent
    return load("mnist", read_lock(root)["mnist"], root)


def loader(batch: int) -> Any:
    """Digits and labels as a student would have them."""
    from platformdirs import user_cache_path
    from torch.utils.data import DataLoader
    from torchvision import datasets, transforms

    mnist()
    folder = Path(tempfile.mkdtemp())
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    [ours] = (user_cache_path("noisebook") / "data").glob("mnist-*/")
    for file in ours.iterdir():
        (raw / file.name).symlink_to(file)
    data = datasets.MNIST(str(folder), train=True, transform=transforms.ToTensor())
    return DataLoader(data, batch_size=batch, shuffle=True, drop_last=True)


def plain(kind: str) -> Callable[[], int]:
    """A step of the plain training loop; returns how many digits it took."""
    recipe = recipe_of(kind)
    net: Any = recipe.network()
    if kind not in ("plain", "tensor", "flow plain"):
        net = net.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(net.parameters(), recipe.learning_rate)
    model = torch.compile(net) if kind == "compiled" else net
    alphas = alphas_cumprod(RECIPE.timesteps, RECIPE.beta_first, RECIPE.beta_last).float()
    if kind.endswith("plain"):
        batches = itertools.chain.from_iterable(itertools.repeat(loader(recipe.batch)))
    else:
        digits, labels = (torch.tensor(values) for values in (mnist().train_digits, mnist().train_labels))
        images = digits[:, None].float() / 255

    def step() -> int:
        if kind.endswith("plain"):
            x, label = next(batches)
        else:
            chosen = torch.randint(len(images), (RECIPE.batch,))
            x, label = images[chosen], labels[chosen]
        noise = torch.randn_like(x)
        if recipe is FLOW:
            times = torch.rand(len(x))
            mixed, target = torch.lerp(noise, x, times.view(-1, 1, 1, 1)), x - noise
        else:
            t = torch.randint(1, RECIPE.timesteps + 1, (len(x),))
            kept, times = alphas[t].view(-1, 1, 1, 1), t / RECIPE.timesteps
            mixed, target = kept.sqrt() * x + (1 - kept).sqrt() * noise, noise
        shown = (torch.rand(len(x), 1) >= RECIPE.drop).float()
        one_hot = functional.one_hot(label.long(), 10) * shown
        with torch.autocast("cpu", torch.bfloat16, enabled=kind in ("autocast", "compiled")):
            answer = model(mixed, times, one_hot)
        loss = functional.mse_loss(answer.float(), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        loss.item()
        return len(x)

    return step


def ours(kind: str, seed: int = 1) -> Training:
    """This project's loop."""
    from accelerate import Accelerator

    if "memory" in kind:
        from noisebook.kernels import native

        native._keep_memory = lambda: None  # type: ignore[assignment]
    recipe = replace(recipe_of(kind), precision="bf16" if "bf16" in kind else "fp32")
    data = mnist()
    digits, labels = torch.tensor(data.train_digits), torch.tensor(data.train_labels)
    return Training(
        recipe, digits, labels, lambda *purpose: derive_seed(seed, *purpose), Accelerator(cpu=True)
    )


def flow_sampling(kind: str) -> Callable[[], int]:
    """Some Euler steps of a guided sample of each of 100 digits; returns how many steps of digits."""
    from noisebook.diffusion.flow import integrate, times
    from noisebook.diffusion.guidance import ClassifierFreeGuidance
    from noisebook.networks.mnist.denoiser import load_unet
    from noisebook.networks.mnist.velocity import velocity_field

    net, steps, labels = FLOW.network().eval(), 5, [i % 10 for i in range(SAMPLES)]
    one_hot = functional.one_hot(torch.tensor(labels), 10).float()
    quick = load_unet(net.state_dict(), FLOW.width, FLOW.objective)
    velocity = velocity_field(quick, labels, ClassifierFreeGuidance(GAMMA), "bf16")

    @torch.no_grad()
    def one() -> int:
        x = torch.randn(SAMPLES, 1, 28, 28)
        if "ours" in kind:
            for _ in integrate(x, times(steps), velocity):
                pass
            return SAMPLES * steps
        for k in range(steps):
            now = torch.full((SAMPLES,), k / steps)
            asked, free = net(x, now, one_hot), net(x, now, torch.zeros_like(one_hot))
            x = x + (free + GAMMA * (asked - free)) / steps
        return SAMPLES * steps

    return one


def sampling(kind: str) -> Callable[[], int]:
    """Some timesteps of a guided sample of each of 100 digits; returns how many steps of digits."""
    from noisebook.networks.mnist.denoiser import load_unet

    torch.manual_seed(0)
    if "flow" in kind:
        return flow_sampling(kind)
    net = UNet(RECIPE.width, timed=True, classes=10)
    times = list(range(RECIPE.timesteps, 0, -STRIDE))
    labels = [i % 10 for i in range(SAMPLES)]
    if "ours" in kind:
        from noisebook.generators._mnist_sampling import draw as states

        network = load_unet(net.state_dict(), RECIPE.width, RECIPE.objective)
        schedule = (RECIPE.timesteps, RECIPE.beta_first, RECIPE.beta_last)
        denoiser = MnistDenoiser(network, *schedule, "fp32" if "fp32" in kind else "bf16")

        @torch.no_grad()
        def one() -> int:
            for _ in states(denoiser, range(SAMPLES), labels, GAMMA, "large", STRIDE):
                pass
            return SAMPLES * len(times)

        return one

    net.eval()
    alphas = alphas_cumprod(RECIPE.timesteps, RECIPE.beta_first, RECIPE.beta_last).float()
    one_hot = functional.one_hot(torch.tensor(labels), 10).float()

    @torch.no_grad()
    def other() -> int:
        x = torch.randn(SAMPLES, 1, 28, 28)
        for t, following in zip(times, [*times[1:], 0], strict=True):
            time_now = torch.full((SAMPLES,), t / RECIPE.timesteps)
            asked, free = net(x, time_now, one_hot), net(x, time_now, torch.zeros_like(one_hot))
            epsilon = free + GAMMA * (asked - free)
            alpha = alphas[t] / alphas[following]
            clean = (x - (1 - alphas[t]).sqrt() * epsilon) / alphas[t].sqrt()
            x = (
                alphas[following].sqrt() * (1 - alpha) / (1 - alphas[t]) * clean
                + alpha.sqrt() * (1 - alphas[following]) / (1 - alphas[t]) * x
                + (1 - alpha).sqrt() * (torch.randn_like(x) if following else 0)
            )
        return SAMPLES * len(times)

    return other


def rate(step: Callable[[], int], seconds: float) -> dict[str, float]:
    """Digits a second of wall clock and of processor time, once warm."""
    for _ in range(2):
        step()
    count, wall, processor = 0, time.perf_counter(), time.process_time()
    while count == 0 or time.perf_counter() - wall < seconds:
        count += step()
    return {
        "per_second": count / (time.perf_counter() - wall),
        "per_processor_second": count / (time.process_time() - processor),
    }


def measure(kind: str, seconds: float) -> dict[str, Any]:
    """One line's numbers, in this process."""
    if kind.startswith("peak"):
        dtype = torch.bfloat16 if "bf16" in kind else torch.float32
        a = torch.randn(2048, 2048).to(dtype)
        found = rate(lambda: (a @ a).numel() and 2 * 2048**3, 1.0)
        return {"gflops": found["per_second"] / 1e9}
    if kind in SAMPLING:
        return rate(sampling(kind), seconds)
    if "ours" not in kind:
        return rate(plain(kind), seconds)
    training = ours(kind)

    def step() -> int:
        training.train_step()
        return training.recipe.batch

    return rate(step, seconds) | {"kernels": training.kernels}


def flops() -> float:
    """Of training on one digit, in plain convolutions and products."""
    from torch.utils.flop_counter import FlopCounterMode

    net = UNet(RECIPE.width, timed=True, classes=10)
    with FlopCounterMode(display=False) as counter:
        inputs, target = draw(
            RECIPE, torch.zeros(2, 1, 28, 28), torch.zeros(2), torch.Generator().manual_seed(0)
        )
        nn.functional.mse_loss(net(*inputs), target).backward()
    return counter.get_total_flops() / 2


def losses(kind: str, seed: int, steps: int) -> dict[str, float]:
    """What one line's training arrives at."""
    data = mnist()
    training = ours(kind, seed)
    for _ in range(steps):
        training.train_step()
    last = -(-steps // 10)
    return {
        "train": sum(training.train_loss[-last:]) / last,
        "test": training.test(torch.tensor(data.test_digits), torch.tensor(data.test_labels)),
    }


def alone(line: str, threads: int, *options: object) -> dict[str, Any]:
    """The numbers of one line, by a process of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    if "stock" in line:
        environment["NOISEBOOK_NATIVE"] = "0"
    command = [sys.executable, __file__, "--only", line, "--threads", str(threads), *map(str, options)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def compare_losses(steps: int, threads: int) -> None:
    """Seed by seed; as many trainings at once as the cores have room for."""
    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // threads)) as pool:
        runs = [
            [pool.submit(alone, kind, threads, "--losses", steps, "--seed", seed) for kind in LOSSES]
            for seed in SEEDS
        ]
        for seed, run in zip(SEEDS, runs, strict=True):
            stock, used = (each.result() for each in run)
            difference = {which: used[which] / stock[which] - 1 for which in stock}
            print(
                json.dumps(
                    {"seed": seed, "steps": steps, **dict(zip(LOSSES, (stock, used), strict=True))}
                    | {"difference": difference}
                ),
                flush=True,
            )


def main() -> None:
    global RECIPE, FLOW
    parser = argparse.ArgumentParser(description="Training and sampling digits against plain loops.")
    parser.add_argument("--seconds", type=float, default=5, help="for each line and round")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compiled", action="store_true", help="torch.compile, too; it takes a minute")
    parser.add_argument(
        "--losses",
        type=int,
        nargs="?",
        const=STEPS,
        metavar="STEPS",
        help="compare losses in place of speeds",
    )
    parser.add_argument("--width", type=int, default=RECIPE.width, help="D: a smaller network is faster")
    parser.add_argument("lines", nargs="*", metavar="LINE", help="measure these alone")
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=SEEDS[0], help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := set(given.lines) - TRAINING.keys() - SAMPLING.keys():
        parser.error(f"no line is called {', '.join(unknown)}; known: {', '.join((*TRAINING, *SAMPLING))}")
    RECIPE, FLOW = (replace(recipe, width=given.width) for recipe in (RECIPE, FLOW))
    torch.set_num_threads(given.threads)
    if given.only:
        compare = given.losses and losses(given.only, given.seed, given.losses)
        print(json.dumps(compare or measure(given.only, given.seconds)))
        return
    if given.losses:
        compare_losses(given.losses, given.threads)
        return
    lines = [line for line in (*TRAINING, *SAMPLING) if given.compiled or line != "compiled"]
    if given.lines:
        wanted = {*given.lines, *map(reference, given.lines)}
        lines = [line for line in lines if line in wanted]
    lines = ["peak fp32", "peak bf16", *lines]
    rounds: dict[str, list[dict[str, Any]]] = {line: [] for line in lines}
    for _ in range(given.rounds):
        for line in lines:
            found = alone(line, given.threads, "--seconds", given.seconds, "--width", given.width)
            rounds[line].append(found)
            print(
                f"{line}: {next(iter(found.values())):.4g} {next(iter(found))}", file=sys.stderr, flush=True
            )
    best = {line: max(found, key=lambda each: next(iter(each.values()))) for line, found in rounds.items()}
    peaks = {name: best.pop(f"peak {name}")["gflops"] for name in ("fp32", "bf16")}
    each = flops()
    for line, found in best.items():
        plainly = best[reference(line)]
        found["times_plain"] = found["per_second"] / plainly["per_second"]
        found["times_plain_by_processor"] = found["per_processor_second"] / plainly["per_processor_second"]
        if line in TRAINING:
            peak = peaks["bf16" if "bf16" in line or line in ("autocast", "compiled") else "fp32"]
            found["share_of_peak"] = found["per_second"] * each / peak / 1e9
        found["what"] = {**TRAINING, **SAMPLING}[line]
        for name, value in found.items():
            found[name] = float(f"{value:.3g}") if isinstance(value, float) else value
    print(
        json.dumps(
            {
                "threads": given.threads,
                "gflops_of_peak": {name: round(value) for name, value in peaks.items()},
                "gflop_per_digit_trained": round(each / 1e9, 3),
                **best,
            },
            indent=1,
        )
    )


if __name__ == "__main__":
    main()
