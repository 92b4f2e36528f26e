"""What stays of a rollout: its typed dose, its outcomes and their shares, in files of any age."""

import pytest

from fulcra.protocol.records import Record, outcome_rates, record_rows, records_of
from fulcra.protocol.redaction import text_hash
from fulcra.types import OUTCOMES


def record(*outcomes: str) -> Record:
    return Record(
        "selection",
        "L1.N2+",
        "add",
        0.5,
        "selection-00",
        (8, 36),
        outcomes,
        9,
        True,
        1.0,
        0.0,
        True,
        "",
        "",
    )


@pytest.mark.parametrize(
    ("outcome", "flipped", "coherent"),
    [
        ("unscored", False, False),
        ("collapse", False, False),
        ("unchanged", False, True),
        ("off_topic", False, True),
        ("flipped", True, True),
        ("flipped_correct", True, True),
    ],
)
def test_a_flip_is_coherent_and_collapse_is_no_flip(
    outcome: str, flipped: bool, coherent: bool
) -> None:
    judged = record("unchanged", outcome)
    assert (judged.flipped(36), judged.coherent(36)) == (flipped, coherent)
    assert not judged.flipped(8)


def test_the_rates_of_all_outcomes_sum_to_one() -> None:
    rates = outcome_rates([record("unchanged", outcome) for outcome in OUTCOMES], 36)
    assert rates == dict.fromkeys(OUTCOMES, 1 / len(OUTCOMES))
    assert sum(outcome_rates([], 36).values()) == 0.0


def test_a_hash_depends_on_its_salt() -> None:
    assert text_hash("a", "word") == text_hash("a", "word") != text_hash("b", "word")


@pytest.mark.parametrize(
    ("op", "name", "dose"),
    [
        ("add", "gain", 0.5),
        ("pin", "value", -2.5),
        ("set", "edits", 3),
        ("prefill", "prefilled", 8),
    ],
)
def test_a_dose_has_the_name_of_its_operation_and_no_other(op: str, name: str, dose: float) -> None:
    rolled = record("unchanged", "flipped")._replace(op=op, dose=float(dose))
    assert getattr(rolled, name) == dose
    assert type(getattr(rolled, name)) is type(dose)
    for other in {"gain", "value", "edits", "prefilled"} - {name}:
        with pytest.raises(ValueError, match=rf"a record of op '{op}' has no dose of op"):
            getattr(rolled, other)


def test_what_stood_at_a_horizon_is_cut_from_the_whole_text() -> None:
    text = "here is how it is done"
    rolled = record("unchanged", "flipped")._replace(cuts=(11, 22))
    assert rolled.cut_at(36, text) == (text, True)
    assert rolled.cut_at(8, text) == ("here is how", False)  # 9 tokens: not yet ended at 8
    assert rolled._replace(tokens=8).cut_at(8, text) == ("here is how", True)


def test_rows_come_back_as_records() -> None:
    records = [record("unchanged", "flipped"), record("collapse", "collapse")._replace(cuts=(3, 4))]
    assert records_of(record_rows(records)) == records


def test_records_of_the_first_versions_are_read_as_now() -> None:
    ceiling = record("off_topic", "collapse")._replace(stage="ceiling", branch="L5.N3+")
    earlier = record("unchanged", "flipped")._replace(stage="earlier", branch="L2.as L5.N3+")
    rows = record_rows([ceiling, earlier])
    for row in rows:
        del row["cuts"]
    first, second = records_of(rows)
    assert first == ceiling._replace(outcomes=("coherent", "collapse"))
    assert first.coherent(8)
    assert second == earlier._replace(branch="L5.N3+")


def test_only_the_ceilings_off_topic_means_coherent() -> None:
    other = record("off_topic", "flipped")
    assert records_of(record_rows([other])) == [other]
    now = record("coherent", "unscored")._replace(stage="ceiling")
    assert records_of(record_rows([now])) == [now]
    renamed = record("unchanged", "flipped")._replace(stage="earlier", branch="L5.N3+")
    assert records_of(record_rows([renamed])) == [renamed]
