"""The page: its controls, and what each event asks of the desk."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import gradio as gr
from markupsafe import Markup

from fulcra.errors import FulcraError
from fulcra.playground.desk import MOST_TOKENS, Desk, Request
from fulcra.playground.drawing import line
from fulcra.playground.window import FARTHEST
from fulcra.playground.workbench import Choice
from fulcra.types import Sampling

CSS = Path(__file__).with_name("playground.css")
#: Fonts of the machine: none is fetched.
FONT = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Arial", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")
#: Pages that wait for the model at most.
QUEUE = 32
Updates = dict[object, object]
#: What the controls hold, by control.
Values = dict[gr.components.Component, Any]


def theme() -> gr.themes.Base:
    """The look of the controls, without a font from elsewhere."""
    return gr.themes.Base(primary_hue="blue", neutral_hue="gray", font=FONT, font_mono=MONO)


def inert(drawn: Markup) -> str:
    """What a component takes for HTML alone: no brace or dollar of a text is a template's."""
    return str(drawn).replace("{", "&#123;").replace("}", "&#125;").replace("$", "&#36;")


@final
class Page:
    """The controls of one page, and their events over the desk.

    Whatever runs the model waits its turn in one queue; the rest is answered at once.
    """

    def __init__(self, desk: Desk, first: Choice) -> None:
        self.desk, self.first = desk, first
        with gr.Blocks(title=f"{desk.bench.model.name} · fulcra playground") as self.blocks:
            gr.HTML(inert(self._head()), js_on_load=None)
            with gr.Row(elem_id="choice"):
                self._choosing()
            with gr.Group(elem_id="dosing"):
                self._dosing()
            with gr.Row(elem_id="doing"):
                self.further = gr.Textbox(
                    label="More doses beside it, between commas",
                    placeholder="0.3, 0.6",
                    elem_id="further",
                    scale=2,
                )
                self.go = gr.Button("Write the texts", variant="primary", elem_id="go", scale=2)
                self.halt = gr.Button("Stop", elem_id="halt", scale=1)
            self.state = gr.HTML(elem_id="state", js_on_load=None)
            self.texts = gr.HTML(elem_id="texts", js_on_load=None)
            self.recipe = gr.HTML(elem_id="recipe", js_on_load=None)
            with gr.Accordion("Neuron card", open=False, elem_id="card"):
                self.show = gr.Button("Make the card of this neuron", elem_id="make-card")
                self.card = gr.HTML(elem_id="card-body", js_on_load=None)
            self._wire()

    def _head(self) -> Markup:
        model = self.desk.bench.model
        shape = f"{model.n_layers} layers, {model.d_mlp} neurons each"
        return Markup(
            '<header><h1>Playground <span>{}</span></h1><p class="caption">{}. Move a dose along'
            " the alignment axis and read what one neuron does to the text.</p></header>"
        ).format(model.name, shape)

    def _choosing(self) -> None:
        with gr.Column(scale=2, min_width=260):
            names = list(self.desk.bench.behaviors)
            self.behavior = gr.Dropdown(
                names, value=self.first.behavior, label="Behavior", elem_id="behavior"
            )
            self.run = gr.Dropdown(
                [("none: predicted here", ""), *((run, run) for run in self.desk.bench.runs)],
                value=self.first.run,
                label="Run whose committed windows are taken",
                allow_custom_value=True,
                elem_id="run",
            )
            self.neuron = gr.Dropdown(
                [self.first.branch] if self.first.branch else [],
                value=self.first.branch or None,
                label="Neuron, with its pole",
                allow_custom_value=True,
                elem_id="neuron",
            )
        with gr.Column(scale=3, min_width=260):
            self.prompt = gr.Dropdown([], label="Prompt of the behavior", elem_id="prompt")
            self.words = gr.Textbox(
                label="Or a prompt of your own", lines=2, max_lines=8, elem_id="words"
            )
            with gr.Accordion("Length and sampling", open=False):
                self.tokens = gr.Slider(1, MOST_TOKENS, 36, step=1, label="Tokens at most")
                self.heat = gr.Slider(0, 2, 0, step=0.1, label="Temperature (0 is greedy)")
                self.seed = gr.Number(0, label="Seed", precision=0, minimum=0)

    def _dosing(self) -> None:
        self.dose = gr.Slider(
            0,
            FARTHEST,
            0.4,
            step=0.01,
            label="Dose, as alignment g / \u221a(1 + g\u00b2)",
            elem_id="dose",
        )
        self.axis = gr.HTML(elem_id="axis", js_on_load=None)
        self.line = gr.HTML(elem_id="line", js_on_load=None)

    def _wire(self) -> None:
        """What each event calls; `model` events share one place in the queue."""
        model = {"concurrency_id": "model", "concurrency_limit": 1, "api_visibility": "private"}
        light = {"queue": False, "show_progress": "hidden", "api_visibility": "private"}
        where = [self.behavior, self.run, self.neuron]
        doses = [*where, self.dose, self.further]
        view = [self.axis, self.line, self.recipe]
        branch = [self.neuron, self.dose, *view]
        whole = [self.behavior, self.run, self.prompt, self.tokens, *branch]
        order = {*doses, self.prompt, self.words, self.tokens, self.heat, self.seed}
        # what is chosen while a window is predicted is looked at afterwards
        last = {**model, "trigger_mode": "always_last"}
        self.blocks.load(self.choose, where, whole, **model)
        self.behavior.input(self.choose, where, whole, **last)
        self.run.input(self.load_run, where, whole, **last)
        self.neuron.input(self.look, where, branch, **last)
        for control in (self.dose, self.further):
            control.change(self.view, doses, view, **light)
        for event in (self.go.click, self.words.submit):
            event(self.begin, None, [self.state], **light).then(
                self.write, order, [self.texts, self.state], **model
            )
        self.halt.click(self.stop, None, [self.state], **light)
        self.show.click(self.make_card, where, [self.card], **model)
        self.blocks.unload(self.leave)

    def choose(self, behavior: str, run: str, branch: str | None) -> Iterator[Updates]:
        """What a behavior offers, after a line that tells what is read for it; then a window."""
        choice = Choice(behavior, run or "", branch or "")
        if self._foreign(choice):
            choice = choice._replace(run="")
        yield {self.line: inert(line(f"Reading the clean model under {behavior} ..."))}
        try:
            offer = self.desk.offer(choice)
        except FulcraError as error:
            yield {self.line: _fault(error)}
            return
        first = offer.prompts[0][1] if offer.prompts else None
        yield {
            self.run: choice.run,
            self.prompt: gr.update(choices=list(offer.prompts), value=first),
            self.neuron: gr.update(choices=list(offer.branches), value=offer.branch or None),
            self.tokens: offer.tokens,
        }
        yield from self.look(choice.behavior, choice.run, offer.branch)

    def load_run(self, behavior: str, run: str | None, branch: str | None) -> Iterator[Updates]:
        """What a run offers: its behavior, its branches."""
        yield {self.line: inert(line("Reading the run ..."))}
        try:
            choice = self.desk.load_run(run or "", Choice(behavior, "", branch or ""))
        except FulcraError as error:
            yield {self.line: _fault(error), self.run: ""}
            return
        names = list(self.desk.bench.behaviors)
        yield {
            self.behavior: gr.update(choices=names, value=choice.behavior),
            self.run: choice.run,
            self.neuron: choice.branch,
        }
        yield from self.choose(*choice)

    def look(self, behavior: str, run: str, branch: str | None) -> Iterator[Updates]:
        """The window of a branch, predicted where no run committed one, and a first dose."""
        if not branch:
            return
        yield {self.line: inert(line(f"Predicting the window of {branch} ..."))}
        try:
            choice = Choice(behavior, run or "", self.desk.branch(branch))
            dose = self.desk.middle(choice)
        except FulcraError as error:
            yield {self.axis: "", self.recipe: "", self.line: _fault(error)}
            return
        yield {self.neuron: choice.branch, self.dose: dose, **self._view(choice, dose, "")}
        # the last values are sent once more when an event ends: a dose moved meanwhile stays
        yield {self.neuron: gr.skip()}

    def view(
        self, behavior: str, run: str, branch: str | None, dose: float, further: str
    ) -> Updates:
        """The axis with its doses, at once: nothing is run."""
        return self._view(Choice(behavior, run or "", branch or ""), dose, further)

    def _view(self, choice: Choice, dose: float, further: str) -> Updates:
        view = self.desk.view(choice, dose, further)
        return {
            self.axis: inert(view.axis),
            self.line: inert(view.line),
            self.recipe: inert(view.recipe),
        }

    def begin(self, request: gr.Request) -> str:
        """The line of an order that waits for its turn."""
        self.desk.sessions.begin(str(request.session_hash))
        return inert(line("Waiting for the model."))

    def write(self, values: Values, request: gr.Request) -> Iterator[tuple[str, str]]:
        """The texts while they grow."""
        try:
            choice = Choice(
                values[self.behavior], values[self.run] or "", values[self.neuron] or ""
            )
            sampling = Sampling(float(values[self.heat] or 0), int(values[self.seed] or 0))
            order = Request(
                prompt=values[self.prompt] or "",
                words=values[self.words] or "",
                dose=float(values[self.dose]),
                further=values[self.further] or "",
                tokens=int(values[self.tokens]),
                sampling=sampling,
            )
            choice = choice._replace(branch=self.desk.branch(choice.branch))
            for written in self.desk.write(str(request.session_hash), choice, order):
                yield inert(written.texts), inert(written.line)
        except FulcraError as error:
            yield "", _fault(error)

    def _foreign(self, choice: Choice) -> bool:
        """Whether a run is of another behavior than the chosen one."""
        beginning = self.desk.bench.beginnings.get(choice.run)
        return beginning is not None and beginning.behavior != choice.behavior

    def stop(self, request: gr.Request) -> str:
        """The line of an order that is stopped."""
        stopping = self.desk.sessions.stop(str(request.session_hash))
        return inert(line("Stopping." if stopping else "Nothing is being written."))

    def leave(self, request: gr.Request) -> None:
        """End what runs for a page that is gone."""
        self.desk.sessions.leave(str(request.session_hash))

    def make_card(self, behavior: str, run: str, branch: str | None) -> Iterator[str]:
        """The card of the chosen neuron."""
        yield inert(line("Making the card ..."))
        try:
            choice = Choice(behavior, run or "", self.desk.branch(branch or ""))
            yield inert(self.desk.card(choice))
        except FulcraError as error:
            yield _fault(error)


def _fault(error: FulcraError) -> str:
    return inert(line(str(error), "fault"))
