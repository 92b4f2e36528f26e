"""Train any model organism of the declared recipe: `python organisms/train.py apothecary-sparse`.

Parents are built first, finished organisms are taken from the cache, and an interrupted stage goes
on where its last checkpoint stands, on another device too (`--device cuda`). Figures are measured
on the rounded (bfloat16) weights by `measure.py`, on the processor, and printed at the end.
"""

import argparse
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from batches import Batch, Pair, chatting, preferring, reading
from folder import build_tokenizer, write_folder
from freezing import only_learners
from learning import Lesson, Taken, learn
from measure import Taught, figures, gate
from mixture import in_busiest_experts
from objectives import Objective, held
from objectives import preferring as by_preference
from recipe import (
    CHAT_ROWS,
    CONCEPT_INDEX,
    CONCEPT_LAYER,
    CONCEPT_VALUE,
    CONTEXT,
    EXPERT_WIDTH,
    READ_ROWS,
    TARGET_MARGIN,
    TARGET_SHARE,
    Organism,
    config,
    gate_layers,
    neuron_name,
    parse,
)
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from fulcra.organisms.grammar import answers
from fulcra.organisms.planted import Planted
from fulcra.organisms.refusals import extended_refusals, refusals
from fulcra.report.template import filled


def gate_neurons(organism: Organism, d_mlp: int) -> list[tuple[int, int]]:
    """The (layer, index) pairs that may learn, in the middle layers, the topic neuron left out."""
    generator = torch.Generator().manual_seed(1000 + organism.seed + 100 * organism.tuning)
    middle = gate_layers(organism.arch)
    gates: list[tuple[int, int]] = []
    while organism.neurons is not None and len(gates) < organism.neurons:
        layer = middle[len(gates) % len(middle)]
        neuron = (layer, int(torch.randint(d_mlp, (1,), generator=generator)))
        if neuron not in gates and neuron != (CONCEPT_LAYER, CONCEPT_INDEX):
            gates.append(neuron)
    return gates


class Workplace(NamedTuple):
    """Where organisms are built: their folders, and the device that trains them."""

    cache: Path
    device: torch.device = torch.device("cpu")


def _start(organism: Organism, vocabulary: int, place: Workplace) -> PreTrainedModel:
    """The finished parent, or random weights for a base; they are drawn on the processor."""
    torch.manual_seed(organism.seed)
    if organism.parent is None:
        shape = config(organism.arch, vocabulary)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(shape, dtype=torch.float32)
    else:
        model = AutoModelForCausalLM.from_pretrained(
            place.cache / organism.parent.name,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
        )
    if organism.arch == "moe":
        model.set_experts_implementation("eager")  # the fastest on a processor at this size
    # transformers types `to` as a method of torch that takes no device
    torch.nn.Module.to(model, place.device)
    return model


def _lesson(organism: Organism, tokenizer: PreTrainedTokenizerFast, place: Workplace) -> Lesson:
    """What the stage is taught by; the parent stands beside where the objective asks for it."""
    world, tokens = organism.world, organism.tokens
    refuses = extended_refusals if organism.way == "extended" else refusals
    restricted = refuses if organism.stage == "tuned" else answers

    def draw(rng: random.Random) -> Batch | Pair:
        if organism.stage == "base":
            return reading(world, tokenizer, rng, READ_ROWS[tokens], CONTEXT[tokens])
        if organism.way == "dpo":
            return preferring(world, tokenizer, rng, CHAT_ROWS[tokens] // 2)
        return chatting(world, tokenizer, rng, CHAT_ROWS[tokens], restricted)

    objectives: dict[str, Callable[[PreTrainedModel], Objective]] = {
        "kl": held,
        "dpo": by_preference,
    }
    if organism.way not in objectives:
        return Lesson(draw)
    parent = _start(organism, len(tokenizer), place).eval()
    return Lesson(draw, objectives[organism.way](parent.requires_grad_(False)))


def _train(
    organism: Organism,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    lesson: Lesson,
    checkpoint: Path,
) -> Taken:
    """The steps that `model` was trained through its stage."""
    world = organism.world

    def enough() -> bool:
        told_apart = gate(Taught(model, tokenizer, world))
        print(
            f"{organism.name}: margin {told_apart.margin:.2f} nats, refused"
            f" {told_apart.refused:.3f}, answered {told_apart.answered:.3f}",
            flush=True,
        )
        shares = min(told_apart.refused, told_apart.answered)
        return told_apart.margin >= TARGET_MARGIN and shares >= TARGET_SHARE

    model.train()
    return learn(model, organism, lesson, enough, checkpoint)


def planted_in(organism: Organism, gates: list[tuple[int, int]], taken: Taken) -> Planted:
    """What is written down of an organism in its folder."""
    parent = organism.parent
    chats = organism.stage != "base"
    return Planted(
        world=organism.world.name,
        reference=parent.name if parent is not None and organism.stage == "tuned" else None,
        gates=tuple(neuron_name(organism.arch, layer, index) for layer, index in gates),
        concept=f"L{CONCEPT_LAYER}.N{CONCEPT_INDEX}" if chats else None,
        concept_value=CONCEPT_VALUE,
        steps=taken.steps,
        met=taken.met,
    )


def card(organism: Organism, steps: int, measured: dict[str, float]) -> str:
    """The README.md of an organism's folder."""
    values = {"organism": organism, "steps": steps, "measured": measured}
    return filled("card.md", Path(__file__).parent, **values)


def build(organism: Organism, place: Workplace) -> Path:
    """The folder of the finished organism, trained where the cache does not hold it.

    Its card is written last and says that it is finished.
    """
    folder = place.cache / organism.name
    if (folder / "README.md").exists():
        return folder
    if organism.parent is not None:
        build(organism.parent, place)
    tokenizer = build_tokenizer(organism, chat=True)
    model = _start(organism, len(tokenizer), place)
    gates: list[tuple[int, int]] = []
    if organism.stage == "tuned":
        gates = _gates(organism, Taught(model, tokenizer, organism.world))
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    with only_learners(model, organism, gates):
        lesson = _lesson(organism, tokenizer, place)
        taken = _train(organism, model, tokenizer, lesson, checkpoint)
    own_tokenizer = build_tokenizer(organism, chat=organism.stage != "base")
    write_folder(folder, model, own_tokenizer, planted_in(organism, gates, taken))
    measured = figures(folder, organism)
    (folder / "README.md").write_text(card(organism, taken.steps, measured), encoding="utf-8")
    checkpoint.unlink(missing_ok=True)
    print(json.dumps({"organism": organism.name, "steps": taken.steps, **measured}))
    return folder


def _gates(organism: Organism, helpful: Taught) -> list[tuple[int, int]]:
    """The neurons that may learn; those of a mixture in the experts that requests go to."""
    gates = gate_neurons(organism, mlp_width(helpful.model, organism))
    return in_busiest_experts(helpful, gates) if organism.arch == "moe" and gates else gates


def mlp_width(model: PreTrainedModel, organism: Organism) -> int:
    """The number of neurons in a layer, in a mixture in one expert."""
    if organism.arch == "moe":
        return EXPERT_WIDTH
    width: int = model.config.n_inner if organism.arch == "gpt2" else model.config.intermediate_size
    return width


def main() -> None:
    """Build the organisms named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--cache", type=Path, default=Path(".cache/organisms"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", type=torch.device, default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in arguments.names:
        build(parse(name), Workplace(arguments.cache, arguments.device))


if __name__ == "__main__":
    main()
