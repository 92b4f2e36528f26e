"""The models of a registered design by the hash of their weights, as the design wants them written.

`python -m tools.design_models [--recipes] FOLDER...` prints `models` and `unfinished` of the second
study, or of the recipes; a model is looked for in each folder, a GGUF file under its own name.
"""

import re
import sys
from pathlib import Path

from fulcra.backtest.registered import SECOND, read_design
from fulcra.defence.recipes.study import SHIPPED
from fulcra.defence.recipes.study import read_design as read_recipes
from fulcra.models.digests import files_sha256
from fulcra.organisms.planted import planted

#: The most steps of a tuning: one that ends there has not met its rule (organisms/recipe.py).
LAST_STEP = {r"-(sparse|k\d+)\b": 1500, r"-(dense|r\d+|first|last|kl|dpo)\b": 900}


def weights(folders: list[Path], name: str) -> list[Path]:
    """The files that hold the weights of a model; none where no folder has it."""
    for folder in folders:
        place = folder / name
        files = [place] if place.is_file() else sorted(place.glob("*.safetensors"))
        if files:
            return files
    return []


def unfinished(files: list[Path]) -> bool:
    """Whether the tuning of an organism ended without meeting its rule."""
    folder = files[0].parent
    steps = planted(folder).steps
    return any(re.search(way, folder.name) and steps == last for way, last in LAST_STEP.items())


def main() -> None:
    """Print both entries; leave with 1 where a model is missing."""
    recipes = "--recipes" in sys.argv
    folders = [Path(text) for text in sys.argv[1:] if text != "--recipes"]
    needed = read_recipes(SHIPPED).needed if recipes else read_design(SECOND).needed
    there = {name: weights(folders, name) for name in needed}
    print("models:")
    for name, files in there.items():
        print(f"  {name}: {files_sha256(files) if files else 'missing'}")
    late = [name for name, files in there.items() if files and unfinished(files)]
    print(f"unfinished: [{', '.join(late)}]")
    if not all(there.values()):
        sys.exit(1)


if __name__ == "__main__":
    main()
