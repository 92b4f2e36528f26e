"""Windows, texts and recipes as pieces of a page: every word of a model or a user escaped."""

from collections.abc import Sequence
from statistics import fmean
from urllib.parse import quote

from markupsafe import Markup

from fulcra.formulas.saturation import alignment_of_gain, gain_of_alignment
from fulcra.judges.coherence import HIGHEST_LEVEL
from fulcra.playground.texts import Frame, Text
from fulcra.playground.window import FARTHEST, Window
from fulcra.report import notation
from fulcra.report.sheet import Sheet
from fulcra.store import json_bytes
from fulcra.studies.recipe import FILE, Recipe

#: Shares of the highest level of surprise from which a token is drawn a step darker.
STEPS = (0.25, 0.5, 1.0)
#: What is told of the texts while they are written, and afterwards.
STATES = {
    "waiting": "Waiting: another page has the model.",
    "growing": "Writing.",
    "scoring": "Reading labels and surprise.",
    "finished": "Finished.",
    "stopped": "Stopped.",
}
#: Where the axis has a number.
TICKS = (0.0, 0.2, 0.4, 0.6, 0.8)


def line(words: str, kind: str = "notice") -> Markup:
    """One line that tells the user something; a warning or a fault is read out at once."""
    role = "status" if kind == "notice" else "alert"
    return Markup('<p class="line {}" role="{}">{}</p>').format(kind, role, words)


def axis(window: Window, doses: Sequence[float]) -> Markup:
    """The alignment axis of a branch: its window shaded, a mark for each dose; both in words."""
    span, ceiling = window.span, window.ceiling.gain
    parts = [_stretch("window", *span)] if span is not None else []
    if ceiling is not None:
        parts.append(_stretch("beyond", alignment_of_gain(ceiling), FARTHEST))
    parts += [_mark("dose", dose, f"{dose:.2f}") for dose in doses]
    ticks = Markup("").join(_mark("tick", tick, f"{tick:g}") for tick in TICKS)
    words = f"Doses {', '.join(f'{dose:.2f}' for dose in doses)}. {window.words}"
    return Markup(
        '<div class="axis"><div class="track" role="img" aria-label="{}">{}</div>'
        '<div class="ticks" aria-hidden="true">{}</div>{}<p class="caption">{}</p></div>'
    ).format(words, Markup("").join(parts), ticks, _key(window), window.words)


def _key(window: Window) -> Markup:
    """What the shades of the axis mean."""
    names = [("window", "predicted window")] if window.span is not None else []
    if window.ceiling.gain is not None:
        names.append(("beyond", "above the predicted ceiling"))
    items = (Markup('<li><i class="{}"></i>{}</li>').format(*name) for name in names)
    return Markup('<ul class="key">{}</ul>').format(Markup("").join(items))


def _stretch(kind: str, low: float, high: float) -> Markup:
    left, width = 100 * low / FARTHEST, 100 * max(high - low, 0.0) / FARTHEST
    return Markup('<i class="{}" style="left:{:.2f}%;width:{:.2f}%"></i>').format(kind, left, width)


def _mark(kind: str, place: float, words: str) -> Markup:
    left = 100 * place / FARTHEST
    return Markup('<b class="{}" style="left:{:.2f}%"><span>{}</span></b>').format(
        kind, left, words
    )


def texts(frame: Frame) -> Markup:
    """All texts side by side, the clean one first; of finished ones the legend of the colours."""
    top = frame.level or HIGHEST_LEVEL
    scored = any(text.surprise for text in frame.texts)
    columns = Markup("").join(_text(text, top, frame.state) for text in frame.texts)
    busy = "false" if frame.state in ("finished", "stopped") else "true"
    return Markup('<div class="texts" aria-busy="{}">{}</div>{}').format(
        busy, columns, _legend(frame.level) if scored else ""
    )


def _text(text: Text, top: float, state: str) -> Markup:
    head = "Clean" if text.dose is None else f"Dose {text.dose:.2f}"
    gain = "" if text.dose is None else f"gain {gain_of_alignment(text.dose):.2f}"
    label = _label(text, state)
    numbers = f"{text.tokens} tokens, {'ended' if text.ended else 'cut'}"
    if state == "growing":
        numbers = f"{text.tokens} tokens"
    if text.surprise:
        odd = sum(nats >= top for nats in text.surprise)
        mean = notation.number(fmean(text.surprise))
        numbers += f" · surprise {mean} nats a token, {odd} at {top:.1f} or more"
    return Markup(
        '<section class="text"><h2>{} <small>{}</small></h2>{}<p class="words">{}</p>'
        '<p class="numbers">{}</p>{}</section>'
    ).format(head, gain, label, _words(text, top), numbers, _table(text))


def _label(text: Text, state: str) -> Markup:
    if state not in ("finished", "stopped"):
        return Markup('<p class="outcome pending">writing</p>')
    if text.outcome is None:
        return Markup('<p class="outcome pending">not judged</p>')
    words = text.outcome.replace("_", " ")
    return Markup('<p class="outcome"><span>{}</span></p>').format(words)


def _words(text: Text, top: float) -> Markup:
    """The text with each token's surprise drawn and told; of a hidden one what may be told."""
    if not text.told.text and text.told.characters:
        return Markup('<em class="hidden">text hidden: {} characters, hash {}</em>').format(
            text.told.characters, text.told.text_hash
        )
    if not text.pieces:
        return Markup("{}").format(text.told.text)
    pairs = zip(text.pieces, text.surprise, strict=True)
    return Markup("").join(_token(piece, nats, top) for piece, nats in pairs)


def _token(piece: str, nats: float, top: float) -> Markup:
    step = sum(nats >= share * top for share in STEPS)
    return Markup('<span class="s{}" title="{} nats">{}</span>').format(
        step, notation.fixed(nats), piece
    )


def _table(text: Text) -> Markup:
    """Every token with its number, for whoever cannot hover."""
    if not text.pieces:
        return Markup("")
    rows = [
        (piece, notation.fixed(nats))
        for piece, nats in zip(text.pieces, text.surprise, strict=True)
    ]
    sheet = Sheet(("token", "nats"), rows, numbers=("nats",)).html()
    return Markup(
        "<details><summary>Every token's surprise</summary>"
        '<div class="scroll" tabindex="0" role="group" aria-label="Surprise of every token">{}'
        "</div></details>"
    ).format(sheet)


def _legend(level: float | None) -> Markup:
    top = level or HIGHEST_LEVEL
    ends = [f"{share * top:.1f}" for share in STEPS]
    names = [f"below {ends[0]}", f"{ends[0]} to {ends[1]}", f"{ends[1]} to {ends[2]}"]
    names.append(f"{ends[2]} or more" + ("" if level is None else ", odd to the judge"))
    steps = Markup("").join(
        Markup('<li><span class="s{}">token</span> {}</li>').format(i, name)
        for i, name in enumerate(names)
    )
    return Markup(
        '<div class="legend"><p>Surprise of each token under the undosed model, in nats; the number'
        " shows on hover.</p><ul>{}</ul></div>"
    ).format(steps)


def recipe_link(recipe: Recipe) -> Markup:
    """A link that saves a recipe as a file, and the command that takes it."""
    content = quote(json_bytes(recipe.plain()).decode())
    return Markup(
        '<p class="recipe"><a class="save" download="{}" href="data:application/json,{}">Save this'
        " dose as a recipe</a> <code>fulcra steer MODEL -r {}</code></p>"
    ).format(FILE, content, FILE)
