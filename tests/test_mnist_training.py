"""The network, what it is shown, and a training run that may be killed at any time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from noisebook.generators import mnist_training
from pydantic import ValidationError
from torch import nn

from noisebook.cells.contract import Disagreement, derive_seed
from noisebook.networks.mnist.schedule import alphas_cumprod
from noisebook.networks.mnist.training import Recipe, Training, draw
from noisebook.networks.mnist.unet import UNet
from tests.fake_context import FakeContext, FakeStored, run

DENOISE = Recipe(objective="denoise", width=16, batch=8, epochs=2, learning_rate=1e-3)
TIME = replace(DENOISE, objective="time", decay=0.1)
CLASS = replace(TIME, objective="class", average=0.9)
PURE_NOISE = replace(DENOISE, objective="pure_noise")
FLOW_TIME = replace(TIME, objective="flow_time")
FLOW_CLASS = replace(CLASS, objective="flow_class")

pytestmark = pytest.mark.usefixtures("one_thread")


def seed(*purpose: Any) -> int:
    return derive_seed(42, *purpose)


def digits(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return (
        torch.randint(0, 256, (n, 28, 28), generator=generator, dtype=torch.uint8),
        torch.randint(0, 10, (n,), generator=generator),
    )


def training(recipe: Recipe, n: int = 40) -> Training:
    return Training(recipe, *digits(n), seed, Accelerator(cpu=True))


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


@pytest.mark.parametrize(("width", "parameters"), [(64, 1_975_361), (128, 7_891_073)])
def test_the_network_has_as_many_parameters_as_the_report_says(width: int, parameters: int) -> None:
    with torch.device("meta"):
        network = UNet(width)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters
    convolutions = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert all(m.bias is not None for m in convolutions)


def test_unflatten_takes_two_d_channels_of_time_and_up1_takes_d() -> None:
    network = UNet(16, timed=True, classes=10)
    time, one_hot = torch.ones(3, 1), torch.eye(10)[:3]
    assert network.time1(time).shape == network.class1(one_hot).shape == (3, 32, 1, 1)
    assert network.time2(time).shape == network.class2(one_hot).shape == (3, 16, 1, 1)
    assert network(torch.zeros(3, 1, 28, 28), torch.ones(3), one_hot).shape == (3, 1, 28, 28)
    with pytest.raises(ValueError, match="timed=True"):
        network(torch.zeros(3, 1, 28, 28))
    with pytest.raises(ValueError, match="timed=True"):
        UNet(16, classes=10)


def test_class_scales_before_time_shifts() -> None:
    """unflatten ← c1·unflatten + t1: with c1 = 0 nothing but t1 reaches up1 besides the skip connection."""
    network = UNet(16, timed=True, classes=10).eval()
    seen: list[torch.Tensor] = []
    network.up1.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    nn.init.zeros_(network.class1[2].weight)
    nn.init.zeros_(network.class1[2].bias)
    time = torch.full((2,), 0.3)
    network(torch.randn(2, 1, 28, 28), time, torch.eye(10)[:2])
    assert torch.allclose(seen[0][:, :32], network.time1(time[:, None]).expand(-1, -1, 7, 7))


def test_the_time_of_a_flow_scales_both_feature_maps() -> None:
    """unflatten ← unflatten·t1, up1 ← up1·t2."""
    network = FLOW_TIME.network().eval()
    seen: dict[str, torch.Tensor] = {}
    network.unflatten.register_forward_hook(lambda *args: seen.update(unflatten=args[2]))
    network.up1.register_forward_hook(lambda *args: seen.update(up1=args[2]))
    network.up1.register_forward_pre_hook(lambda _, inputs: seen.update(to_up1=inputs[0]))
    network.up2.register_forward_pre_hook(lambda _, inputs: seen.update(to_up2=inputs[0]))
    time = torch.tensor([0.3, 0.8])
    with torch.no_grad():
        network(torch.randn(2, 1, 28, 28), time)
        assert torch.equal(seen["to_up1"][:, :32], seen["unflatten"] * network.time1(time[:, None]))
        assert torch.equal(seen["to_up2"][:, :16], seen["up1"] * network.time2(time[:, None]))
    with pytest.raises(ValueError, match="time_scales=False"):
        UNet(16, timed=True, classes=10, time_scales=True)


def test_with_a_class_a_flow_is_conditioned_as_ddpm_is() -> None:
    """c1·unflatten + t1 and c2·up1 + t2: one network for both, and their weights begin alike."""
    torch.manual_seed(0)
    one = FLOW_CLASS.network().state_dict()
    torch.manual_seed(0)
    other = CLASS.network().state_dict()
    assert one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)
    assert FLOW_CLASS.network().time_scales is False


def test_a_flow_goes_from_noise_at_zero_to_the_digit_at_one() -> None:
    images, labels = torch.rand(2000, 1, 28, 28, generator=generator()), torch.arange(2000) % 10
    (x_t, t), velocity = draw(FLOW_TIME, images, labels, generator())
    assert t.min() >= 0 and t.max() < 1 and float(t.mean()) == pytest.approx(0.5, abs=0.03)
    rest = (1 - t)[:, None, None, None]
    assert torch.allclose(x_t + rest * velocity, images, atol=1e-5)
    noise = x_t - (1 - rest) * velocity
    assert float(noise.mean()) == pytest.approx(0, abs=0.01) and float(noise.std()) == pytest.approx(
        1, abs=0.01
    )
    (_, _, one_hot), _ = draw(FLOW_CLASS, images, labels, generator())
    assert float((one_hot.sum(1) == 0).double().mean()) == pytest.approx(0.1, abs=0.03)


def test_pure_noise_says_nothing_of_the_digit_that_is_asked_for() -> None:
    ink = torch.ones(200, 1, 28, 28)
    (z,), target = draw(PURE_NOISE, ink, torch.zeros(200), generator())
    (other,), _ = draw(PURE_NOISE, 0 * ink, torch.zeros(200), generator())
    assert target is ink and torch.equal(z, other)
    assert float(z.mean()) == pytest.approx(0, abs=0.01) and float(z.std()) == pytest.approx(1, abs=0.01)
    assert not PURE_NOISE.network().timed


def test_what_is_learnt_from_pure_noise_is_the_mean_digit() -> None:
    """The least square error of an answer to an input that says nothing is the mean."""
    images, labels = digits(64)
    images[:, :, :14] = 0
    run = Training(
        replace(PURE_NOISE, batch=32, learning_rate=3e-3), images, labels, seed, Accelerator(cpu=True)
    )
    for _ in range(100):
        run.train_step()
    mean = images.float().mean(0) / 255
    with torch.no_grad():
        answers = run.network.eval()(torch.randn(4, 1, 28, 28, generator=generator()))
    assert float(mean.std()) > 0.2
    assert float((answers - mean).square().mean().sqrt()) < 0.1


@pytest.mark.parametrize("recipe", [PURE_NOISE, FLOW_TIME, FLOW_CLASS], ids=lambda recipe: recipe.objective)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_taken_up_from_its_state_goes_on_exactly(recipe: Recipe, precision: Any) -> None:
    whole, broken = (training(replace(recipe, precision=precision)) for _ in range(2))
    losses = [whole.train_step() for _ in range(8)]
    first = [broken.train_step() for _ in range(5)]
    again = training(replace(recipe, precision=precision))
    again.restore(broken.state())
    assert first + [again.train_step() for _ in range(3)] == losses
    assert all(
        torch.equal(value, again.state()[name]) for name, value in whole.state().items() if name != "seconds"
    )


def test_alphas_begin_at_one_and_do_not_quite_end_at_zero() -> None:
    alphas = alphas_cumprod(300, 1e-4, 0.02)
    assert alphas.dtype == torch.float64 and alphas.shape == (301,)
    assert alphas[0] == 1 and alphas[1] == 1 - 1e-4
    assert float(alphas[-1].sqrt()) == pytest.approx(0.219, abs=5e-4)
    assert float(alphas[-1] / alphas[-2]) == pytest.approx(0.98)


def test_times_are_drawn_from_one_to_t_inclusive_and_told_as_a_share_of_t() -> None:
    recipe = replace(TIME, timesteps=5)
    images, labels = torch.zeros(2000, 1, 28, 28), torch.zeros(2000)
    (x_t, time), noise = draw(recipe, images, labels, generator())
    assert set((time * 5).round().int().tolist()) == {1, 2, 3, 4, 5}
    alphas = alphas_cumprod(5, recipe.beta_first, recipe.beta_last)
    scale = (1 - alphas)[(time * 5).round().long()].sqrt().float()
    assert torch.allclose(x_t, scale[:, None, None, None] * noise)


def test_a_noisy_digit_is_neither_clamped_nor_has_another_variance() -> None:
    ink = torch.ones(200, 1, 28, 28)
    (z,), target = draw(DENOISE, ink, torch.zeros(200), generator())
    assert target is ink
    assert float((z - ink).std()) == pytest.approx(0.5, rel=0.02)  # σ is not a variance: that would be .71
    assert z.max() > 2 and z.min() < 0
    (x_t, _), _ = draw(replace(TIME, timesteps=300), ink, torch.zeros(200), generator())
    assert x_t.max() > 1.5 and x_t.min() < -1


def test_the_class_is_withheld_per_sample_by_zeroing_its_one_hot_vector() -> None:
    images, labels = torch.zeros(4000, 1, 28, 28), torch.arange(4000) % 10
    (_, _, one_hot), _ = draw(CLASS, images, labels, generator())
    dropped = one_hot.sum(1) == 0
    assert float(dropped.double().mean()) == pytest.approx(0.1, abs=0.02)
    assert (one_hot[~dropped].argmax(1) == labels[~dropped]).all()
    assert set(one_hot.unique().tolist()) == {0.0, 1.0}
    network = UNet(16, timed=True, classes=10)
    assert network.class1(torch.zeros(1, 10)).abs().max() > 0  # FC(0) is not 0


def test_the_learning_rate_falls_as_exponential_lr_stepped_once_an_epoch() -> None:
    recipe = replace(TIME, epochs=20, learning_rate=1e-3)
    optimizer = torch.optim.Adam([nn.Parameter(torch.zeros(1))], recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.1 ** (1 / recipe.epochs))
    for epoch in range(recipe.epochs):
        assert recipe.learning_rate_in(epoch) == pytest.approx(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    assert recipe.learning_rate_in(recipe.epochs) == pytest.approx(1e-4)
    assert DENOISE.learning_rate_in(1) == DENOISE.learning_rate
    run = training(replace(recipe, epochs=2))
    rates = []
    for _ in range(6):
        run.train_step()
        rates.append(run.optimizer.param_groups[0]["lr"])
    assert rates == [pytest.approx(1e-3)] * 5 + [pytest.approx(1e-3 * 0.1**0.5)]


@pytest.mark.parametrize("recipe", [DENOISE, CLASS, FLOW_TIME], ids=lambda recipe: recipe.objective)
def test_the_loop_is_the_textbook_loop(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against a plain PyTorch loop on the same draws; the last batch of an epoch is smaller."""
    monkeypatch.setenv("NOISEBOOK_NATIVE", "0")
    images, labels = digits(20)
    with torch.random.fork_rng():
        torch.manual_seed(seed("weights"))
        network = recipe.network()
    plain = torch.optim.Adam(network.parameters(), recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.ExponentialLR(plain, recipe.decay ** (1 / recipe.epochs))
    expected, step = [], 0
    for epoch in range(2):
        shuffle = torch.Generator().manual_seed(seed("shuffle", epoch))
        for chosen in torch.randperm(20, generator=shuffle).split(recipe.batch):
            noise = torch.Generator().manual_seed(seed("step", step))
            inputs, target = draw(recipe, images[chosen][:, None] / 255, labels[chosen], noise)
            loss = ((network(*inputs) - target) ** 2).mean()
            plain.zero_grad()
            loss.backward()
            plain.step()
            expected.append(loss.item())
            step += 1
        schedule.step()
    run = training(recipe, 20)
    assert run.kernels.startswith("stock")
    assert [run.train_step() for _ in range(6)] == pytest.approx(expected, rel=2e-3)


def test_bf16_is_autocast_for_training_alone_and_follows_fp32() -> None:
    full, half = training(CLASS), training(replace(CLASS, precision="bf16"))
    assert [half.test(*digits(12))] == [full.test(*digits(12))]
    losses = torch.tensor([[full.train_step(), half.train_step()] for _ in range(20)])
    assert (losses[:, 0] != losses[:, 1]).all()
    assert torch.allclose(losses[:, 0], losses[:, 1], rtol=0.05)
    assert all(value.dtype in (torch.float32, torch.float64, torch.int64) for value in half.state().values())


def test_precision_is_part_of_a_cell_but_for_the_default() -> None:
    default = mnist_training.cells(mnist_training.Params.model_validate(TINY))
    same = mnist_training.cells(mnist_training.Params.model_validate({**TINY, "precision": "fp32"}))
    other = mnist_training.cells(mnist_training.Params.model_validate({**TINY, "precision": "bf16"}))
    assert default[0].params == same[0].params and "precision" not in default[0].params
    assert other[0].params == {**default[0].params, "precision": "bf16"}


def test_the_moving_average_follows_and_a_run_without_one_keeps_none() -> None:
    run = training(CLASS)
    before = run.network.state_dict()["conv.0.0.weight"].clone()
    run.train_step()
    now = run.network.state_dict()["conv.0.0.weight"]
    # The first decay is (1 + 0)/(10 + 0), less than the one asked for.
    assert torch.allclose(run.average["conv.0.0.weight"], 0.1 * before + 0.9 * now, atol=1e-7)
    assert not training(DENOISE).average


def test_test_digits_are_judged_by_the_running_averages_with_the_same_noise() -> None:
    run = training(DENOISE)
    run.train_step()
    images, labels = digits(12)
    one, other = run.test(images, labels, batch=12), run.test(images, labels, batch=5)
    assert one == pytest.approx(other, rel=1e-5)


def test_fp16_is_refused_as_it_could_not_be_resumed() -> None:
    accelerator: Any = SimpleNamespace(mixed_precision="fp16")
    with pytest.raises(ValueError, match="bf16"):
        Training(DENOISE, *digits(8), seed, accelerator)


TINY = {
    "objective": "class",
    "width": 16,
    "batch": 8,
    "epochs": 2,
    "checkpoints": [1, 2],
    "digits": 180,
    "test_digits": 8,
    "average": 0.9,
    "decay": 0.1,
}
DRIVER = """
    import os, signal, sys
    from pathlib import Path
    import numpy as np
    import torch
    from noisebook.generators import mnist_training
    from tests.fake_context import FakeContext, FakeStored
    from tests.test_mnist_training import TINY, data

    torch.set_num_threads(2)
    mnist_training.SECONDS_BETWEEN_CHECKPOINTS = 0
    folder, precision, kind, after = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
    calls = 0

    def maybe_die():
        global calls
        calls += 1
        if calls == after:
            os.kill(os.getpid(), signal.SIGKILL)

    class Context(FakeContext):
        def scratch(self, cell):
            path = folder / ("scratch-" + cell.id)
            path.mkdir(parents=True, exist_ok=True)
            return path

        def progress(self, cell, done, total, note=""):
            if kind == "step":
                maybe_die()

    if kind == "write":
        fsync = os.fsync
        os.fsync = lambda file: (maybe_die(), fsync(file))
    for cell in mnist_training.cells(mnist_training.Params.model_validate({**TINY, "precision": precision})):
        target = folder / cell.id
        if target.exists():
            continue
        needed = {}
        if cell.needs:
            state = folder / cell.needs["previous"].cell / "state"
            from noisebook.cells.contract import Output
            needed["previous"] = FakeStored([Output("state", "", state.read_bytes())])
        context = Context({"data": data()}, needed=needed)
        [(_, outputs)] = mnist_training.run([cell], context)
        part = folder / "part"
        part.mkdir(exist_ok=True)
        for output in outputs:
            if not output.measured:
                (part / output.name).write_bytes(output.data)
        part.rename(target)
"""


def data() -> Any:
    images, labels = digits(200)
    return SimpleNamespace(
        train_digits=images.numpy(),
        train_labels=labels.numpy().astype(np.uint8),
        test_digits=images.numpy()[180:],
        test_labels=labels.numpy()[180:],
    )


def drive(folder: Path, precision: str, kind: str = "", after: int = 0) -> int:
    command = [sys.executable, "-c", textwrap.dedent(DRIVER), str(folder), precision, kind, str(after)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env={**os.environ})
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_killed_run_ends_bit_for_bit_where_the_unbroken_one_does(tmp_path: Path, precision: str) -> None:
    from safetensors.numpy import load_file

    assert drive(tmp_path / "whole", precision) == 0
    broken = tmp_path / "broken"
    assert drive(broken, precision, "step", 7) == -signal.SIGKILL  # within the first epoch
    assert drive(broken, precision, "write", 12) == -signal.SIGKILL  # while a checkpoint is written
    assert list((broken / "scratch-epoch=1").glob(".state*.tmp"))
    assert drive(broken, precision, "step", 20) == -signal.SIGKILL  # after the first checkpoint cell
    assert (broken / "epoch=1").exists() and not (broken / "epoch=2").exists()
    assert drive(broken, precision) == 0
    for name in ("epoch=1", "epoch=2"):
        for file in sorted(path.name for path in (tmp_path / "whole" / name).iterdir()):
            one, other = tmp_path / "whole" / name / file, broken / name / file
            if file in ("state", "near end"):  # beside the weights they hold seconds
                tensors, others = load_file(one), load_file(other)
                assert tensors.keys() == others.keys()
                for key in tensors.keys() - {"seconds"}:
                    assert tensors[key].tobytes() == others[key].tobytes(), (name, file, key)
            else:
                assert one.read_bytes() == other.read_bytes(), (name, file)
    final = load_file(tmp_path / "whole" / "epoch=2" / "state")
    assert len(final["train_loss"]) == 2 * 23 and len(final["test_loss"]) == 2
    assert final["weights/last.weight"].dtype == np.float32
    half = load_file(tmp_path / "whole" / "epoch=2" / "weights")
    assert half["last.weight"].dtype == np.float16
    assert np.array_equal(half["last.weight"], final["weights/last.weight"].astype(np.float16))


def trained(tmp_path: Path) -> tuple[Any, FakeContext, Any]:
    """A finished cell, a context that can run it, and its outputs."""
    params = mnist_training.Params.model_validate(
        {**TINY, "checkpoints": [2], "batch": 4, "digits": 60, "objective": "denoise"}
    )
    [cell] = mnist_training.cells(params)
    context = FakeContext({"data": data()}, scratch=tmp_path)
    return cell, context, run(mnist_training, [cell], context)[cell.id]


def test_replay_repeats_the_first_and_the_last_steps_or_says_where_it_cannot(tmp_path: Path) -> None:
    cell, context, outputs = trained(tmp_path)
    evidence = mnist_training.replay(cell, FakeStored(list(outputs.values())), context)
    assert evidence == {
        "first steps": "20, largest relative difference of a loss 0",
        "last steps": "20, largest relative difference of a loss 0",
    }
    assert "first steps" in mnist_training.replay(cell, tmp_path, context)
    changed = replace(cell, params={**cell.params, "sigma": 0.51})
    with pytest.raises(Disagreement, match="the loss of step"):
        mnist_training.replay(changed, FakeStored(list(outputs.values())), context)


def test_only_the_last_weights_are_published_and_the_chain_reads_local_state() -> None:
    first, last = mnist_training.cells(mnist_training.Params.model_validate(TINY))
    assert not first.needs and last.needs["previous"].local and last.needs["previous"].cell == "epoch=1"
    assert "checkpoints" not in last.params and "sigma" not in last.params


@pytest.mark.parametrize("checkpoints", [[1], [5, 1], [0, 5], [1, 5, 6]])
def test_checkpoints_must_ascend_to_the_last_epoch(checkpoints: list[int]) -> None:
    with pytest.raises(ValidationError, match="end with epochs"):
        mnist_training.Params.model_validate({"epochs": 5, "checkpoints": checkpoints})


SHARED = """
    import sys
    import os

    import torch
    from accelerate import Accelerator
    from noisebook.networks.mnist.training import Recipe, Training
    from tests.test_mnist_training import TIME, digits, seed

    torch.set_num_threads(1)
    run = Training(TIME, *digits(36), seed, Accelerator(cpu=True))
    losses = [run.train_step() for _ in range(6)]
    if run.accelerator.num_processes == 2:
        weights = run.network.last.weight.detach().flatten()
        both = run.accelerator.gather(weights[None])
        assert torch.equal(both[0], both[1])
    if run.accelerator.is_main_process:
        print(losses, flush=True)
    os._exit(0)  # threads of the process group may still run
"""


def test_two_processes_share_each_batch_and_stay_together(tmp_path: Path) -> None:
    """BatchNorm sees half a batch in each, so losses are near those of one process, not equal."""
    script = tmp_path / "shared.py"
    script.write_text(textwrap.dedent(SHARED))
    root = Path(__file__).parents[1]
    launch = ["-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone"]
    done = subprocess.run(
        [sys.executable, *launch, str(script)],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "ACCELERATE_USE_CPU": "true"},
    )
    assert done.returncode == 0, done.stderr
    losses = eval(done.stdout.strip().splitlines()[-1], {})
    alone = training(TIME, 36)
    assert losses == pytest.approx([alone.train_step() for _ in range(6)], rel=0.1)


def test_sampling_in_bf16_stays_near_fp32_and_a_sample_does_not_depend_on_its_batch() -> None:
    from noisebook.generators._mnist_sampling import draw as states

    from noisebook.networks.mnist.denoiser import MnistDenoiser, load_unet

    run = training(replace(CLASS, precision="bf16"))
    for _ in range(30):
        run.train_step()
    network = load_unet(run.network.state_dict(), 16, "class")

    def drawn(precision: Any, chosen: list[int]) -> torch.Tensor:
        denoiser = MnistDenoiser(network, 300, 1e-4, 0.02, precision)
        classes: list[int | None] = [k if k else None for k in chosen]
        *_, last = states(denoiser, chosen, classes, 5.0, "large", stride=30)
        assert last.dtype == torch.float32 and last.isfinite().all()
        return last

    full, half = drawn("fp32", [0, 1, 2, 3]), drawn("bf16", [0, 1, 2, 3])
    assert not torch.equal(full, half)
    assert float((full - half).square().mean().sqrt()) < 0.05 * float(full.std())
    for precision, all_of_them in (("fp32", full), ("bf16", half)):
        alone = drawn(precision, [2])
        assert float((alone[0] - all_of_them[2]).abs().max()) < (1e-4 if precision == "fp32" else 0.1)
