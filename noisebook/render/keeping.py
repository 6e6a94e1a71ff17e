"""What a build keeps for the next one. The file is not trusted: reading it makes this, and runs nothing."""

from __future__ import annotations

import io
import pickle
from dataclasses import dataclass, is_dataclass
from typing import Any, Generic, TypeVar, cast

from noisebook.render.styles import Styles

T = TypeVar("T")


@dataclass(slots=True)
class Kept(Generic[T]):
    """A value that is read only when it is asked for: most of what is kept is passed on as it came."""

    _value: T | None = None
    _data: bytes = b""

    @property
    def value(self) -> T:
        if self._value is None:
            self._value = load(self._data)
        return cast(T, self._value)

    def __reduce__(self) -> tuple[Any, ...]:
        return Kept, (None, self._data or dump(self._value))


def dump(value: object) -> bytes:
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


def load(data: bytes) -> Any:
    """Raises whatever a pickle of anything else leads to."""
    return _Reader(io.BytesIO(data)).load()


class _Reader(pickle.Unpickler):
    """Makes the dataclasses of these rooms, and nothing else that a file might name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in (("markupsafe", "Markup"), ("pathlib", "PosixPath"), ("pathlib", "WindowsPath")):
            return super().find_class(module, name)
        if module.startswith(("noisebook.render.", "noisebook.report.", "noisebook.cells.")):
            found = super().find_class(module, name)
            if found is Styles or (isinstance(found, type) and is_dataclass(found)):
                return found
        raise pickle.UnpicklingError(f"{module}.{name} is not kept")
