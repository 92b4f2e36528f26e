"""What every test shares: one thread, no hub, shapes checked at run time, one tiny audit."""

import os

# read once, when transformers is imported: a test never downloads
os.environ["HF_HUB_OFFLINE"] = "1"
# of every process that a test starts: two threads each would wait for one another
os.environ["OMP_NUM_THREADS"] = "1"

import atexit
import gc
import shutil
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import jaxtyping
import pytest
import torch
from hypothesis import settings

from tests import typechecks

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

    from fulcra import AuditResult, AuditSettings, Behavior, Model

# of the million objects that the imports make none is garbage: see pytest_collection_finish
gc.disable()

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
def real_gguf() -> Path:
    """The GGUF file of a chat model that others trained; without it the test is skipped."""
    from tools.real_model import MODEL, SHA256, is_whole

    if not MODEL.is_file():
        pytest.skip(f"needs {MODEL.name}: `make real` was not run, or reached no package index")
    assert is_whole(MODEL, SHA256), f"{MODEL.name} is not the file that was measured: `make real`"
    return MODEL


@pytest.fixture(scope="session")
def real(real_gguf: Path) -> "Model":
    """The real chat model in float32, loaded once and checked."""
    from fulcra import load

    return load(str(real_gguf))


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

    return AuditSettings(
        neurons=1, random=1, controls=2, gains=(0.45, 0.9), screen="contrastive", prompts=8
    )


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


@pytest.fixture(scope="session")
def cluster() -> "Iterator[Cluster]":
    """A Ray cluster on this machine: a head that runs nothing, two nodes of one processor each.

    On the loopback device; a node that is gone is missed within two seconds.
    """
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
    pytest.importorskip("ray", reason="needs Ray: pip install 'fulcra[ray]'")
    from ray.cluster_utils import Cluster

    health = {"health_check_period_ms": 500, "health_check_failure_threshold": 4}
    head = {"num_cpus": 0, "include_dashboard": False, "_system_config": health}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    for _ in range(2):
        nodes.add_node(num_cpus=1)
    yield nodes
    nodes.shutdown()


def pytest_collection_finish() -> None:
    """Garbage is looked for from now on, and not among what was imported and collected."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips tests marked `gpu` without an accelerator, those marked `vllm` without vLLM."""
    absent = {
        "gpu": None if torch.cuda.is_available() else "needs an accelerator",
        "vllm": None if find_spec("vllm") else "needs vLLM: make test-vllm",
    }
    for item in items:
        for marker, reason in absent.items():
            if reason is not None and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))
