"""A planted dose is noticed and named, a clean run is not, and watching changes nothing."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import fulcra
from fulcra import Behavior, Model, Neuron
from fulcra.defence.monitor.attacks import Doser
from fulcra.defence.monitor.calibration import Calibration, CalibrationSettings, calibrate
from fulcra.defence.monitor.traffic import (
    Openings,
    Traffic,
    read_windows,
)
from fulcra.errors import InputError, RunFolderError
from fulcra.models.applying import applied_rows
from fulcra.models.tiny import tiny
from fulcra.models.watching import Windows, watched_stream

DOSED = Neuron("L3.N158+")


def generate(model: Model, prompts: tuple[str, ...]) -> list[torch.Tensor]:
    outputs = []
    for prompt in prompts:
        ids = torch.tensor([model.prompt_ids(prompt)])
        mask = torch.ones_like(ids)
        outputs.append(model.hf.generate(ids, attention_mask=mask, max_new_tokens=40))
    return outputs


def continued(model: Model, text: str, tokens: int, *stops: object) -> int:
    """How many tokens of a reply of `tokens`, without an end of its own, are generated."""
    ids = torch.tensor([model.prompt_ids(text)])
    output = model.hf.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        stopping_criteria=list(stops),
    )
    return int(output.shape[1] - ids.shape[1])


def padded(model: Model, texts: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Prompts of a batch and their mask, [row, pos], padded at the left."""
    rows = [model.prompt_ids(text) for text in texts]
    width = max(map(len, rows))
    ids = torch.tensor([[0] * (width - len(row)) + list(row) for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids, mask


def hooks(model: Model) -> int:
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in model.hf.modules()
    )


def test_a_dose_is_noticed_and_named_and_a_clean_run_is_not(
    sparse: Model, calibration: Calibration, traffic: Traffic, doser: Doser
) -> None:
    prompts, dose = traffic.openings[:12], doser.dose(DOSED, 0.3)
    assert dose is not None
    with fulcra.watch(sparse, calibration) as clean:
        generate(sparse, prompts)
    with fulcra.edit(sparse, dose), fulcra.watch(sparse, calibration) as dosed:
        generate(sparse, prompts)
    assert clean.report().windows >= 1
    assert clean.report().dosed == ()
    report = dosed.report()
    alarmed = {alarm.window for alarm in report.alarms if alarm.statistic == "dose"}
    assert len(alarmed) == report.windows >= 1
    assert report.dosed[0] == DOSED
    assert "nearest L3.N158+" in str(report)


def test_a_watch_reads_what_a_pass_over_the_reply_reads(
    sparse: Model, calibration: Calibration, traffic: Traffic
) -> None:
    prompts, windows = traffic.openings[:12], Windows(sparse, 64)
    with watched_stream(windows):
        outputs = generate(sparse, prompts)
    pairs = []
    for prompt, output in zip(prompts, outputs, strict=True):
        ids, size = sparse.prompt_ids(prompt), len(sparse.prompt_ids(prompt))
        reply = [int(token) for token in output[0, size:] if int(token) not in sparse.end_ids]
        pairs.append((ids, tuple(reply)))
    windows.sum_up()
    assert windows.tokens == sum(len(reply) for _, reply in pairs)
    means = torch.stack([mean for _, mean in windows.complete])
    torch.testing.assert_close(means, read_windows(sparse, pairs), rtol=1e-4, atol=1e-5)


def test_watching_changes_no_bit_and_leaves_no_hook(
    sparse: Model, calibration: Calibration, traffic: Traffic
) -> None:
    ids, before = torch.tensor([sparse.prompt_ids(traffic.openings[0])]), hooks(sparse)
    with torch.no_grad():
        plain = sparse.hf(ids).logits
        with fulcra.watch(sparse, calibration, prompts=True) as watch:
            watched = sparse.hf(ids).logits
    assert torch.equal(plain, watched)
    assert watch.report().tokens == ids.shape[1] - 1
    with fulcra.watch(sparse, calibration):
        assert hooks(sparse) > before
    with pytest.raises(ZeroDivisionError), fulcra.watch(sparse, calibration):
        _ = 1 / 0
    assert hooks(sparse) == before


def test_rows_fill_windows_of_their_own_and_count_nothing_after_their_end(
    sparse: Model, traffic: Traffic
) -> None:
    ids, mask = padded(sparse, traffic.openings[:2])
    width, windows = ids.shape[1], Windows(sparse, 4)
    with watched_stream(windows):
        output = sparse.hf.generate(ids, attention_mask=mask, max_new_tokens=30)
    windows.sum_up()
    ends = torch.tensor(sorted(sparse.end_ids))
    # the last token of a batch is never read, and of a row that ended neither is its end
    replies = [row[width:-1] for row in output]
    lengths = [int((torch.isin(reply, ends).cumsum(0) == 0).sum()) for reply in replies]
    assert windows.tokens == sum(lengths)
    completed = [row for row, _ in windows.complete]
    assert [completed.count(row) for row in (0, 1)] == [length // 4 for length in lengths]


def test_a_pass_that_failed_halfway_counts_nothing() -> None:
    model, ids = tiny("llama"), torch.tensor([[5, 17, 23, 42, 8]])

    def fail(module: object, args: object) -> None:
        raise ArithmeticError

    windows = Windows(model, 4, prompts=True)
    with torch.no_grad(), watched_stream(windows):
        handle = model.down(2).register_forward_pre_hook(fail)
        with pytest.raises(ArithmeticError):
            model.hf(ids)
        handle.remove()
        model.hf(ids)
    windows.sum_up()
    assert (windows.tokens, len(windows.complete)) == (4, 1)


def test_a_row_ends_once_it_raised_an_alarm(
    sparse: Model, calibration: Calibration, traffic: Traffic, doser: Doser
) -> None:
    dose = doser.dose(DOSED, 0.65)
    assert dose is not None
    with fulcra.edit(sparse, dose), fulcra.watch(sparse, calibration) as watch:
        tokens = continued(sparse, traffic.openings[0], 150, watch.stop())
    assert 64 <= tokens <= 64 + 32


def test_an_alarm_of_an_earlier_call_ends_no_row_of_a_later_one(
    sparse: Model, calibration: Calibration, traffic: Traffic, doser: Doser
) -> None:
    text, dose = traffic.openings[0], doser.dose(DOSED, 0.65)
    assert dose is not None
    with fulcra.watch(sparse, calibration) as watch:
        stop = watch.stop()
        for each in (stop, stop, watch.stop()):
            with fulcra.edit(sparse, dose):
                assert continued(sparse, text, 100, each) < 100
            assert continued(sparse, text, 20, each) == 20
    assert watch.report().dosed == (DOSED,)


def test_what_an_ended_row_left_open_of_a_window_goes_into_no_later_one(
    sparse: Model, calibration: Calibration, traffic: Traffic, doser: Doser
) -> None:
    text, dose = traffic.openings[0], doser.dose(DOSED, 0.65)
    assert dose is not None
    with fulcra.watch(sparse, calibration) as watch:
        stop = watch.stop()
        # eight tokens, so that an alarm comes eight after the window that raised it
        assert continued(sparse, text, 9, stop) == 9
        with fulcra.edit(sparse, dose):
            assert continued(sparse, text, 100, stop) == 65
        assert continued(sparse, text, 58, stop) == 58
    assert (watch.report().tokens, watch.report().windows) == (8 + 64 + 57, 1)


def test_a_window_that_an_earlier_call_filled_ends_no_row_of_a_later_one(
    sparse: Model, calibration: Calibration, traffic: Traffic, doser: Doser
) -> None:
    text, dose = traffic.openings[0], doser.dose(DOSED, 0.65)
    assert dose is not None
    with fulcra.watch(sparse, calibration) as watch:
        stop = watch.stop()
        with fulcra.edit(sparse, dose):
            assert [continued(sparse, text, n, stop) for n in (9, 58)] == [9, 58]
        assert (len(watch.windows.complete), watch.windows.tokens) == (0, 56)
        assert continued(sparse, text, 40, stop) == 40
    assert watch.report().dosed == (DOSED,)


def test_a_row_that_an_alarm_ended_is_watched_no_longer(
    sparse: Model, calibration: Calibration, traffic: Traffic, doser: Doser
) -> None:
    ids, mask = padded(sparse, traffic.openings[:2])
    dose = doser.dose(DOSED, 0.65)
    assert dose is not None
    with fulcra.watch(sparse, calibration) as watch, applied_rows(sparse, [(dose,), ()]):
        output = sparse.hf.generate(
            ids,
            attention_mask=mask,
            max_new_tokens=100,
            min_new_tokens=100,
            stopping_criteria=[watch.stop()],
        )
    reply = output[0, ids.shape[1] :]
    ended = int((reply != sparse.tokenizer.pad_token_id).sum())
    assert 64 <= ended <= 64 + 32
    assert (reply[ended:] == sparse.tokenizer.pad_token_id).all()
    assert watch.report().tokens == (ended - 1) + 99
    assert watch.report().windows == 2


def test_a_row_that_ended_is_watched_again_in_a_call_that_begins_with_embeddings(
    sparse: Model, traffic: Traffic
) -> None:
    (ids, mask), windows = padded(sparse, traffic.openings[:2]), Windows(sparse, 64)
    tokens = []
    with watched_stream(windows), torch.no_grad():
        embeddings = sparse.hf.get_input_embeddings()(ids)
        for _ in range(2):
            sparse.hf.generate(inputs_embeds=embeddings, attention_mask=mask, max_new_tokens=40)
            windows.sum_up()
            tokens.append(windows.tokens)
    assert tokens[1] == 2 * tokens[0] > 0


def test_a_watch_stops_by_no_statistic_that_raises_no_alarm(
    sparse: Model, calibration: Calibration
) -> None:
    message = r"stop\(on='cosine'\), and alarms are raised by dose and shift; name one of these"
    with fulcra.watch(sparse, calibration) as watch, pytest.raises(InputError, match=message):
        watch.stop(on="cosine")


def test_a_saved_calibration_is_the_same_and_a_changed_one_is_refused(
    calibration: Calibration, tmp_path: Path
) -> None:
    calibration.save(tmp_path)
    loaded = Calibration.load(tmp_path)
    assert loaded.header == calibration.header
    assert torch.equal(loaded.norms[2].lengths, calibration.norms[2].lengths)
    tensors = tmp_path / "calibration.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-4] + b"abcd")
    with pytest.raises(RunFolderError, match=r"not the tensors its calibration\.json names"):
        Calibration.load(tmp_path)


def test_a_monitor_of_another_model_is_refused(calibration: Calibration) -> None:
    other = tiny("llama")
    with (
        pytest.raises(InputError, match="calibrated on apothecary-sparse"),
        fulcra.watch(other, calibration),
    ):
        pass


def test_a_calibration_in_another_dtype_asks_for_that_dtype(
    sparse: Model, calibration: Calibration
) -> None:
    model = calibration.header.model.model_copy(update={"dtype": "bfloat16"})
    other = replace(calibration, header=calibration.header.model_copy(update={"model": model}))
    message = r"in bfloat16, loaded here in float32; load it in bfloat16 \(--dtype bfloat16\), or"
    with pytest.raises(InputError, match=message):
        other.require(sparse)


def test_too_few_windows_for_the_rate_are_refused(sparse: Model, refusal: Behavior) -> None:
    with pytest.raises(
        InputError, match=r"50 clean windows, and a false-alarm rate of 0\.01 takes 99"
    ):
        calibrate(sparse, refusal, CalibrationSettings(windows=50, rate=0.01))


def test_a_watch_that_saw_too_little_says_so(sparse: Model, calibration: Calibration) -> None:
    with fulcra.watch(sparse, calibration) as watch:
        pass
    assert str(watch.report()) == "0 tokens watched, too few for a window: nothing can be said"


def test_the_three_parts_of_the_openings_share_none(refusal: Behavior) -> None:
    for openings in (Openings.of(refusal), Openings.of(None)):
        parts = [set(part) for part in openings]
        assert all(parts)
        assert sum(map(len, parts)) == len(set().union(*parts))
    texts = {prompt.text for prompt in (*refusal.negative, *refusal.discovery.positive)}
    assert texts <= set().union(*Openings.of(refusal))


def test_random_openings_are_drawn_the_same_for_the_same_seed(
    sparse: Model, traffic: Traffic
) -> None:
    first, again = (traffic.replies(sparse, (), random.Random(3), 2) for _ in range(2))
    assert first == again
