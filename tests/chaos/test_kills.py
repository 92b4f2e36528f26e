"""A run survives kill -9 at every write: gone on with, its files are those of a whole run."""

import pytest

from fulcra import Behavior, Model
from fulcra.disk import LOCK
from tests.chaos.audits import Undisturbed, faults_after, smallest, undisturbed
from tests.chaos.disk import RANDOM

pytestmark = pytest.mark.slow

#: `make chaos` goes on after every change.
EVERY = 2


@pytest.fixture(scope="module")
def short(refusal: Behavior) -> Behavior:
    return smallest(refusal)


@pytest.fixture(scope="module")
def whole(sparse: Model, short: Behavior, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return undisturbed(sparse, short, tmp_path_factory.mktemp("kills"))


def test_a_whole_run_leaves_no_temporary_file_and_no_lock(whole: Undisturbed) -> None:
    assert whole.moments.operations > len(whole.moments.states) > 40
    assert not [name for name in whole.files if RANDOM.search(name) or name.endswith(LOCK)]


def test_a_run_killed_at_every_second_change_goes_on_as_if_nothing_was(
    whole: Undisturbed, sparse: Model, short: Behavior
) -> None:
    for state in whole.moments.states[::EVERY]:
        assert faults_after(state, whole, sparse, short) == []


def test_a_run_killed_in_its_last_steps_is_tidied_when_it_is_opened(
    whole: Undisturbed, sparse: Model, short: Behavior
) -> None:
    for state in whole.moments.states[-4:]:
        assert faults_after(state, whole, sparse, short) == []
