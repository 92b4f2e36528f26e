"""What a model or user writes is text on the page, whatever it looks like."""

from fulcra.playground import drawing
from fulcra.playground.texts import Frame, Text
from fulcra.protocol.redaction import told

HOSTILE = '<img src=x onerror="alert(1)"> ${alert(1)} {{value}}'


def text(words: str, *nats: float) -> Text:
    return Text(0.5, told(words, False, ""), len(nats), True, (words,) * len(nats), nats, "refuse")


def test_words_are_escaped_wherever_they_stand() -> None:
    for state in ("growing", "finished"):
        drawn = drawing.texts(
            Frame(state, (text(HOSTILE, 1.0), Text(None, told(HOSTILE, False, ""), 1, True)))
        )
        assert "<img" not in drawn
        assert "&lt;img" in drawn
    assert "<img" not in drawing.line(HOSTILE)


def test_surprise_is_told_by_shade_underline_and_number() -> None:
    drawn = drawing.texts(Frame("finished", (text("w", 0.1, 1.2, 2.4, 4.7),)))
    for i, nats in enumerate(("0.10", "1.20", "2.40", "4.70")):
        assert f'<span class="s{i}" title="{nats} nats">w</span>' in drawn
    assert "surprise 2.1 nats a token, 1 at 4.6 or more" in drawn
    assert drawn.count("<tr>") == 5


def test_the_top_shade_is_what_the_judge_counts_where_it_reads_the_same_model() -> None:
    texts = (text("w", 3.2),)
    assert 'class="s3" title="3.20' in drawing.texts(Frame("finished", texts, 3.1))
    assert "odd to the judge" in drawing.texts(Frame("finished", texts, 3.1))
    assert "odd to the judge" not in drawing.texts(Frame("finished", texts))


def test_texts_that_still_grow_are_said_to_be_busy() -> None:
    assert 'aria-busy="true"' in drawing.texts(Frame("growing", (text("w"),)))
    assert 'aria-busy="false"' in drawing.texts(Frame("stopped", (text("w"),)))
