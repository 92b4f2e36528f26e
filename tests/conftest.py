"""What every test shares: two threads, shapes and types checked at run time, the folder of shared data."""

from pathlib import Path

import jaxtyping
import pytest
import torch
from hypothesis import settings

from tests import typechecks

torch.set_num_threads(2)
# the same examples every time, and no clock: a busy machine is no failure
settings.register_profile("fulcra", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("fulcra")
# rooms whose shapes are annotated; fulcra.types is left out because its protocols cannot be checked at run time
jaxtyping.install_import_hook(["fulcra.formulas"], f"{typechecks.__name__}.checked")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data beside the checkout; tests that need it are skipped where it is absent."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip(f"needs the shared data folder {folder.name}/data beside the checkout, which is absent")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests marked `gpu` where there is no accelerator."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs an accelerator"))
