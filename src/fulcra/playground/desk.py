"""What the page's events do, as values: the page alone knows the library that draws it."""

import secrets
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, final

from markupsafe import Markup

from fulcra.errors import FulcraError, InputError
from fulcra.playground import drawing
from fulcra.playground.drawing import line
from fulcra.playground.generation import Generation, Sessions
from fulcra.playground.texts import Frame, Order, Secrecy, grow
from fulcra.playground.window import Window, alignments
from fulcra.playground.workbench import Choice, Workbench
from fulcra.report.card import card_body
from fulcra.types import Neuron, Sampling

#: Tokens of one text at most: more is a matter of `fulcra steer`.
MOST_TOKENS = 256
EMPTY = Markup("")


class Offer(NamedTuple):
    """What can be chosen under a behavior, as (shown, value), and a text's length.

    `branch` is the one to begin with.
    """

    prompts: tuple[tuple[str, str], ...] = ()
    branches: tuple[tuple[str, str], ...] = ()
    branch: str = ""
    tokens: int = MOST_TOKENS


class View(NamedTuple):
    """A branch at a dose: the axis, the line under it, and the link to the recipe."""

    axis: Markup = EMPTY
    line: Markup = EMPTY
    recipe: Markup = EMPTY


class Written(NamedTuple):
    """The texts as they stand, and the line that tells how far they are."""

    texts: Markup = EMPTY
    line: Markup = EMPTY


class Request(NamedTuple):
    """What a page asks to be written: a prompt by its id or in the user's words, doses, sampling.

    Own words come before the id; `further` holds more doses between commas.
    """

    prompt: str
    words: str
    dose: float
    further: str
    tokens: int
    sampling: Sampling


@final
class Desk:
    """The events of all open pages over one workbench.

    Every refusal is a line on the page. `keep_text` shows the texts of sensitive behaviors; `local`
    lets a page name folders of this machine.
    """

    def __init__(self, bench: Workbench, keep_text: bool = False, local: bool = True) -> None:
        self.bench, self.keep_text, self.local = bench, keep_text, local
        self.sessions, self._salt = Sessions(), secrets.token_hex(16)

    def is_hidden(self, behavior: str) -> bool:
        """Whether texts and prompts of a behavior are told by length and hash alone."""
        return self.bench.behavior(behavior).sensitive and not self.keep_text

    def offer(self, choice: Choice) -> Offer:
        """What can be chosen; the branch stays where it can. Cost: that of `Workbench.neurons`."""
        behavior = self.bench.behavior(choice.behavior)
        hidden = self.is_hidden(choice.behavior)
        prompts = tuple(
            (prompt.id if hidden else prompt.text, prompt.id)
            for prompt in (*behavior.confirmation, *behavior.selection)
        )
        names = self.bench.neurons(choice.behavior, choice.run)
        branches = tuple((self._shown(choice._replace(branch=name)), name) for name in names)
        branch = choice.branch if choice.branch in names else next(iter(names), "")
        tokens = min(self.bench.subject(choice.behavior).behavior.horizon, MOST_TOKENS)
        return Offer(prompts, branches, branch, tokens)

    def load_run(self, name: str, choice: Choice) -> Choice:
        """The choice of a run that is loaded, or of a folder's; InputError where it is none.

        Without a name, the choice without a run.
        """
        if not name:
            return choice._replace(run="")
        if name in self.bench.beginnings:
            return self.bench.beginnings[name]
        if not self.local:
            raise InputError(f"run {name!r}: not loaded; name it with --run when the page is begun")
        return self.bench.load_run(Path(name))

    def middle(self, choice: Choice) -> float:
        """The dose that a first look at a branch begins with. Cost: that of its window."""
        return self.bench.window(choice).middle()

    def view(self, choice: Choice, dose: float, further: str) -> View:
        """The branch at its doses, from what is known of it: nothing is run."""
        window = self.bench.known(choice)
        if window is None:
            return View(line=line("Choose a neuron: its window is predicted first."))
        try:
            doses = alignments(dose, further)
        except InputError as error:
            return View(drawing.axis(window, [dose]), line(str(error), "fault"))
        return View(
            drawing.axis(window, doses), _warning(window, doses), self._recipe(choice, dose)
        )

    def write(self, page: str, choice: Choice, request: Request) -> Iterator[Written]:
        """The texts while they grow; they end within a token of a stop, or with the page."""
        order = Order(
            self._prompt(choice.behavior, request),
            alignments(request.dose, request.further),
            min(max(request.tokens, 1), MOST_TOKENS),
            request.sampling,
        )
        secrecy = Secrecy(self.is_hidden(choice.behavior), self._salt)
        stop = self.sessions.of(page)
        generation: Generation[Frame] = Generation(
            lambda stop: grow(self.bench, choice, order, secrecy, stop), stop
        )
        try:
            for frame in generation.frames():
                yield Written(drawing.texts(frame), line(drawing.STATES[frame.state]))
        finally:
            self.sessions.end(page, stop)

    def card(self, choice: Choice) -> Markup:
        """The card of the neuron of a branch."""
        return Markup('<div class="card-body">{}</div>').format(
            Markup(card_body(self.bench.card(choice)))
        )

    def branch(self, words: str) -> str:
        """The name of a branch of this model that a user wrote; InputError where it has none."""
        neuron = Neuron(words)
        self.bench.model.require(neuron)
        return str(neuron)

    def _shown(self, choice: Choice) -> str:
        """A branch in the list: its name, and its window where that is known."""
        window = self.bench.known(choice)
        return choice.branch if window is None else f"{choice.branch} \u00b7 {window.short}"

    def _prompt(self, behavior: str, request: Request) -> str:
        if request.words.strip():
            return request.words.strip()
        task = self.bench.behavior(behavior)
        prompts = {prompt.id: prompt.text for prompt in (*task.confirmation, *task.selection)}
        if request.prompt not in prompts:
            raise InputError("prompt: none is chosen; choose one, or write your own")
        return prompts[request.prompt]

    def _recipe(self, choice: Choice, dose: float) -> Markup:
        try:
            return drawing.recipe_link(self.bench.recipe(choice, dose))
        except FulcraError as error:
            return line(str(error), "fault")


def _warning(window: Window, doses: Sequence[float]) -> Markup:
    """The first warning of some doses; a line of where the dose stands without any."""
    warnings = [words for dose in doses if (words := window.warning(dose)) is not None]
    if warnings:
        return line(" ".join(warnings), "warning")
    span = window.span
    inside = span is not None and window.trigger is not None and span.low <= doses[0] <= span.high
    return line("The dose lies in the predicted window." if inside else "Below the ceiling.")
