import copy
import subprocess
import sys

import pytest
import torch

from fulcra.models import products
from fulcra.models.products import OneDnnLinear, with_fast_products

HAS_ONEDNN = torch.backends.mkldnn.is_available()


@pytest.fixture
def faster(monkeypatch: pytest.MonkeyPatch) -> None:
    if not HAS_ONEDNN:
        pytest.skip("this torch has no oneDNN")
    monkeypatch.setattr(products, "onednn_is_faster", lambda: True)


@pytest.mark.usefixtures("faster")
@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (0, 4), (64, 5)])
def test_the_product_is_torchs_own_up_to_rounding(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Sequential(torch.nn.Linear(96, 40), torch.nn.Linear(40, 8, bias=False))
    quick = copy.deepcopy(linear)
    with_fast_products(quick)
    rows = torch.randn(*shape, 128)[..., :96]
    with torch.no_grad():
        torch.testing.assert_close(quick(rows), linear(rows), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("faster")
def test_gradients_and_other_dtypes_are_torchs_own_to_the_last_bit() -> None:
    linear = torch.nn.Linear(96, 40)
    quick = copy.deepcopy(linear)
    with_fast_products(quick)
    assert type(quick) is OneDnnLinear
    rows = torch.randn(5, 96, requires_grad=True)
    assert torch.equal(quick(rows), linear(rows))
    assert torch.autograd.grad(quick(rows).sum(), rows)[0].abs().sum() > 0
    with torch.no_grad():
        halves = rows.bfloat16()
        assert torch.equal(quick.bfloat16()(halves), linear.bfloat16()(halves))


@pytest.mark.usefixtures("faster")
def test_weights_names_and_kinds_of_layers_stay() -> None:
    class Own(torch.nn.Linear):
        pass

    model = torch.nn.ModuleDict({"plain": torch.nn.Linear(8, 4), "own": Own(8, 4)})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with_fast_products(model)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert type(model["own"]) is Own
    assert isinstance(model["plain"], torch.nn.Linear)


def test_nothing_changes_where_torch_is_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "onednn_is_faster", lambda: False)
    linear = torch.nn.Linear(8, 4)
    with_fast_products(linear)
    assert type(linear) is torch.nn.Linear


@pytest.mark.usefixtures("faster")
def test_where_memory_ran_out_a_new_shape_is_left_to_torch() -> None:
    program = """
import resource, torch
from fulcra.models.products import OneDnnLinear
linear = torch.nn.Linear(96, 40)
linear.__class__ = OneDnnLinear
with torch.no_grad():
    linear(torch.ones(3, 96))
    size = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (1 << 16), -1))
    linear(torch.ones(3, 96))
    # fails as torch does, or succeeds as torch does: the process is not gone
    try:
        linear(torch.ones(77, 96))
    except RuntimeError as error:
        assert "DefaultCPUAllocator" in str(error), error
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True)
    assert done.returncode == 0, done.stderr
