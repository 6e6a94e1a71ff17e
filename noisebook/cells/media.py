"""Bytes that are what they say they are: pictures that decode to their end, drawings, films, arrays."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from noisebook.cells import svg

if TYPE_CHECKING:
    from PIL import Image

LARGEST_PICTURE = 50_000_000
"""Pixels that a picture may have: what is larger is taken for a decompression bomb."""
LARGEST_FILM = 250_000_000
"""Pixels that all frames of a moving picture may have together."""
MOST_FRAMES = 5000
"""Frames that a moving picture may have."""
FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
"""What a picture may be, by its content: its file's name does not matter."""
MAGIC = {"video/mp4": (4, b"ftyp"), "video/webm": (0, b"\x1aE\xdf\xa3")}
"""Where the bytes stand by which a film is told."""


class NotAPicture(ValueError):
    """What is wrong with bytes that should be a picture."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that decodes to its end.

    ``mime`` is told by its content. ``width`` and ``height`` are pixels after EXIF rotation; ``dark`` and
    ``bright`` its extreme greys, 0 to 255: the mean of the channels, over white.
    """

    mime: str
    width: int
    height: int
    dark: int
    bright: int


def published(data: bytes, mime: str) -> bytes:
    """The bytes of an output as a site has them: proven to be of their type, and a drawing cleaned.

    Raises ValueError for what is not what it says it is.
    """
    if mime == "image/svg+xml":
        return svg.clean(data)
    if mime.startswith("image/"):
        found = decode(data, "it").mime
        if found != mime:
            raise ValueError(f"it says {mime} and is {found}")
    start, magic = MAGIC.get(mime, (0, b""))
    if data[start : start + len(magic)] != magic:
        raise ValueError(f"it says {mime} and is none")
    if mime == "application/x-safetensors":
        arrays(data)
    return data


def arrays(data: bytes) -> dict[str, dict[str, Any]]:
    """Named arrays, each its ``dtype``, ``shape`` and ``data``. Raises ValueError."""
    from safetensors import SafetensorError, deserialize

    try:
        return dict(deserialize(data))  # type: ignore[no-untyped-call]
    except (SafetensorError, TypeError) as error:
        raise ValueError(f"it holds no arrays: {error}") from error


def decode(data: bytes, who: str) -> Picture:
    """What there is to know of a picture that decodes to the end of its last frame.

    Raises NotAPicture, whose message calls it ``who``.
    """
    from PIL import ExifTags, Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                width, height = picture.size
                if width * height > LARGEST_PICTURE:
                    raise NotAPicture(f"{who} has more than {LARGEST_PICTURE:,} pixels")
                picture.verify()  # checksums, which decoding may not reach
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                frames = getattr(picture, "n_frames", 1)
                if frames > MOST_FRAMES:
                    raise NotAPicture(f"{who} has more than {MOST_FRAMES:,} frames")
                if width * height * frames > LARGEST_FILM:
                    raise NotAPicture(f"the {frames} frames of {who} have more than {LARGEST_FILM:,} pixels")
                turned = picture.getexif().get(ExifTags.Base.Orientation, 1) in (5, 6, 7, 8)
                mime = (picture.get_format_mimetype() or "").replace("/apng", "/png")
                dark, bright = _greys(picture)
                for frame in range(1, frames):
                    picture.seek(frame)
                    picture.load()
                if picture.format == "GIF" and not data.rstrip(b"\0\r\n ").endswith(b";"):
                    raise ValueError("it ends between two frames")
    except NotAPicture:
        raise
    except Image.DecompressionBombError as error:
        raise NotAPicture(f"{who} has more than {LARGEST_PICTURE:,} pixels") from error
    except Exception as error:  # decoders of damaged files raise almost anything
        said = "" if isinstance(error, UnidentifiedImageError) else f" ({error})"
        raise NotAPicture(f"{who} is not a whole picture{said}") from error
    return Picture(mime, *((height, width) if turned else (width, height)), dark, bright)


def _greys(picture: Image.Image) -> tuple[int, int]:
    from PIL import Image

    if picture.has_transparency_data:
        paper = Image.new("RGBA", picture.size, "white")
        paper.alpha_composite(picture.convert("RGBA"))
        picture = paper
    # 16-bit grey would be clipped on the way to RGB, not scaled.
    scale = 257 if picture.mode.startswith("I") else 1
    if scale == 1:
        picture = picture.convert("RGB").convert("L", (1 / 3, 1 / 3, 1 / 3, 0))
    dark, bright = (round(cast(float, grey) / scale) for grey in picture.getextrema())
    return dark, bright
