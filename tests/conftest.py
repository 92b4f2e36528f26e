"""What every test shares: one thread, no hub, shapes checked at run time, one tiny audit."""

import os

# read once, when transformers is imported: a test never downloads
os.environ["HF_HUB_OFFLINE"] = "1"

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import jaxtyping
import pytest
import torch
from hypothesis import settings

from tests import typechecks

if TYPE_CHECKING:
    from fulcra import AuditResult, AuditSettings, Behavior, Model

# on tensors this small a second thread costs time, and on a busy machine much of it
torch.set_num_threads(1)
# the same examples every time, and no clock: a busy machine is no failure
settings.register_profile("fulcra", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("fulcra")
# rooms whose shapes are annotated; fulcra.types is left out because its protocols cannot be checked
# at run time
jaxtyping.install_import_hook(["fulcra.formulas"], f"{typechecks.__name__}.checked")

# random controls are cached for the user; a test starts from nothing and leaves nothing behind
os.environ["FULCRA_CACHE"] = tempfile.mkdtemp(prefix="fulcra-tests-")
atexit.register(shutil.rmtree, os.environ["FULCRA_CACHE"], ignore_errors=True)

ROOT = Path(__file__).resolve().parents[1]


def untimed(result: "AuditResult") -> "AuditResult":
    """The result without its timing, the only part in which two runs of one audit differ."""
    return result.model_copy(update={"timing": None})


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data beside the checkout; without it the test is skipped."""
    folder = ROOT.parent / "shared"
    if not (folder / "data").is_dir():
        pytest.skip(
            f"needs the shared data folder {folder.name}/data beside the checkout, which is absent"
        )
    return folder


@pytest.fixture(scope="session")
def real_model_path() -> Path:
    """The file of a real chat model under .cache/real; without one that loads, a skip."""
    from fulcra import load
    from fulcra.errors import FulcraError

    for path in sorted((ROOT / ".cache" / "real").glob("*.gguf")):
        try:
            load(str(path))
        except FulcraError as error:
            pytest.skip(f"{path.name} does not load: {error}")
        return path
    pytest.skip("needs a real chat model in .cache/real, which `make real` brings")


@pytest.fixture(scope="session")
def sparse() -> "Model":
    """The bundled organism whose refusal was planted in three neurons."""
    from fulcra import load

    return load("apothecary-sparse")


@pytest.fixture(scope="session")
def refusal() -> "Behavior":
    """The bundled refusal behavior."""
    from fulcra import load_behavior

    return load_behavior("refusal")


@pytest.fixture(scope="session")
def tiny() -> "AuditSettings":
    """The smallest audit with every stage in it."""
    from fulcra import AuditSettings

    return AuditSettings(neurons=1, random=1, controls=2, gains=(0.45, 0.9), screen="contrastive")


@pytest.fixture(scope="session")
def audited(
    sparse: "Model",
    refusal: "Behavior",
    tiny: "AuditSettings",
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The folder of a finished tiny audit; never changed, see `run_copy`."""
    from fulcra import audit

    folder = tmp_path_factory.mktemp("audited") / "run"
    audit(sparse, refusal, tiny, folder)
    return folder


@pytest.fixture
def run_copy(audited: Path, tmp_path: Path) -> Path:
    """A copy of the finished tiny audit that a test may spoil."""
    return Path(shutil.copytree(audited, tmp_path / "run"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests marked `gpu` where there is no accelerator."""
    if torch.cuda.is_available():
        return
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(pytest.mark.skip(reason="needs an accelerator"))
