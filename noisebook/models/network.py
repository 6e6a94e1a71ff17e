"""One of diffusers' networks: loaded when it is first asked, checked against its configuration, and run in as
many rows at once as memory holds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from noisebook.models.hub import read_config, weights_in
from noisebook.models.lock import MissingModel
from noisebook.models.settings import Settings, out_of_memory, rows_that_fit


class Network:
    """A network in a folder with config.json and safetensors.

    Attributes:
        config: its configuration.
    """

    def __init__(
        self,
        family: str,
        kind: str,
        folder: Path,
        settings: Settings,
        prepare: Callable[[Any], None] | None = None,
    ) -> None:
        """``family`` and the class's name in diffusers, ``kind``, are what the folder must hold;
        ``prepare`` changes the network once it is loaded.

        Raises MissingModel for a folder that holds another kind of network.
        """
        self.kind, self.folder, self.settings, self.prepare = kind, folder, settings, prepare
        self.config = read_config(folder / "config.json")
        if self.config.get("_class_name") != kind:
            found = self.config.get("_class_name")
            raise MissingModel(f"{folder}: expected {family}'s {kind}, found {found}")
        self._loaded: Any = None
        self._bytes_per_row = 0

    def check(self) -> None:
        """Raises MissingModel for weights that are not those of the configuration. Reads headers only."""
        from safetensors import safe_open

        found: dict[str, list[int]] = {}
        for path in weights_in(self.folder):
            with safe_open(path, "pt") as file:
                found |= {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118
        with torch.device("meta"):
            network = self._class().from_config(self.config)
        if renew := getattr(network, "_fix_state_dict_keys_on_load", None):
            renew(found)  # Arrays of attention had other names once; diffusers reads both.
        wanted = {name: list(value.shape) for name, value in network.state_dict().items()}
        if wrong := sorted(name for name in wanted if found.get(name, []) != wanted[name]):
            raise MissingModel(
                f"{self.folder}: weights of another architecture than config.json says: {len(wrong)} of "
                f"{len(wanted)} arrays are missing or of another size, such as {wrong[0]}"
            )

    def _class(self) -> Any:
        import diffusers

        if not hasattr(diffusers, self.kind):
            old = diffusers.__version__
            raise MissingModel(f"{self.folder}: diffusers {old} has no {self.kind}: pip install -U diffusers")
        return getattr(diffusers, self.kind)

    def loaded(self) -> Any:
        """The network itself. Raises MissingModel for weights that do not fit, MemoryError."""
        if self._loaded is None:
            list(weights_in(self.folder))
            try:
                with out_of_memory(self.settings):
                    self._loaded = self._placed(self._read())
            except MemoryError:
                raise
            except (OSError, RuntimeError, ValueError) as error:
                message = f"{self.folder}: these weights cannot be loaded ({str(error)[:300]})"
                raise MissingModel(message) from error
        return self._loaded

    def release(self) -> None:
        """Let the network go: something else needs the room."""
        self._loaded = None
        if self.settings.device == "cuda":
            torch.cuda.empty_cache()

    def _read(self) -> Any:
        whole = any(self.folder.glob("diffusion_pytorch_model.safetensors*"))
        network, report = self._class().from_pretrained(
            self.folder,
            torch_dtype=self.settings.dtype,
            variant=None if whole else "fp16",
            use_safetensors=True,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
        if missing := report["missing_keys"]:
            raise ValueError(f"{len(missing)} arrays are missing, such as {sorted(missing)[0]}")
        if self.settings.slicing:
            sliced(network)
        if self.prepare:
            self.prepare(network)
        return network.eval()

    def _placed(self, network: Any) -> Any:
        device, offload = self.settings.device, self.settings.offload
        if offload == "none" or device == "cpu":
            return network.to(device)
        import accelerate

        if offload == "sequential":
            accelerate.cpu_offload(network, torch.device(device))
            return network
        return accelerate.cpu_offload_with_hook(network, torch.device(device))[0]

    def rows(self, ask: Callable[..., Tensor], *inputs: Tensor | None) -> Tensor:
        """What the network says about B rows, in as many calls as memory asks for.

        Args:
            ask: (network, some rows of each input) -> its answer about them, a tensor with these rows first.
            inputs: each (B, …), or None. They come to the network's device, those of floats in its type.

        Returns:
            (B, …) float32, on the CPU.
        """
        answers: list[Tensor] = []
        count, done = max(len(each) for each in inputs if each is not None), 0
        with torch.inference_mode(), out_of_memory(self.settings):
            network = self.loaded()
            while done < count:
                now = slice(done, done + self._at_once(count))
                given = [None if each is None else self._moved(each[now]) for each in inputs]
                answers.append(self._measured(partial(ask, network, *given)).to("cpu", torch.float32))
                done = now.stop
        return torch.cat(answers)

    def _moved(self, part: Tensor) -> Tensor:
        return part.to(self.settings.device, self.settings.dtype if part.is_floating_point() else None)

    def _at_once(self, count: int) -> int:
        if self.settings.batch_size or self.settings.device != "cuda":
            return self.settings.batch_size or count
        return rows_that_fit(self._bytes_per_row) if self._bytes_per_row else 1

    def _measured(self, call: Callable[[], Tensor]) -> Tensor:
        """Its first row on a GPU tells what memory a row takes."""
        if self._bytes_per_row or self.settings.device != "cuda":
            return call()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        answer = call()
        self._bytes_per_row = max(1, torch.cuda.max_memory_allocated() - before)
        return answer


def sliced(network: Any) -> None:
    """Let attention be computed one head at a time, where the network has layers that can."""
    from diffusers.models.attention_processor import Attention, SlicedAttnProcessor

    class Sliced(SlicedAttnProcessor):  # type: ignore[misc]
        """Without a warning, in each layer and step, of what no layer that is sliced so would use."""

        def __call__(self, *given: Any, temb: Any = None, **more: Any) -> Tensor:
            answer: Tensor = super().__call__(*given, **more)
            return answer

    if hasattr(network, "set_attention_slice"):
        network.set_attention_slice("max")
        return
    for layer in network.modules():
        if isinstance(layer, Attention):
            layer.set_attention_slice(1)
            if type(layer.processor) is SlicedAttnProcessor:
                layer.set_processor(Sliced(1))
