"""The UNet for 28×28 digits, out of its named blocks; optionally conditioned on time and class."""

from __future__ import annotations

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

Objective = Literal["denoise", "pure_noise", "time", "class", "flow_time", "flow_class"]
"""What a network learns: see :class:`noisebook.networks.mnist.training.Recipe`."""

convolution = partial(nn.Conv2d, kernel_size=3, padding=1)


class Conv(nn.Sequential):
    """(N, in, H, W) to (N, out, H, W)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(convolution(channels_in, channels_out), nn.BatchNorm2d(channels_out), nn.GELU())


class DownConv(nn.Sequential):
    """(N, in, H, W) to (N, out, H/2, W/2)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            convolution(channels_in, channels_out, stride=2), nn.BatchNorm2d(channels_out), nn.GELU()
        )


class UpConv(nn.Sequential):
    """(N, in, H, W) to (N, out, 2H, 2W)."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(channels_in, channels_out, 4, stride=2, padding=1),
            nn.BatchNorm2d(channels_out),
            nn.GELU(),
        )


class Flatten(nn.Sequential):
    """(N, C, 7, 7) to (N, C, 1, 1): one vector for the whole picture."""

    def __init__(self) -> None:
        super().__init__(nn.AvgPool2d(7), nn.GELU())


class Unflatten(nn.Sequential):
    """(N, C, 1, 1) to (N, C, 7, 7)."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.ConvTranspose2d(channels, channels, 7, stride=7), nn.BatchNorm2d(channels), nn.GELU()
        )


class ConvBlock(nn.Sequential):
    """Two Convs."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(Conv(channels_in, channels_out), Conv(channels_out, channels_out))


class DownBlock(nn.Sequential):
    """A DownConv and a ConvBlock."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(DownConv(channels_in, channels_out), ConvBlock(channels_out, channels_out))


class UpBlock(nn.Sequential):
    """An UpConv and a ConvBlock."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(UpConv(channels_in, channels_out), ConvBlock(channels_out, channels_out))


class FCBlock(nn.Sequential):
    """(N, in) to (N, out, 1, 1), to be added to every pixel of a feature map.

    It has biases: FCBlock(0) is not 0, so a class is dropped by zeroing its one-hot vector, before.
    """

    def __init__(self, features_in: int, features_out: int) -> None:
        super().__init__(
            nn.Linear(features_in, features_out),
            nn.GELU(),
            nn.Linear(features_out, features_out),
            nn.Unflatten(1, (features_out, 1, 1)),
        )


class UNet(nn.Module):
    """Digits to digits; at ``width`` D, 1,975,361 parameters for D = 64 and 7,891,073 for D = 128.

    Args:
        width: channels at full resolution, D.
        timed: takes the time t/T, in 0 … 1.
        classes: number of classes; 0 for none. Needs ``timed``.
        time_scales: feature maps are multiplied by the time's vectors, as in the course's flow network,
            in place of adding them. With classes it is the class that scales and the time that shifts.
    """

    def __init__(
        self, width: int, *, timed: bool = False, classes: int = 0, time_scales: bool = False
    ) -> None:
        super().__init__()
        if (classes or time_scales) and not timed:
            raise ValueError("the class-conditioned network is conditioned on time, too: pass timed=True")
        if classes and time_scales:
            raise ValueError("with classes, the class scales and the time shifts: pass time_scales=False")
        self.conv = ConvBlock(1, width)
        self.down1 = DownBlock(width, width)
        self.down2 = DownBlock(width, 2 * width)
        self.flatten = Flatten()
        self.unflatten = Unflatten(2 * width)
        self.up1 = UpBlock(4 * width, width)
        self.up2 = UpBlock(2 * width, width)
        self.out = ConvBlock(2 * width, width)
        self.last = convolution(width, 1)
        if timed:
            self.time1 = FCBlock(1, 2 * width)
            self.time2 = FCBlock(1, width)
        if classes:
            self.class1 = FCBlock(classes, 2 * width)
            self.class2 = FCBlock(classes, width)
        self.timed = timed
        self.classes = classes
        self.time_scales = time_scales

    def forward(self, x: Tensor, time: Tensor | None = None, one_hot: Tensor | None = None) -> Tensor:
        """(N, 1, 28, 28) to (N, 1, 28, 28).

        Args:
            x: the noisy digits.
            time: t/T, (N,), if ``timed``.
            one_hot: the classes, (N, classes), if ``classes``; a row of zeros stands for none.
        """
        if (time is not None) != self.timed or (one_hot is not None) != bool(self.classes):
            raise ValueError(f"this network is built with timed={self.timed}, classes={self.classes}")
        x1 = self.conv(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        unflatten = self.unflatten(self.flatten(x3))
        if one_hot is not None:
            unflatten = self.class1(one_hot) * unflatten
        if time is not None:
            unflatten = self._timed(unflatten, self.time1(time[:, None]))
        up1 = self.up1(torch.cat([unflatten, x3], 1))
        if one_hot is not None:
            up1 = self.class2(one_hot) * up1
        if time is not None:
            up1 = self._timed(up1, self.time2(time[:, None]))
        up2 = self.up2(torch.cat([up1, x2], 1))
        result: Tensor = self.last(self.out(torch.cat([up2, x1], 1)))
        return result

    def _timed(self, features: Tensor, time: Tensor) -> Tensor:
        return features * time if self.time_scales else features + time


def unet_for(objective: Objective, width: int) -> UNet:
    """The network of an objective, its weights drawn from torch's global generator."""
    return UNet(
        width,
        timed=objective not in ("denoise", "pure_noise"),
        classes=10 if objective in ("class", "flow_class") else 0,
        time_scales=objective == "flow_time",
    )
