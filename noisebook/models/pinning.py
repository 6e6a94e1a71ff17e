"""Pinning a model of diffusers' layout, from the hub or from a folder, in the report's lock file."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from noisebook.models.hub import fetch, read_config, understood
from noisebook.models.lock import Entry, MissingModel, pin, read_lock
from noisebook.models.settings import Settings

LOADERS = (
    "noisebook.models.unconditional",
    "noisebook.models.prx_pixel",
    "noisebook.models.stable_diffusion",
)
KEPT = (".json", ".safetensors", ".model", ".txt")


def loader_of(folder: Path) -> Any:
    """The module that loads what a folder holds, told from its configuration. Raises MissingModel."""
    index = folder / "model_index.json"
    path = index if index.is_file() else folder / "config.json"
    kind = read_config(path).get("_class_name")
    modules = [import_module(name) for name in LOADERS]
    for module in modules:
        if kind in module.PIPELINES:
            return module
    if str(kind).startswith("IF"):
        raise MissingModel(
            f"{path}: DeepFloyd is added by its name (-m, -l or -xl): noisebook models add deepfloyd-m; "
            f"a folder holds one stage: noisebook models add deepfloyd-m/stage1 --folder {folder}"
        )
    known = ", ".join(name for module in modules for name in module.PIPELINES)
    raise MissingModel(f"{path}: a {kind} is not known here; known are {known}")


def pin_model(
    root: Path, family: str, repository: str = "", folder: Path | None = None, revision: str = ""
) -> Entry:
    """Pin ``family`` from the hub or from a folder, checked, and give its entry. Raises MissingModel."""
    origin = {"folder": str(folder)} if folder else {"repository": repository}
    old = read_lock(root).get(f"{family}/stage1")
    if old and any(old.get(key) != value for key, value in origin.items()):
        was = old.get("folder") or old.get("repository")
        raise MissingModel(f"{family} is pinned from {was}: noisebook models remove {family} comes first")
    if folder:
        where, revision = root / folder, "folder"
        module = loader_of(where)
    else:
        # The configurations tell what else is needed.
        where = fetch(repository, revision or "main", ["*.json"])
        module = loader_of(where)
        where = fetch(repository, revision or "main", module.NEEDED)
        revision = where.name  # The hub's cache names a snapshot by its commit.
    paths = {path for pattern in module.NEEDED for path in where.glob(pattern) if path.is_file()}
    with understood(where):
        model = module.opened(where, Settings())
        model.check()
    files = {path.relative_to(where).as_posix(): path for path in paths if path.suffix in KEPT}
    fields = {"kind": "model", "loader": module.__name__, "revision": revision, **origin}
    licence = _licence(repository) if repository else "its owner's: Noisebook does not know it"
    return pin(root, f"{family}/stage1", files, **fields, licence=licence, description=model.describe())


def _licence(repository: str) -> str:
    from huggingface_hub import model_info
    from huggingface_hub.errors import HfHubHTTPError

    page = f"see https://huggingface.co/{repository}"
    try:
        card = model_info(repository).card_data
    except (HfHubHTTPError, OSError):
        return page
    return str(card.get("license") or page) if card else page
