"""DeepFloyd IF, stages I and II, through diffusers.

    python -m noisebook.models.deepfloyd xl          # download, and pin in models.lock.json
    python -m noisebook.models.deepfloyd m --folder /models/IF-I-M --stage 1

Sizes xl, l and m for stage I, l and m for stage II (xl's second stage is l's). The weights are gated: accept
the licence on the model's page, then set HF_TOKEN or run ``hf auth login``. Pinned files are checked before
they are used.

The text encoder has 4.5 billion parameters and never shares memory with a network: what it says about a
prompt is kept in the user's cache folder, by content, and a prompt that is known there needs no encoder.

Settings are environment variables, and no part of a cell's key: ``NOISEBOOK_DEVICE`` (cuda, mps, cpu),
``NOISEBOOK_DTYPE`` (float16, bfloat16, float32), ``NOISEBOOK_OFFLOAD`` (``none``; ``model`` keeps the network
off the GPU between cells; ``sequential`` brings its layers one by one, slowly, in little memory). A processor
computes in bfloat16 where it has instructions for it, and else in float32; for networks that are not too
large, :mod:`noisebook.kernels.deepfloyd_unet` makes both faster.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from noisebook.diffusion.denoiser import Denoiser, Enlarge, Prompt, check_finite
from noisebook.diffusion.schedules import forward, linear, squared_cosine
from noisebook.models.lock import Entry, MissingModel, pin, verify

REPOSITORIES = {
    ("xl", 1): "DeepFloyd/IF-I-XL-v1.0",
    ("l", 1): "DeepFloyd/IF-I-L-v1.0",
    ("m", 1): "DeepFloyd/IF-I-M-v1.0",
    ("xl", 2): "DeepFloyd/IF-II-L-v1.0",
    ("l", 2): "DeepFloyd/IF-II-L-v1.0",
    ("m", 2): "DeepFloyd/IF-II-M-v1.0",
}
NEEDED = ("unet/*", "scheduler/*", "image_noising_scheduler/*", "tokenizer/*", "text_encoder/*")
TOKENS = 77
"""Longest prompt that DeepFloyd was trained on."""


class PromptTooLong(ValueError):
    """A prompt of more tokens than the model was trained on."""


class TextEncoder:
    """What DeepFloyd's T5 says about prompts, kept by content."""

    def __init__(
        self, folder: Path | None, identity: str, cache: Path, dtype: torch.dtype, device: str
    ) -> None:
        """``folder`` holds tokenizer/ and text_encoder/; ``identity`` names their bytes (a revision)."""
        self.folder, self.identity, self.cache, self.dtype, self.device = (
            folder,
            identity,
            cache,
            dtype,
            device,
        )
        self._known: dict[str, Tensor] = {}

    def path(self, text: str) -> Path:
        """Where the embedding of one prompt is kept."""
        key = hashlib.sha256(json.dumps([self.identity, str(self.dtype), TOKENS, text]).encode())
        return self.cache / f"{key.hexdigest()}.safetensors"

    def missing(self, texts: Sequence[str]) -> list[str]:
        """Those of ``texts`` that are neither in memory nor in the cache folder."""
        from safetensors.torch import load_file

        found = []
        for text in dict.fromkeys(map(prepared, texts)):
            if text not in self._known and self.path(text).is_file():
                self._known[text] = load_file(self.path(text))["embedding"]
            if text not in self._known:
                found.append(text)
        return found

    def encode(self, texts: Sequence[str]) -> None:
        """Load the encoder, ask it about ``texts``, keep the answers, let it go."""
        from safetensors.torch import save_file
        from transformers import AutoTokenizer, T5EncoderModel

        if self.folder is None or not (self.folder / "tokenizer").is_dir():
            raise MissingModel(f"no text encoder for {texts[0]!r}: its folder has no tokenizer/")
        tokenizer = AutoTokenizer.from_pretrained(self.folder / "tokenizer")
        tokens = tokenizer(
            list(texts), padding="max_length", max_length=TOKENS, truncation=False, return_tensors=None
        )
        for text, ids in zip(texts, tokens["input_ids"], strict=True):
            if len(ids) > TOKENS:
                raise PromptTooLong(
                    f"the prompt {text[:60]!r}… has {len(ids)} tokens; DeepFloyd knows at most {TOKENS}"
                )
        with out_of_memory():
            encoder = T5EncoderModel.from_pretrained(self.folder / "text_encoder", dtype=self.dtype)
            encoder = encoder.eval().to(self.device)
            self.cache.mkdir(parents=True, exist_ok=True)
            for k, text in enumerate(texts):
                ids = torch.tensor([tokens["input_ids"][k]], device=self.device)
                mask = torch.tensor([tokens["attention_mask"][k]], device=self.device)
                with torch.inference_mode():
                    answer = encoder(ids, attention_mask=mask)[0][0].cpu().clone()
                check_finite(answer, f"the embedding of {text[:60]!r}, computed in {self.dtype}", OVERFLOW)
                self._known[text] = answer
                temporary = self.path(text).with_suffix(f".{os.getpid()}")
                save_file({"embedding": answer.contiguous()}, temporary)
                temporary.replace(self.path(text))
            del encoder
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def __getitem__(self, text: str) -> Tensor:
        """(77, 4096): the last hidden states of a prompt that is known."""
        return self._known[prepared(text)]


def prepared(text: str) -> str:
    """A prompt as DeepFloyd reads it: small letters, no space around."""
    return text.lower().strip()


OVERFLOW = "set NOISEBOOK_DTYPE=bfloat16 or NOISEBOOK_DTYPE=float32, which have a wider range than float16"


class DeepFloyd(Denoiser):
    """A stage of DeepFloyd IF as a :class:`noisebook.diffusion.denoiser.Denoiser`.

    Stage II takes :class:`noisebook.diffusion.denoiser.Enlarge` as its prompts.
    """

    if_it_overflows = OVERFLOW

    def __init__(
        self,
        folder: Path,
        text: TextEncoder,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        offload: str = "none",
    ) -> None:
        """Reads the configurations; the weights are loaded with the first prediction.

        Raises MissingModel for a folder that does not hold such a model.
        """
        self.folder, self.text, self.device, self.dtype, self.offload = folder, text, device, dtype, offload
        self.precision = str(dtype).removeprefix("torch.")
        config = read_config(folder / "unet" / "config.json")
        channels = config.get("in_channels")
        if config.get("_class_name") != "UNet2DConditionModel" or channels not in (3, 6):
            raise MissingModel(
                f"{folder}: expected DeepFloyd's UNet2DConditionModel with 3 or 6 input channels, "
                f"found {config.get('_class_name')} with {channels}"
            )
        self.image_size = int(config["sample_size"])
        self.alphas_cumprod = schedule(folder / "scheduler" / "scheduler_config.json")
        self.enlarges = channels == 6
        self._augmentation = (
            schedule(folder / "image_noising_scheduler" / "scheduler_config.json") if self.enlarges else None
        )
        self._unet: Any = None

    def embed(self, prompts: Sequence[Prompt]) -> tuple[list[str], Tensor | None, Tensor | None]:
        """Texts, and for stage II the enlarged pictures (B, 3, H, W) with their noise and its levels (B,).

        Raises PromptTooLong.
        """
        if not prompts:
            raise ValueError("no prompts")
        texts = [prompt.text if isinstance(prompt, Enlarge) else str(prompt) for prompt in prompts]
        missing = self.text.missing(texts)
        if missing:
            self._unet = None  # The encoder needs the room.
            self.text.encode(missing)
        if not self.enlarges:
            return texts, None, None
        return (
            texts,
            torch.stack([self._enlarged(prompt) for prompt in prompts]),
            torch.tensor([prompt.level for prompt in prompts]),
        )

    def _enlarged(self, prompt: Enlarge) -> Tensor:
        assert self._augmentation is not None
        size = (self.image_size, self.image_size)
        large = functional.interpolate(prompt.picture[None], size, mode="bilinear", align_corners=True)[0]
        return forward(large, float(self._augmentation[prompt.level]), prompt.noise)

    def predict(
        self, x_t: Tensor, t: int, conditioning: tuple[list[str], Tensor | None, Tensor | None]
    ) -> tuple[Tensor, Tensor | None]:
        """See :class:`noisebook.diffusion.denoiser.Denoiser`. Only the network runs in its own precision."""
        texts, enlarged, levels = conditioning
        unet = self.unet()
        x = x_t if enlarged is None else torch.cat([x_t, enlarged], 1)
        states = torch.stack([self.text[text] for text in texts])
        with torch.inference_mode(), out_of_memory():
            answer = unet(
                x.to(self.device, self.dtype),
                t,
                encoder_hidden_states=states.to(self.device, self.dtype),
                class_labels=None if levels is None else levels.to(self.device),
                return_dict=False,
            )[0]
        epsilon, variance = answer.to(x_t.device, torch.float32).split(3, 1)
        return epsilon, variance

    def unet(self) -> Any:
        """The network, loaded once."""
        if self._unet is None:
            self._unet = load_unet(self.folder, self.device, self.dtype, self.offload)
            with suppress(ImportError):  # kernels are optional
                from noisebook.kernels import deepfloyd_unet

                deepfloyd_unet.accelerate(self._unet)
        return self._unet


def load_unet(folder: Path, device: str, dtype: torch.dtype, offload: str) -> Any:
    """DeepFloyd's network from ``folder``/unet; raises MissingModel for weights that do not fit."""
    from diffusers import UNet2DConditionModel

    variants: list[str | None] = [None, "fp16"]
    if not any((folder / "unet").glob("diffusion_pytorch_model*.safetensors")):
        raise MissingModel(f"{folder}/unet: no weights (*.safetensors)")
    if not (folder / "unet" / "diffusion_pytorch_model.safetensors").exists():
        variants.reverse()
    try:
        with out_of_memory():
            unet = UNet2DConditionModel.from_pretrained(
                folder / "unet",
                torch_dtype=dtype,
                variant=variants[0],
                use_safetensors=True,
                low_cpu_mem_usage=False,
            ).eval()
            if offload == "sequential" and device != "cpu":
                from accelerate import cpu_offload

                cpu_offload(unet, torch.device(device))
                return unet
            if offload == "model" and device != "cpu":
                from accelerate import cpu_offload_with_hook

                return cpu_offload_with_hook(unet, torch.device(device))[0]
            return unet.to(device)
    except (OSError, RuntimeError, ValueError) as error:
        raise MissingModel(f"{folder}/unet: these weights cannot be loaded ({str(error)[:300]})") from error
    except Exception as error:
        if type(error).__name__ == "SafetensorError":
            raise MissingModel(f"{folder}/unet: broken or half-downloaded weights ({error})") from error
        raise


@contextmanager
def out_of_memory() -> Iterator[None]:
    """Say which settings need less memory."""
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise MemoryError(
            "out of memory. Less is needed with NOISEBOOK_DTYPE=float16 (a GPU) or bfloat16, with "
            "NOISEBOOK_OFFLOAD=model and then =sequential, or with a smaller model (deepfloyd-l, deepfloyd-m)"
        ) from error


def read_config(path: Path) -> dict[str, Any]:
    """A configuration file; raises MissingModel if it is absent or broken."""
    try:
        return dict(json.loads(path.read_bytes()))
    except FileNotFoundError:
        raise MissingModel(f"{path}: missing; is this a DeepFloyd folder, downloaded to its end?") from None
    except ValueError as error:
        raise MissingModel(f"{path}: broken ({error})") from error


def schedule(path: Path) -> Tensor:
    """ᾱ in float64 from a scheduler's configuration; raises MissingModel for a schedule that is not known."""
    config = read_config(path)
    steps = int(config.get("num_train_timesteps", 1000))
    if config.get("prediction_type", "epsilon") != "epsilon":
        raise MissingModel(f"{path}: predicts {config['prediction_type']}; only epsilon is known here")
    kind = config.get("beta_schedule", "linear")
    if kind == "squaredcos_cap_v2":
        return squared_cosine(steps)
    if kind == "linear":
        return linear(steps, config.get("beta_start", 1e-4), config.get("beta_end", 0.02))
    raise MissingModel(f"{path}: the schedule {kind!r} is not known here")


def device_and_dtype() -> tuple[str, torch.dtype]:
    """From the environment, or the fastest device that is there, in half precision if it is made for it."""
    found = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    device = os.environ.get("NOISEBOOK_DEVICE", found)
    usual = "float16"
    if device == "cpu":
        usual = "bfloat16" if torch.cpu._is_avx512_bf16_supported() else "float32"
    name = os.environ.get("NOISEBOOK_DTYPE", usual)
    types = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}
    if name not in types:
        raise MissingModel(f"NOISEBOOK_DTYPE={name}: known are {', '.join(types)}")
    return device, types[name]


def fetch(repository: str, revision: str, patterns: Sequence[str] = NEEDED, *, offline: bool = False) -> Path:
    """The folder of a repository on the hub at one revision; raises MissingModel with what to do."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, LocalEntryNotFoundError

    page = f"https://huggingface.co/{repository}"
    try:
        return Path(
            snapshot_download(
                repository,
                revision=revision,
                allow_patterns=list(patterns),
                ignore_patterns=["*.bin", "*.ckpt"],
                local_files_only=offline,
            )
        )
    except GatedRepoError as error:
        raise MissingModel(
            f"{repository} is gated: accept its licence on {page}, then set HF_TOKEN or run `hf auth login`"
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise MissingModel(
            f"{repository} is neither on this machine nor can it be downloaded. Accept its licence on "
            f"{page}, set HF_TOKEN, and try again with a connection ({str(error).splitlines()[0][:160]})"
        ) from error


def load(name: str, entry: Entry, root: Path) -> DeepFloyd:
    """The stage that ``entry`` of the lock file pins: from its folder, or from the hub at its revision."""
    from platformdirs import user_cache_path

    if entry.get("folder"):
        folder = root / entry["folder"]
        if not folder.is_dir():
            raise MissingModel(f"{name}: there is no folder {folder}")
    else:
        folder = fetch(entry["repository"], entry["revision"], list(entry["files"]))
    verify(name, entry, folder)
    device, dtype = device_and_dtype()
    # The encoder comes with stage I; both stages share it.
    encoder = root / entry["text_folder"] if entry.get("text_folder") else folder
    cache = user_cache_path("noisebook") / "deepfloyd"
    text = TextEncoder(encoder, str(entry.get("text", entry["revision"])), cache, dtype, device)
    offload = os.environ.get("NOISEBOOK_OFFLOAD", "none")
    return DeepFloyd(folder, text, device=device, dtype=dtype, offload=offload)


def pin_stage(
    root: Path, size: str, stage: int, folder: Path | None = None, revision: str = "main"
) -> Mapping[str, Any]:
    """Pin one stage in the lock file, from a folder or from the hub, and give its entry."""
    repository = REPOSITORIES[size, stage]
    where = folder or fetch(repository, revision)
    if folder is None:
        revision = where.name  # The hub's cache names a snapshot by its commit.
    files = {
        path.relative_to(where).as_posix(): path
        for pattern in NEEDED
        for path in sorted(where.glob(pattern))
        if path.is_file() and path.suffix in (".json", ".safetensors", ".model", ".txt")
    }
    DeepFloyd(where, TextEncoder(where, revision, where, torch.float32, "cpu"))
    return pin(
        root,
        f"deepfloyd-{size}/stage{stage}",
        files,
        kind="model",
        loader="noisebook.models.deepfloyd",
        revision=revision,
        licence="DeepFloyd IF License Agreement",
        repository=repository,
        **({"folder": str(folder)} if folder else {}),
    )


def main() -> int:
    """``python -m noisebook.models.deepfloyd``."""
    parser = argparse.ArgumentParser(
        prog="python -m noisebook.models.deepfloyd", description="Pin DeepFloyd IF."
    )
    parser.add_argument("size", choices=["xl", "l", "m"])
    parser.add_argument("--stage", type=int, choices=[1, 2], help="one stage only")
    parser.add_argument("--folder", type=Path, help="a folder that already holds that stage")
    parser.add_argument("--revision", default="main", help="branch, tag or commit on the hub")
    given = parser.parse_args()
    if given.folder and not given.stage:
        parser.error("--folder holds one stage: say which with --stage")
    try:
        for stage in [given.stage] if given.stage else [1, 2]:
            entry = pin_stage(Path.cwd(), given.size, stage, given.folder, given.revision)
            print(f"deepfloyd-{given.size}/stage{stage}: {len(entry['files'])} files at {entry['revision']}")
    except MissingModel as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
