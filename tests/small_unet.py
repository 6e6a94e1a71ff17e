"""A small random UNet2DModel of diffusers, in memory and as a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel

SIZE = 16


def unet(channels: int = 3, size: Any = SIZE, outputs: int | None = None, **more: Any) -> UNet2DModel:
    """Of so many colours, and of outputs: as many, if nothing is said."""
    torch.manual_seed(channels)
    return UNet2DModel(
        sample_size=size,
        in_channels=channels,
        out_channels=outputs or channels,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        **more,
    ).eval()


def folder_for(place: Path, scheduler: Any = None, **kinds: Any) -> Path:
    """A pipeline of such a network, saved as diffusers saves one."""
    DDPMPipeline(unet(**kinds), scheduler or DDPMScheduler()).save_pretrained(place)
    return place
