"""The split file: one hash for one meaning, and every mistake in one line."""

from pathlib import Path

import pytest

from fulcra.backtest.split import SHIPPED, Cabinet, read_split
from fulcra.errors import InputError, RunFolderError

SMALL = (
    "development:\n  - {name: a, recipe: a, ceilings: [apothecary-base]}\nheld_out:\n  - {name: b,"
    " recipe: b, ceilings: [nowhere]}\n"
)


def written(folder: Path, text: str) -> Path:
    path = folder / "split.yaml"
    path.write_text(text)
    return path


def test_the_shipped_split_holds_out_six_lineages_of_five_recipes_and_more() -> None:
    split = read_split(SHIPPED)
    assert len(split.held_out) >= 6
    development = {group.name for group in split.development}
    recipes = {group.recipe for group in split.development}
    assert not development & {group.name for group in split.held_out}
    assert len({group.recipe for group in split.held_out} - recipes) >= 2
    assert len({group.world for group in split.held_out}) >= 3


def test_the_hash_is_of_the_meaning_and_not_of_the_layout(tmp_path: Path) -> None:
    first = read_split(written(tmp_path, SMALL)).sha256
    assert read_split(written(tmp_path, "# a remark\n" + SMALL)).sha256 == first
    assert read_split(written(tmp_path, SMALL.replace("nowhere", "elsewhere"))).sha256 != first


def test_models_are_looked_for_among_the_bundled_and_in_the_folder(tmp_path: Path) -> None:
    split = read_split(written(tmp_path, SMALL))
    assert Cabinet().missing(split) == ["nowhere"]
    assert Cabinet(tmp_path).has("apothecary-base")
    with pytest.raises(InputError, match="not bundled and not in any folder"):
        Cabinet().load("nowhere")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SMALL.replace("nowhere", "apothecary-base"), "model apothecary-base stands there twice"),
        (SMALL.replace("name: b", "name: a"), "lineage a stands there twice"),
        (SMALL.replace("recipe: b", "recipes: b"), "held_out.0.recipe"),
        ("development: [", "not YAML"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_split(written(tmp_path, text))
    with pytest.raises((InputError, RunFolderError), match="cannot be read"):
        read_split(tmp_path / "none.yaml")
