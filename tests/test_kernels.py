"""Winograd and BatchNorm + GELU kernels: right, repeatable, and optional."""

from __future__ import annotations

import copy
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from noisebook.kernels import compiled, native
from noisebook.kernels.native import BatchNormGELU, WinogradConv2d, accelerate
from noisebook.networks.precision import fastest_dtype
from noisebook.networks.text.denoiser import load_network
from noisebook.networks.text.network import TEXT_WIDTH, Network, Shape

try:
    compiled._kernels(torch.float32)
    reason = ""
except compiled.Unavailable as problem:
    reason = str(problem)
needs_kernels = pytest.mark.skipif(bool(reason), reason=reason)
needs_half_kernels = pytest.mark.skipif(not compiled.available(torch.bfloat16), reason="no AVX512_BF16")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def convolution(channels_in: int, channels_out: int, *, bias: bool = True) -> Any:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=bias))


def normalization(channels: int) -> Any:
    net: Any = nn.Sequential(nn.BatchNorm2d(channels), nn.GELU())
    nn.init.normal_(net[0].weight, 1, 0.3)
    nn.init.normal_(net[0].bias)
    return net


def values(net: nn.Module, x: Tensor, dy: Tensor) -> dict[str, Tensor]:
    """The output, every gradient, and every buffer."""
    net.zero_grad()
    x = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    y = net(x)
    y.backward(dy)
    assert x.grad is not None
    gradients = {f"d{name}": parameter.grad for name, parameter in net.named_parameters()}
    return {"y": y.detach(), "dx": x.grad, **gradients, **dict(net.named_buffers())}


def error(value: Tensor, exact: Tensor) -> float:
    """The largest error, relative to the largest value."""
    assert value.shape == exact.shape
    return float((value.double() - exact.double()).abs().max() / exact.double().abs().max())


def errors(net: nn.Module, x: Tensor) -> dict[str, float]:
    """The kernels against PyTorch in double precision."""
    exact, fast = copy.deepcopy(net).double(), copy.deepcopy(net)
    assert accelerate(fast) == "winograd"
    dy = torch.randn_like(exact(x.double())).float()
    exact = copy.deepcopy(net).double()  # the call above moved its averages
    want, got = values(exact, x.double(), dy.double()), values(fast, x, dy)
    assert want.keys() == got.keys()
    return {name: error(got[name], want[name]) for name in want}


def test_a_compiler_that_is_there_compiles_the_kernels() -> None:
    assert "failed" not in reason, reason  # or else all else here is skipped


def half_errors(net: nn.Module, x: Tensor) -> tuple[dict[str, float], dict[str, float]]:
    """Root mean square errors under autocast, of the kernels and of PyTorch, relative to exact values."""
    x = x.bfloat16()
    dy = torch.randn_like(copy.deepcopy(net)(x.float())).bfloat16()
    exact = values(copy.deepcopy(net).double(), x.double(), dy.double())
    fast = copy.deepcopy(net)
    assert accelerate(fast, torch.bfloat16) == "winograd bfloat16"
    result: list[dict[str, float]] = []
    with torch.autocast("cpu", torch.bfloat16):
        for each in (fast, copy.deepcopy(net)):
            got = values(each, x, dy)
            assert got["y"].dtype == got["dx"].dtype == torch.bfloat16
            assert all(
                value.dtype != torch.bfloat16 for name, value in got.items() if name not in ("y", "dx")
            )
            result.append(
                {
                    name: float(
                        (value - exact[name]).square().mean().sqrt() / exact[name].square().mean().sqrt()
                    )
                    for name, value in got.items()
                    if value.is_floating_point()
                }
            )
    return result[0], result[1]


layouts: dict[str, Callable[[Tensor], Tensor]] = {
    "channels_last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "contiguous": lambda x: x,
    "sliced": lambda x: torch.cat([x, x], 3)[..., ::2],
    "expanded": lambda x: x[:, :1].expand_as(x),
}


@needs_kernels
@pytest.mark.parametrize("layout", layouts)
@pytest.mark.parametrize("batch, size", [(2, 28), (2, 14), (3, 7), (1, 28), (1, 7), (2, 1)])
def test_a_convolution_and_its_gradients_are_right(batch: int, size: int, layout: str) -> None:
    x = layouts[layout](torch.randn(batch, 32, size, size) + 0.3)
    found = errors(convolution(32, 48), x)
    assert max(found.values()) < 2e-5, found


@needs_kernels
@pytest.mark.parametrize(
    "channels_in, channels_out, bias",
    [(16, 16, True), (64, 16, True), (16, 80, True), (128, 128, False), (256, 64, True)],
)
def test_any_multiple_of_16_channels(channels_in: int, channels_out: int, bias: bool) -> None:
    found = errors(convolution(channels_in, channels_out, bias=bias), torch.randn(4, channels_in, 9, 14))
    assert max(found.values()) < 2e-5, found


@needs_kernels
@pytest.mark.parametrize("layout", layouts)
@pytest.mark.parametrize("batch, size", [(3, 28), (1, 7), (2, 3)])
def test_batchnorm_gelu_its_gradients_and_its_averages_are_right(batch: int, size: int, layout: str) -> None:
    found = errors(normalization(48), layouts[layout](1.5 * torch.randn(batch, 48, size, size) + 0.3))
    assert max(found.values()) < 2e-5, found


@needs_half_kernels
@pytest.mark.parametrize("layout", layouts)
@pytest.mark.parametrize(
    "channels_in, channels_out, batch, size",
    [(32, 48, 2, 28), (64, 16, 3, 7), (16, 80, 1, 14), (128, 64, 5, 9), (48, 128, 2, 1)],
)
def test_a_convolution_in_bfloat16_is_right_to_two_percent(
    channels_in: int, channels_out: int, batch: int, size: int, layout: str
) -> None:
    x = layouts[layout](torch.randn(batch, channels_in, size, size) + 0.3)
    ours, stock = half_errors(convolution(channels_in, channels_out), x)
    assert max(ours.values()) < 0.022 and min(stock.values()) > 0.001, (ours, stock)


@needs_half_kernels
@pytest.mark.parametrize("layout", layouts)
@pytest.mark.parametrize("batch, size", [(3, 28), (1, 7), (2, 3)])
def test_batchnorm_gelu_in_bfloat16_is_as_right_as_pytorchs(batch: int, size: int, layout: str) -> None:
    x = layouts[layout](1.5 * torch.randn(batch, 48, size, size) + 0.3)
    ours, stock = half_errors(normalization(48), x)
    assert all(ours[name] <= max(stock[name], 1e-6) for name in ours), (ours, stock)


@needs_kernels
def test_the_variance_survives_a_mean_far_from_zero() -> None:
    x = torch.randn(4, 16, 28, 28) + 1000
    net = normalization(16)
    fast = copy.deepcopy(net)
    assert accelerate(fast) == "winograd"
    want = copy.deepcopy(net).double()(x.double())
    # x itself is known to 6e-5; E[x²] - E[x]² in single precision would miss by 0.1.
    assert error(fast(x).detach(), want.detach()) < 1e-3
    assert error(fast[0].running_var, x.double().var((0, 2, 3)) * 0.1 + 0.9) < 1e-5


@needs_kernels
def test_gelu_is_exact_to_single_precision() -> None:
    x = torch.cat([torch.linspace(-30, 30, 6000), torch.tensor([0.0, -0.0, -1e30, 1e30, 1e-30, 3e-5])])
    x = x[:, None].expand(-1, 16).contiguous()
    y = torch.empty_like(x)
    compiled.call(torch.float32, "scale_gelu", x, y, torch.ones(16), torch.zeros(16), len(x), 16)
    wrong = (y - nn.functional.gelu(x.double())).abs()
    assert (wrong <= 3e-7 * x.double().abs()).all(), float(wrong.max())


@needs_kernels
def test_a_network_keeps_its_state_and_is_accelerated_once() -> None:
    net: Any = nn.Sequential(convolution(1, 32), convolution(32, 32), normalization(32), convolution(32, 24))
    state = copy.deepcopy(net.state_dict())
    parameters = list(net.parameters())
    assert accelerate(net) == "winograd"
    assert state.keys() == net.state_dict().keys()
    assert all(torch.equal(value, net.state_dict()[name]) for name, value in state.items())
    assert all(new is old for new, old in zip(net.parameters(), parameters, strict=True))
    assert [type(net[i][0]) for i in (0, 1, 2, 3)] == [nn.Conv2d, WinogradConv2d, BatchNormGELU, nn.Conv2d]
    assert accelerate(net) == "stock (no layer fits)"
    assert type(net[2][1]) is nn.Identity


def test_layers_that_do_not_fit_are_left_alone() -> None:
    net = nn.Sequential(
        nn.Conv2d(16, 16, 3, padding=1, stride=2),
        nn.Conv2d(16, 16, 3),
        nn.Conv2d(16, 16, 3, padding=1, groups=2),
        nn.Conv2d(16, 16, 3, padding=1, padding_mode="circular"),
        nn.Conv2d(16, 16, 3, padding="same"),
        nn.Conv2d(16, 16, 5, padding=1),
        nn.Conv2d(16, 20, 3, padding=1),
        nn.BatchNorm2d(20),
        nn.GELU(),
        nn.BatchNorm2d(16),
        nn.GELU(approximate="tanh"),
    )
    before = [type(layer) for layer in net]
    assert accelerate(net) == "stock (no layer fits)"
    assert [type(layer) for layer in net] == before


@needs_kernels
def test_evaluation_is_right_and_differentiable() -> None:
    net: Any = nn.Sequential(*convolution(32, 32), *normalization(32))
    x = torch.randn(5, 32, 14, 14)
    net(x)
    exact = copy.deepcopy(net).double().eval()(x.double())
    assert accelerate(net) == "winograd"
    net.eval()
    averages = [buffer.clone() for buffer in net.buffers()]
    with torch.no_grad():
        y = net(x)
    assert not y.requires_grad and error(y, exact.detach()) < 2e-5
    with torch.inference_mode():
        assert torch.equal(net(x), y)
    frozen = copy.deepcopy(net).requires_grad_(False)
    assert torch.equal(frozen(x), y) and error(net(x).detach(), y) < 2e-5  # in one pass, and as PyTorch does
    x.requires_grad_()
    assert frozen(x).requires_grad
    x = x.detach()
    assert all(torch.equal(*pair) for pair in zip(averages, net.buffers(), strict=True))
    # Frozen averages under a convolution that trains: its bias has an effect, and a gradient.
    net(x).square().sum().backward()
    assert net[0].bias.grad.abs().min() > 0


@needs_kernels
def test_other_types_and_autocast_fall_back() -> None:
    net: Any = nn.Sequential(*convolution(16, 16), *normalization(16))
    stock = copy.deepcopy(net)
    assert accelerate(net) == "winograd"
    x = torch.randn(2, 16, 7, 7)
    with torch.autocast("cpu", torch.float16):
        assert torch.equal(net(x), stock(x))
    assert torch.equal(net.double()(x.double()), stock.double()(x.double()))
    with pytest.raises(RuntimeError, match="channels"):
        net.float()(x[:, :8])
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        net(x[:1, :, :1, :1])
    assert net[0](x[:0]).shape == (0, 16, 7, 7)


RUN = """
import hashlib, sys, torch
from torch import nn
from noisebook.kernels.native import accelerate
torch.set_num_threads(2)
torch.manual_seed(0)
def block(channels_in, channels_out):
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.GELU()
    )
net = nn.Sequential(block(1, 16), block(16, 48), nn.AvgPool2d(2), block(48, 16), nn.Conv2d(16, 1, 1))
net = net.to(memory_format=torch.channels_last)
assert accelerate(net) == "winograd"
optimizer = torch.optim.Adam(net.parameters(), 1e-3, fused=True)
for _ in range(5):
    x = torch.randn(8, 1, 28, 28)
    optimizer.zero_grad()
    (net(x) - x[..., ::2, ::2]).square().mean().backward()
    optimizer.step()
print(hashlib.sha256(b"".join(value.numpy().tobytes() for value in net.state_dict().values())).hexdigest())
print({line.split()[-1] for line in open("/proc/self/maps") if "omp.so" in line or "omp5.so" in line}
      if sys.platform == "linux" else "")
"""


@needs_kernels
def test_two_processes_train_to_the_same_bits_on_one_openmp_runtime() -> None:
    runs = [
        subprocess.Popen([sys.executable, "-c", RUN], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    (first, runtimes), second = (run.communicate(timeout=120)[0].splitlines() for run in runs)
    assert [first, runtimes] == second
    assert runtimes.count(".so") == 1 or not sys.platform.startswith("linux")


@needs_kernels
def test_a_sum_over_the_batch_does_not_depend_on_who_is_first() -> None:
    fast = nn.Sequential(*convolution(16, 16), *normalization(16))
    assert accelerate(fast) == "winograd"
    x = torch.randn(32, 16, 28, 28)
    dy = torch.randn_like(x)
    state = copy.deepcopy(fast.state_dict())
    first = values(fast, x, dy)
    first = {name: value.clone() for name, value in first.items()}
    for _ in range(20):
        fast.load_state_dict(state)
        assert all(torch.equal(value, first[name]) for name, value in values(fast, x, dy).items())


@needs_kernels
@pytest.mark.parametrize("images", [1, 9])
@pytest.mark.parametrize("layout", ["channels_last", "contiguous"])
def test_a_convolution_for_inference_is_transformed_once(
    images: int, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stock = nn.Conv2d(32, 48, 3, padding=1)
    fast = copy.deepcopy(stock)
    fast.__class__ = native.FixedConv2d
    calls: list[int] = []
    panels = native._panels
    monkeypatch.setattr(native, "_panels", lambda *given: calls.append(1) or panels(*given))
    x = layouts[layout](torch.randn(images, 32, 14, 11))
    with torch.no_grad():
        expected = copy.deepcopy(stock).double()(x.double())
        for _ in range(2):
            assert error(fast(x), expected) < 1e-5
    # One image has too few tiles to be worth it.
    assert len(calls) == (images > 1)
    assert fast.state_dict().keys() == stock.state_dict().keys()


@needs_half_kernels
def test_a_convolution_for_inference_may_have_weights_in_bfloat16() -> None:
    stock = nn.Conv2d(32, 48, 3, padding=1).to(torch.bfloat16)
    fast = copy.deepcopy(stock)
    fast.__class__ = native.FixedConv2d
    x = torch.randn(9, 32, 14, 11).to(torch.bfloat16)
    with torch.no_grad():
        got, expected = fast(x), copy.deepcopy(stock).double()(x.double())
    assert got.dtype == torch.bfloat16 and fast._panels.keys() == {torch.bfloat16}
    assert (got - expected).std() / expected.std() < 0.015


@needs_half_kernels
@pytest.mark.parametrize("heads, size", [(1, 16), (3, 32), (2, 64), (1, 80)])
@pytest.mark.parametrize("queries, texts", [(1, 1), (5, 16), (12, 17), (64, 80), (1030, 3)])
@pytest.mark.parametrize("whole", [True, False])
def test_attention(heads: int, size: int, queries: int, texts: int, whole: bool) -> None:
    channels = heads * size
    pixels = torch.randn(2, queries, 3 * channels if whole else channels).to(torch.bfloat16)
    text = torch.randn(2, texts, 2 * channels).to(torch.bfloat16)
    # One score far beyond the others: a softmax that does not take off the largest overflows.
    pixels[:, 0, :channels], text[:, -1, :channels] = 9, 9
    got = native.attention(pixels, text, heads)
    expected = native.attention(pixels.double(), text.double(), heads)

    q, *own = (x.unflatten(2, (heads, size)).transpose(1, 2) for x in pixels.split(channels, 2))
    parts = [x.unflatten(2, (heads, size)).transpose(1, 2) for x in text.split(channels, 2)]
    k, v = (torch.cat(both, 2) for both in zip(parts, own, strict=True)) if whole else parts
    scores = q.double() @ k.double().mT / size**0.5
    torch.testing.assert_close((scores.softmax(-1) @ v.double()).transpose(1, 2).flatten(2), expected)
    stock = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
    ours, theirs = ((y - expected).square().mean().sqrt() for y in (got, stock))
    assert got.dtype == torch.bfloat16
    assert ours <= 1.3 * theirs and torch.equal(got, native.attention(pixels, text, heads))


@needs_kernels
@pytest.mark.parametrize("gelu", [False, True])
@pytest.mark.parametrize("modulated", [False, True])
@pytest.mark.parametrize("channels, groups", [(16, 16), (48, 4), (64, 32), (96, 1)])
@pytest.mark.parametrize("layout", ["channels_last", "contiguous", "sliced"])
@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_half_kernels)])
def test_group_norm(
    channels: int, groups: int, modulated: bool, gelu: bool, layout: str, dtype: torch.dtype
) -> None:
    layer = nn.GroupNorm(groups, channels, eps=1e-3)
    nn.init.normal_(layer.weight)
    nn.init.normal_(layer.bias)
    # Channels far from 0, each elsewhere, and one of small values, where epsilon counts.
    x = torch.randn(3, channels, 9, 7) + 30 * torch.randn(3, channels, 1, 1)
    x[0] *= 0.01
    x = layouts[layout](x).to(dtype)
    modulation = torch.randn(3, 2 * channels) if modulated else None
    with torch.no_grad():
        got = native.group_norm(layer, x, modulation, gelu=gelu)
        expected = copy.deepcopy(layer).double()(x.double())
        if modulation is not None:
            scale, shift = modulation.double()[:, :, None, None].chunk(2, 1)
            expected = expected * (1 + scale) + shift
        if gelu:
            expected = nn.functional.gelu(expected)
    assert got.dtype == dtype
    assert error(got, expected) < (2e-5 if dtype == torch.float32 else 4e-3)  # rounding to 8 digits


@needs_kernels
@pytest.mark.parametrize("threads", [1, 3])
def test_any_number_of_threads_is_right(threads: int) -> None:
    torch.set_num_threads(threads)
    found = errors(nn.Sequential(*convolution(16, 16), *normalization(16)), torch.randn(8, 16, 28, 28))
    found.pop("d0.bias")  # 0 but for rounding
    assert max(found.values()) < 2e-5, found


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("NOISEBOOK_CACHE_DIR", str(tmp_path))
    compiled._kernels.cache_clear()
    compiled.available.cache_clear()
    yield tmp_path / "native"
    compiled._kernels.cache_clear()
    compiled.available.cache_clear()


@needs_kernels
def test_the_kernels_are_compiled_once_into_a_private_folder(own_cache: Path) -> None:
    assert accelerate(convolution(16, 16)) == "winograd"
    assert own_cache.stat().st_mode & 0o777 == 0o700
    (library,) = own_cache.iterdir()
    made = library.stat()
    compiled._kernels.cache_clear()
    compiled.available.cache_clear()
    assert accelerate(convolution(16, 16)) == "winograd"
    assert list(own_cache.iterdir()) == [library]
    assert (library.stat().st_mtime_ns, library.stat().st_ino) == (made.st_mtime_ns, made.st_ino)


@pytest.mark.parametrize(
    "setting, expected",
    [
        ({"NOISEBOOK_NATIVE": "0"}, "stock (NOISEBOOK_NATIVE=0)"),
        ({"ATEN_CPU_CAPABILITY": "default"}, "stock (no AVX2 and FMA)"),
        ({"CXX": "/nowhere/g++"}, "stock ("),
        ({"CXX": "false"}, "stock (false failed"),
        ({"CXX": "", "PATH": ""}, "stock (no C++ compiler)"),
        ({"NOISEBOOK_CACHE_DIR": "/dev/null"}, "stock ("),
    ],
    ids=lambda value: " ".join(f"{k}={v}" for k, v in value.items()) if isinstance(value, dict) else "",
)
def test_without_what_it_needs_the_network_stays_stock(
    setting: dict[str, str], expected: str, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in setting.items():
        monkeypatch.setenv(name, value)
    if "ATEN_CPU_CAPABILITY" in setting:  # PyTorch reads it once, at its start
        monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "DEFAULT")
    net = convolution(16, 16)
    assert accelerate(net).startswith(expected)
    assert type(net[0]) is nn.Conv2d


@needs_kernels
def test_without_kernels_for_bfloat16_autocast_stays_pytorchs_own(
    own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = compiled.SOURCES[torch.bfloat16]
    monkeypatch.setitem(compiled.SOURCES, torch.bfloat16, source._replace(flags=["-mavx512nothing"]))
    net: Any = nn.Sequential(*convolution(16, 16), *normalization(16))
    assert "mavx512nothing" in accelerate(net, torch.bfloat16)
    assert type(net[0]) is nn.Conv2d and type(net[1]) is nn.BatchNorm2d
    stock = copy.deepcopy(net)
    assert accelerate(net) == "winograd"  # in fp32: under autocast these kernels step aside
    x = torch.randn(2, 16, 7, 7)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net(x), stock(x))


def test_a_network_in_double_precision_stays_stock() -> None:
    assert accelerate(convolution(16, 16).double()) == "stock (not in single precision on the CPU)"


def test_a_loaded_network_keeps_its_transformed_weights_and_answers_as_before() -> None:
    torch.manual_seed(0)
    shape = Shape(channels=(16, 16, 32), blocks=(1, 1, 1), looks=2)
    plain = Network(shape)
    with torch.no_grad():
        for value in plain.parameters():
            value.add_(0.02 * torch.randn_like(value))
    loaded = load_network(plain.state_dict(), shape)
    kinds = {type(layer) for layer in loaded.modules() if getattr(layer, "kernel_size", ()) == (3, 3)}
    fast = fastest_dtype() == torch.float32 and not compiled.unavailable()
    assert native.FixedConv2d in kinds if fast else kinds == {torch.nn.Conv2d}
    x, noise, read = torch.randn(4, 3, 64, 64), torch.zeros(4), torch.randn(4, 16, TEXT_WIDTH)
    with torch.no_grad():
        assert torch.allclose(loaded(x, noise, read), plain(x, noise, read), atol=1e-4)
