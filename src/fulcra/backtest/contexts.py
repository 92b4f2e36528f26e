"""Whether budgets and ceilings hold under longer contexts and in other languages."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import islice

import yaml

from fulcra.behaviors.generic import OPENINGS
from fulcra.behaviors.splits import N_GENERIC
from fulcra.engines.generic import GenericText, continue_openings
from fulcra.formulas.coordinate import Coordinate
from fulcra.ladders import kl_ladder
from fulcra.models import Model
from fulcra.models.capture import first_norms, stream
from fulcra.protocol.draw import both_poles, movers
from fulcra.protocol.progress import Clock, Progress, Silent
from fulcra.protocol.results.contexts import ContextRow, ContextsResult
from fulcra.protocol.runs import model_entry, provenance_of
from fulcra.protocol.subject import Ground, ground_of

SCHEMA_VERSION = 1
LENGTHS = (32, 128, 512, 2048)
#: Tokens of context that all texts of one condition have together at most, two texts at least.
ALTOGETHER = 4096


@dataclass(frozen=True, slots=True)
class ContextSettings:
    """Lengths of context [tokens], every how many layers a random neuron is dosed, seed."""

    lengths: tuple[int, ...] = LENGTHS
    stride: int = 4
    seed: int = 0


@dataclass(frozen=True)
class _Study:
    """One model with its reference condition: English openings under no further context."""

    ground: Ground
    settings: ContextSettings

    @property
    def model(self) -> Model:
        """The model of the study."""
        return self.ground.model

    @cached_property
    def branches(self) -> list[Coordinate]:
        """A random neuron of every few layers, both poles."""
        model, chosen = self.model, []
        for layer in range(0, model.n_layers, self.settings.stride):
            rng = random.Random(f"contexts-{self.settings.seed}-{layer}")
            slots = rng.sample(range(model.width(layer)), model.width(layer))
            neurons = (model.neuron(layer, slot) for slot in slots)
            chosen += both_poles(self.ground, islice(movers(self.ground, neurons, 0.1), 1))
        return chosen

    @cached_property
    def ceilings(self) -> dict[str, float | None]:
        """The forecast dose at each branch's ceiling on the reference texts."""
        return self.doses(self.ground.text)

    def doses(self, text: GenericText) -> dict[str, float | None]:
        """The forecast ceiling of each branch on other texts, in budgets of the reference."""
        edges = kl_ladder(self.model, self.branches, text)
        names = [str(place.branch) for place in self.branches]
        return {name: edge.gain for name, edge in zip(names, edges, strict=True)}

    def row(self, kind: str, name: str, text: GenericText) -> ContextRow:
        """One condition against the reference."""
        here = stream(self.model, text.prompts, text.replies)
        doses, lengths = self.doses(text), map(len, text.prompts + text.replies)
        return ContextRow(
            kind=kind,
            name=name,
            texts=len(text.prompts),
            tokens=sum(lengths) / len(text.prompts),
            budgets=tuple((here.norm / self.ground.stream.norm).tolist()),
            ceilings={branch: _ratio(doses[branch], self.ceilings[branch]) for branch in doses},
        )

    def conditions(self) -> Iterator[tuple[str, str, GenericText]]:
        """Every length of context, then every language."""
        for tokens in self.settings.lengths:
            if tokens + max(map(len, self.ground.text.replies)) < self.model.context:
                text = lengthened(self.model, self.ground.text, tokens)
                yield "context", f"{tokens} tokens", text
        for language, openings in language_openings().items():
            text = continue_openings(self.model, openings, self.settings.seed)
            yield "language", language, text


def _ratio(dose: float | None, reference: float | None) -> float | None:
    return None if dose is None or reference is None else dose / reference


def language_openings() -> dict[str, tuple[str, ...]]:
    """The bundled openings by language."""
    text = (files("fulcra.backtest") / "openings.yaml").read_text(encoding="utf-8")
    return {language: tuple(lines) for language, lines in yaml.safe_load(text).items()}


def lengthened(model: Model, text: GenericText, tokens: int) -> GenericText:
    """Texts whose request begins with words of the other texts, so many tokens in all.

    The replies stay the model's own to the request alone: teacher-forced, so that only the context
    before them differs.
    """
    count = max(2, min(len(text.prompts), ALTOGETHER // tokens))
    filler = [model.words(reply) for reply in text.replies]
    prompts = []
    for place in range(count):
        own = text.prompts[place]
        others = filler[place + 1 :] + filler[:place]
        ids = model.reply_ids(" ".join(others * (1 + tokens // 32)))
        cut = model.words(ids[: max(0, tokens - len(own))])
        prompts.append(model.prompt_ids(f"{cut} {OPENINGS[place]}".strip()))
    return GenericText(tuple(prompts), text.replies[:count])


def contexts(
    model: Model,
    settings: ContextSettings = ContextSettings(),
    progress: Progress | None = None,
) -> ContextsResult:
    """How budgets and forecast ceilings move with the length and the language of the context.

    No dosed rollout. Cost: per condition about 4 passes a branch over its texts.
    """
    clock = Clock(progress or Silent())
    with clock.step("clean ground", 0):
        study = _Study(ground_of(model, OPENINGS[:N_GENERIC], settings.seed), settings)
        _ = study.ceilings
    rows = []
    with clock.step("conditions", len(settings.lengths) + len(language_openings())) as bar:
        for condition in study.conditions():
            rows.append(study.row(*condition))
            bar.advance(1)
    clean = study.ground.stream.norm
    sink = first_norms(model, study.ground.text.prompts) / clean
    return ContextsResult(
        schema_version=SCHEMA_VERSION,
        provenance=provenance_of(
            model, seed=settings.seed, generic_sha256=study.ground.text.sha256
        ),
        model=model_entry(model),
        reference=f"{len(study.ground.text.prompts)} English openings, continued",
        sink=tuple(sink.tolist()),
        rows=tuple(rows),
        timing=clock.timing(),
    )
