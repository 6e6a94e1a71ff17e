"""Folders of models that diffusers wrote: from the hub or from a disk, checked before minutes are spent."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisebook.diffusion.schedules import linear, squared_cosine
from noisebook.models.lock import DEEPFLOYD, Entry, MissingModel, at_hand, place_of, verify

SCHEDULERS = (
    "DDPMScheduler",
    "DDIMScheduler",
    "PNDMScheduler",
    "DPMSolverMultistepScheduler",
    "EulerDiscreteScheduler",
    "EulerAncestralDiscreteScheduler",
    "LMSDiscreteScheduler",
    "UniPCMultistepScheduler",
)
"""Those whose configuration tells ᾱ of discrete timesteps by β. Their steps are not used: ours are."""


def fetch(repository: str, revision: str, patterns: Sequence[str]) -> Path:
    """The folder of a repository on the hub at one revision; raises MissingModel with what to do.

    Only safetensors are fetched, never pickles, and nothing if the disk has no room for all of it.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    given: dict[str, Any] = {
        "revision": revision,
        "allow_patterns": list(patterns),
        "ignore_patterns": ["*.bin", "*.ckpt", "*.pt", "*.pth", "*.msgpack", "*.onnx"],
    }
    try:
        planned = snapshot_download(repository, **given, dry_run=True)
        wanted = sum(file.file_size for file in planned if file.will_download)
        check_room(Path(constants.HF_HUB_CACHE), wanted, repository)
        return Path(snapshot_download(repository, **given))
    except HFValidationError as error:
        raise MissingModel(f"{repository!r} is not the name of a repository: {error}") from error
    except (HfHubHTTPError, OSError) as error:
        raise MissingModel(_unavailable(repository, revision, error)) from error
    except (LookupError, TypeError, ValueError) as error:
        # A network's own page, as before one signs in to it, answers in the hub's place.
        place = constants.ENDPOINT
        raise MissingModel(
            f"{repository}: {place} does not answer as a hub does; open it in a browser"
        ) from error


def _unavailable(repository: str, revision: str, error: BaseException) -> str:
    """Why a repository cannot be downloaded, as far as the hub has said it, and what to do."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    page, sign_in = f"https://huggingface.co/{repository}", "set HF_TOKEN or run `hf auth login`"
    causes = [error]
    while (cause := causes[-1].__cause__) is not None:
        causes.append(cause)
    if any(getattr(each, "errno", None) == errno.ENOSPC for each in causes):
        return f"{repository}: the disk is full; make room, then try again"
    for each in reversed(causes):
        if isinstance(each, GatedRepoError):
            return f"{repository} is gated: accept its licence on {page}, then {sign_in}"
        if isinstance(each, RepositoryNotFoundError):
            return f"the hub shows no {repository}: is this its name? If it is private, {sign_in}"
        if isinstance(each, RevisionNotFoundError):
            return f"{repository} has no revision {revision}: {page}/commits/main names those that it has"
    reason = (str(causes[-1]).splitlines() or [""])[0][:160]
    return (
        f"{repository} is neither on this machine nor can it be downloaded. Is it there, at revision "
        f"{revision}? Accept its licence on {page} if it has one, set HF_TOKEN, and try again with a "
        f"connection ({reason})"
    )


def check_room(folder: Path, wanted: int, name: str) -> None:
    """Raises MissingModel if the disk of ``folder`` has no room for ``wanted`` more bytes."""
    place = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(place).free
    if wanted > free:
        raise MissingModel(
            f"{name} needs {wanted / 1e9:.1f} GB more on the disk of {folder}, where {free / 1e9:.1f} GB are "
            "free; make room, or set HF_HOME to a folder on a larger disk"
        )


def located(name: str, entry: Entry, root: Path) -> Path:
    """The folder with an entry's files, each checked against its digest. Raises MissingModel."""
    if entry.get("folder"):
        folder = root / entry["folder"]
        if not folder.is_dir():
            raise MissingModel(f"{name}: there is no folder {folder}; put it back, or pin another")
        family = name.partition("/")[0]
        called = name if family in DEEPFLOYD else family  # A folder holds one stage of DeepFloyd.
        again = f"noisebook models add {called} --folder {entry['folder']}"
        hint = f"if it was changed on purpose, `{again}` pins it as it is now"
    elif at_hand(entry, root):
        folder = place_of(entry, root)  # No connection is needed.
        hint = (
            f"delete {folder.parents[1]}, and `noisebook models add {entry['repository']}` downloads it again"
        )
    else:
        folder = fetch(entry["repository"], entry["revision"], list(entry["files"]))
        hint = f"{entry['repository']} has other files at this revision than were pinned"
    verify(name, {"get": hint, **entry}, folder)
    return Path(folder)


def read_config(path: Path) -> dict[str, Any]:
    """A configuration file; raises MissingModel if it is absent or broken."""
    try:
        found = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        hint = "is this a folder that diffusers wrote, downloaded to its end?"
        raise MissingModel(f"{path}: missing; {hint}") from None
    except ValueError as error:
        raise MissingModel(f"{path}: broken ({error})") from error
    if not isinstance(found, dict):
        raise MissingModel(f"{path}: broken (expected names with values, as diffusers writes them)")
    return found


@contextmanager
def understood(folder: Path) -> Iterator[None]:
    """Raises MissingModel where a folder's configuration makes diffusers, or us, raise anything else."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {str(error)[:300]}"
        raise MissingModel(f"{folder}: its configuration is none that is known here ({reason})") from error


def schedule(path: Path, predictions: Sequence[str] = ("epsilon",)) -> Tensor:
    """ᾱ in float64 from a scheduler's configuration.

    One that is rescaled to end in pure noise ends at :data:`FAINTEST`.
    Raises MissingModel for a scheduler, a schedule or a prediction that is not known, and for ᾱ that do not
    fall from 1 to 0.
    """
    config = read_config(path)
    kind, steps = config.get("_class_name", SCHEDULERS[0]), int(config.get("num_train_timesteps", 1000))
    if kind not in SCHEDULERS:
        raise MissingModel(
            f"{path}: the scheduler {kind} is not known here; known are {', '.join(SCHEDULERS)}"
        )
    prediction = config.get("prediction_type", "epsilon")
    if prediction not in predictions:
        raise MissingModel(f"{path}: predicts {prediction}; only {', '.join(predictions)} is known here")
    alphas = _alphas(path, config, steps)
    if not (len(alphas) and ((alphas > 0) & (alphas <= 1)).all() and (alphas.diff() <= 0).all()):
        raise MissingModel(f"{path}: its {steps} timesteps are no schedule: ᾱ must fall, from 1 to above 0")
    if not config.get("rescale_betas_zero_snr"):
        return alphas
    if prediction == "epsilon":
        raise MissingModel(
            f"{path}: its schedule ends in pure noise, where an estimate of the noise says nothing of the "
            "picture: with rescale_betas_zero_snr, prediction_type is v_prediction or sample"
        )
    return zero_terminal(alphas)


FAINTEST = 1e-14
"""ᾱ of pure noise: 0, but that one may divide by it. 1e-7 of the picture's amplitude."""


def zero_terminal(alphas_cumprod: Tensor) -> Tensor:
    """A schedule rescaled so that its last timestep is pure noise (Lin and others 2024, algorithm 1): √ᾱ is
    shifted to end at 0, and scaled to begin where it did. float64."""
    root = alphas_cumprod.sqrt()
    moved: Tensor = ((root - root[-1]) * root[0] / (root[0] - root[-1])).square().clamp(min=FAINTEST)
    return moved


def _alphas(path: Path, config: dict[str, Any], steps: int) -> Tensor:
    """ᾱ of a configuration as it is before any rescaling."""
    if (trained := config.get("trained_betas")) is not None:
        return torch.cumprod(1 - torch.tensor(trained, dtype=torch.float64), 0)
    first, last = float(config.get("beta_start", 1e-4)), float(config.get("beta_end", 0.02))
    match config.get("beta_schedule", "linear"):
        case "squaredcos_cap_v2":
            return squared_cosine(steps)
        case "linear":
            return linear(steps, first, last)
        case "scaled_linear":
            betas = torch.linspace(first**0.5, last**0.5, steps, dtype=torch.float64) ** 2
            return torch.cumprod(1 - betas, 0)
        case other:
            raise MissingModel(f"{path}: the schedule {other!r} is not known here")


def weights_in(folder: Path) -> Iterator[Path]:
    """The safetensors files of one network: one file, or the parts that its index names.

    Raises MissingModel if there are none, one is missing, or one ends too early.
    """
    from safetensors import SafetensorError, safe_open

    index = next(iter(sorted(folder.glob("*.safetensors.index*.json"))), None)
    names = sorted(set(read_config(index)["weight_map"].values())) if index else []
    found = [folder / name for name in names] or sorted(folder.glob("*.safetensors"))
    if not found:
        pickled = any(folder.glob("*.bin"))
        why = "; weights as pickle (*.bin) are not read, for they can run code" if pickled else ""
        raise MissingModel(f"{folder}: no weights (*.safetensors){why}")
    for path in found:
        try:
            with safe_open(path, "pt"):
                yield path
        except FileNotFoundError:
            raise MissingModel(f"{path}: missing; is the download at its end?") from None
        except (SafetensorError, OSError) as error:
            raise MissingModel(f"{path}: broken or half-downloaded weights ({error})") from error
