"""A watch of vLLM's own rollouts reads the stream that this process reads, dosed or not."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch

from fulcra.errors import InputError
from fulcra.models.applying import applied_rows
from fulcra.models.watching import Windows, watched_stream
from fulcra.types import Edit, Edits, Neuron, RolloutRequest
from tests.vllm.conftest import TEXTS, Run

if TYPE_CHECKING:
    from fulcra import Model
    from fulcra.engines.vllm import VllmEngine

pytestmark = [pytest.mark.vllm, pytest.mark.filterwarnings("ignore")]
HORIZON, SIZE = 14, 4
EDITS: tuple[Edits, ...] = ((), (Edit(Neuron(3, 54), "add", 9.0),))


@pytest.fixture(scope="module")
def engine(sparse: "Model") -> Iterator["VllmEngine"]:
    from fulcra.engines.vllm import VllmEngine

    engine = VllmEngine(sparse)
    yield engine
    engine.close()


def here(model: "Model", text: str, edits: Edits) -> Windows:
    """The windows of one greedy reply generated in this process."""
    windows, ids = Windows(model, SIZE), torch.tensor([model.prompt_ids(text)])
    with watched_stream(windows), applied_rows(model, [edits]):
        model.hf.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=HORIZON)
    windows.sum_up()
    return windows


def test_every_window_is_that_of_this_process(
    engine: "VllmEngine", sparse: "Model", rolled: Run
) -> None:
    requests = [
        RolloutRequest(sparse.prompt_ids(text), edits, HORIZON) for text in TEXTS for edits in EDITS
    ]
    windows = Windows(sparse, SIZE)
    with engine.watched(windows):
        rolled(engine, requests)
    for i, (text, edits) in enumerate((text, edits) for text in TEXTS for edits in EDITS):
        expected = [mean for _, mean in here(sparse, text, edits).complete]
        read = [mean for row, mean in windows.complete if row == i]
        assert len(read) == len(expected) > 0
        torch.testing.assert_close(torch.stack(read), torch.stack(expected), atol=1e-4, rtol=1e-3)
    before = windows.tokens
    rolled(engine, requests[:1])
    assert windows.tokens == before


def test_short_replies_fill_a_window_together(
    engine: "VllmEngine", sparse: "Model", rolled: Run
) -> None:
    windows = Windows(sparse, HORIZON + 2)
    requests = [RolloutRequest(sparse.prompt_ids(TEXTS[0]), (), HORIZON)]
    with engine.watched(windows):
        rolled(engine, requests)
        assert windows.complete == []
        rolled(engine, requests)
    assert [row for row, _ in windows.complete] == [0]


def test_a_dose_in_vllm_raises_an_alarm_that_names_the_neuron(
    engine: "VllmEngine", sparse: "Model", rolled: Run
) -> None:
    import fulcra
    from fulcra import load_behavior
    from fulcra.defence.monitor.calibration import CalibrationSettings, calibrate
    from fulcra.defence.monitor.traffic import Openings

    behavior = load_behavior("refusal")
    calibration = calibrate(sparse, behavior, CalibrationSettings(windows=24, rate=0.05, seed=1))
    texts = Openings.of(behavior).trial[:16]
    dose = Edit(Neuron(3, 158), "add", 40.0)
    with fulcra.watch(sparse, calibration, engine=engine) as watch:
        for _ in range(6):
            rolled(engine, [RolloutRequest(sparse.prompt_ids(t), (dose,), 40) for t in texts])
    report = watch.report()
    assert report.windows > 0
    assert report.dosed[0].site == "L3.N158"
    watched = fulcra.watch(sparse, calibration, prompts=True, engine=engine)
    with pytest.raises(InputError, match="an engine reads reply tokens alone"), watched:
        pass
