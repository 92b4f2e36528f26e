"""A run killed at any write around its ledger is entered once, before its first dosed rollout."""

import os
import shutil
from pathlib import Path
from unittest.mock import patch

import pytest

from fulcra import Behavior, Model, audit
from fulcra.protocol.recheck.witnesses import ledger_look
from fulcra.protocol.witness.chain import Chain
from fulcra.protocol.witness.ledger import FILE, Ledger
from fulcra.protocol.witness.seat import read_receipt
from fulcra.store import RunFolder
from fulcra.studies.verify import second_look
from tests.chaos.audits import CACHE, RUN, SETTINGS, smallest
from tests.chaos.disk import RANDOM, Moments, State, watched

pytestmark = pytest.mark.slow

#: Files around whose writing a run is killed: the commitment, its entry, its receipt, the end.
AROUND = (FILE, "ledger.json", "commitment.json", "seal.json", "audit.json")


def audit_below(root: Path, model: Model, behavior: Behavior) -> None:
    """The smallest audit in root/run, entered in root/ledger."""
    with patch.dict(os.environ, FULCRA_CACHE=str(root / CACHE)):
        audit(model, behavior, SETTINGS, root / RUN, ledger=root / "ledger")


@pytest.fixture(scope="module")
def short(refusal: Behavior) -> Behavior:
    return smallest(refusal)


@pytest.fixture(scope="module")
def states(sparse: Model, short: Behavior, tmp_path_factory: pytest.TempPathFactory) -> list[State]:
    folder = tmp_path_factory.mktemp("ledger-kills")
    (folder / "whole").mkdir()
    moments = Moments(folder / "whole", folder / "states")
    with watched(moments.after):
        audit_below(folder / "whole", sparse, short)
    return moments.states


def chain_in(root: Path) -> Chain:
    return Ledger(root / "ledger").sound()


def test_no_dosed_rollout_stands_on_the_disk_before_its_commitment_is_entered(
    states: list[State],
) -> None:
    dosed = [state for state in states if RunFolder(state.root / RUN).has_dosed_parts()]
    assert len(dosed) > 10
    for state in dosed:
        receipt = read_receipt(state.root / RUN)
        assert receipt is not None
        first = chain_in(state.root).entries[0]
        assert (first.kind, first.run, first.link) == ("commitment", receipt.run, receipt.entered)


def around(states: list[State]) -> list[State]:
    """The states before and after each write of those files; the last ones, too."""
    places = {i for i, state in enumerate(states) if state.operation.endswith(AROUND)}
    return [states[i] for i in sorted({*places, *(i - 1 for i in places if i), len(states) - 1})]


def test_a_run_killed_around_its_ledger_is_entered_once_and_ends_once(
    states: list[State], sparse: Model, short: Behavior
) -> None:
    chosen = around(states)
    assert len(chosen) >= 8
    for state in chosen:
        root = Path(shutil.copytree(state.root, state.root.with_name(f"{state.number}-resumed")))
        audit_below(root, sparse, short)
        kinds = [entry.kind for entry in chain_in(root).entries]
        assert (kinds[0], kinds.count("commitment")) == ("commitment", 1), state.operation
        assert (kinds[-1], kinds.count("outcome")) == ("outcome", 1), state.operation
        assert set(kinds[1:-1]) <= {"resumption"}
        look = ledger_look(Ledger(root / "ledger"), root / RUN)
        assert [check for check in look.checks if not check.passed] == [], state.operation
        assert second_look(root / RUN).passed
        assert not [path for path in root.rglob("*") if RANDOM.search(path.name)]
        shutil.rmtree(root)
