"""What pyproject.toml cannot say: [compute] brings the models from the folder beside this file, and the rooms
that the rest does without are packed if they are there.

NOISEBOOK_RELEASE=1 requires them by name instead, for wheels that both go to an index.
"""

import os
from pathlib import Path
from typing import Any

from setuptools import Distribution, setup

HERE = Path(__file__).resolve().parent
MODELS = HERE / "models"
OPTIONAL = ("noisebook.kernels", "noisebook.shared")


class WithModels(Distribution):
    """Noisebook, whose extra ``compute`` requires its models."""

    def parse_config_files(self, *arguments: Any, **options: Any) -> None:
        super().parse_config_files(*arguments, **options)
        gone = {name for name in OPTIONAL if not (HERE / name.replace(".", "/")).is_dir()}
        self.packages = [name for name in self.packages if name not in gone]
        released = os.environ.get("NOISEBOOK_RELEASE")
        where = f"== {self.get_version()}" if released else f"@ {MODELS.as_uri()}"
        self.extras_require["compute"].append(f"noisebook-models {where}")


setup(distclass=WithModels)
