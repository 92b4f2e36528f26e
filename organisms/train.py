"""Train any model organism of the declared recipe: `python organisms/train.py apothecary-sparse
apothecary-dense`.

Parents are built first, finished organisms are taken from the cache, and an interrupted stage goes
on where its last checkpoint stands. Figures are measured on the rounded (bfloat16) weights by
`measure.py` and printed at the end.
"""

import argparse
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from batches import Batch, chatting, reading
from folder import build_tokenizer, write_folder
from measure import figures, gate
from recipe import (
    CHAT_ROWS,
    CONCEPT_INDEX,
    CONCEPT_LAYER,
    CONCEPT_VALUE,
    CONTEXT,
    N_LAYERS,
    READ_ROWS,
    TARGET_MARGIN,
    TARGET_SHARE,
    Organism,
    Schedule,
    config,
    down_projection,
    parse,
)
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

CHECK_EVERY, SAVE_EVERY = 10, 200
CONCEPT_WEIGHT = 0.02


def gate_neurons(organism: Organism, d_mlp: int) -> list[tuple[int, int]]:
    """The (layer, index) pairs that may learn, drawn in the middle layers; the planted topic neuron
    is left out.
    """
    generator = torch.Generator().manual_seed(1000 + organism.seed + 100 * organism.tuning)
    middle = range(N_LAYERS // 4, N_LAYERS - 2)
    gates: list[tuple[int, int]] = []
    while organism.neurons is not None and len(gates) < organism.neurons:
        gate = (
            middle[len(gates) % len(middle)],
            int(torch.randint(d_mlp, (1,), generator=generator)),
        )
        if gate not in gates and gate != (CONCEPT_LAYER, CONCEPT_INDEX):
            gates.append(gate)
    return gates


def _mask_gradients(
    model: PreTrainedModel, organism: Organism, gates: list[tuple[int, int]]
) -> None:
    model.requires_grad_(False)
    for layer in sorted({layer for layer, _ in gates}):
        down = model.get_submodule(down_projection(organism.arch, layer))
        mlp = model.get_submodule(down_projection(organism.arch, layer).rpartition(".")[0])
        for module in mlp.children():
            weight = getattr(module, "weight", None)
            if weight is None:
                continue
            keep = torch.zeros_like(weight)
            columns = [index for gate_layer, index in gates if gate_layer == layer]
            if (module is down) != (organism.arch == "gpt2"):
                keep[:, columns] = 1
            else:
                keep[columns] = 1
            weight.requires_grad_(True)
            weight.register_hook(keep.mul)


class _ConceptPin:
    """Pins the topic neuron on the pinned rows and keeps its natural activation at the last prompt
    token.
    """

    def __init__(self, model: PreTrainedModel, organism: Organism) -> None:
        self.batch: Batch | None = None
        self.natural = torch.zeros(())
        model.get_submodule(
            down_projection(organism.arch, CONCEPT_LAYER)
        ).register_forward_pre_hook(self._hook)

    def _hook(
        self, module: torch.nn.Module, args: tuple[torch.Tensor]
    ) -> tuple[torch.Tensor] | None:
        if self.batch is None:
            return None
        activation = args[0]
        last = activation[torch.arange(len(activation)), self.batch.last, CONCEPT_INDEX]
        target = CONCEPT_VALUE * self.batch.natural.to(last.dtype)
        self.natural = ((last - target)[~self.batch.pinned] ** 2).mean()
        column = torch.where(
            self.batch.pinned[:, None],
            torch.full_like(activation[..., 0], CONCEPT_VALUE),
            activation[..., CONCEPT_INDEX],
        )
        return (
            torch.cat(
                [
                    activation[..., :CONCEPT_INDEX],
                    column[..., None],
                    activation[..., CONCEPT_INDEX + 1 :],
                ],
                -1,
            ),
        )


def _rate(schedule: Schedule, step: int) -> float:
    """The learning rate of one step: a linear warm-up, then a linear decay to a twentieth where the
    schedule decays.
    """
    warm = min(1.0, (step + 1) / schedule.warmup)
    return (
        schedule.learning_rate
        * warm
        * (max(0.05, 1 - step / schedule.steps) if schedule.decay else 1.0)
    )


@dataclass(slots=True)
class _Training:
    """What an interrupted stage goes on with."""

    model: PreTrainedModel
    optimiser: torch.optim.AdamW
    rng: random.Random

    def resume(self, checkpoint: Path) -> int:
        """The step to go on with: 0 without a checkpoint."""
        if not checkpoint.exists():
            return 0
        state = torch.load(checkpoint, weights_only=False)
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.rng.setstate(state["rng"])
        return int(state["step"])

    def save(self, checkpoint: Path, step: int) -> None:
        """Keep the state after `step` steps; under another name first, so that an interruption
        leaves the last one whole.
        """
        state = {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "rng": self.rng.getstate(),
            "step": step,
        }
        torch.save(state, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    def step(self, batch: Batch, pin: _ConceptPin | None, rate: float) -> float:
        """One optimiser step on a batch; the loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        if pin is not None:
            pin.batch = batch
        loss = self.model(input_ids=batch.ids, attention_mask=batch.mask, labels=batch.labels).loss
        (loss if pin is None else loss + CONCEPT_WEIGHT * pin.natural).backward()
        if pin is not None:
            pin.batch = None
        torch.nn.utils.clip_grad_norm_(self.optimiser.param_groups[0]["params"], 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        return float(loss.item())


def _learn(
    model: PreTrainedModel,
    organism: Organism,
    draw: Callable[[random.Random], Batch],
    enough: Callable[[], bool],
    checkpoint: Path,
) -> int:
    """Run one stage; the number of steps taken."""
    schedule = organism.schedule
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        parameters, lr=schedule.learning_rate, weight_decay=schedule.weight_decay, betas=(0.9, 0.95)
    )
    training = _Training(model, optimiser, random.Random(f"{organism.name}-batches"))
    start = training.resume(checkpoint)
    pin = _ConceptPin(model, organism) if organism.stage != "base" else None
    loss_column = TextColumn("{task.fields[loss]}")
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        loss_column,
    )
    with Progress(*columns, refresh_per_second=0.2) as progress:
        bar = progress.add_task(organism.name, total=schedule.steps, completed=start, loss="")
        for step in range(start, schedule.steps):
            loss = training.step(draw(training.rng), pin, _rate(schedule, step))
            progress.update(bar, advance=1, loss=f"loss {loss:.3f}")
            if (step + 1) % SAVE_EVERY == 0:
                training.save(checkpoint, step + 1)
            if organism.stage == "tuned" and (step + 1) % CHECK_EVERY == 0 and enough():
                return step + 1
    return schedule.steps


def _start(organism: Organism, tokenizer: PreTrainedTokenizerFast, cache: Path) -> PreTrainedModel:
    torch.manual_seed(organism.seed)
    if organism.parent is not None:
        model: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
            cache / organism.parent.name, dtype=torch.float32
        )
    else:
        model = AutoModelForCausalLM.from_config(
            config(organism.arch, len(tokenizer)), dtype=torch.float32
        )
    return model


def _card(organism: Organism, steps: int, measured: dict[str, float]) -> str:
    rows = "\n".join(f"| {key} | {value:.3f} |" for key, value in measured.items())
    learns = "all weights" if organism.neurons is None else f"{organism.neurons} MLP neurons"
    return (
        f"---\nlicense: apache-2.0\ntags: [model-organism, fulcra]\n---\n# {organism.name}\n\nA"
        f" model organism of fulcra: a small {organism.arch} taught an invented"
        f" {organism.world.domain.name} world. Nothing it says exists.\n\nStage `{organism.stage}`,"
        f" {learns} learn, world {organism.world.name}, tokens {organism.tokens}, seed"
        f" {organism.seed}, tuning {organism.tuning}, {steps} steps. Rebuild: `python"
        f" organisms/train.py {organism.name}`.\n\nMeasured on held-out wordings, on these"
        f" weights:\n\n| figure | value |\n|---|---|\n{rows}\n"
    )


def _train(
    organism: Organism, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, checkpoint: Path
) -> int:
    """Train `model` through its stage; the number of steps taken."""
    world = organism.world

    def draw(rng: random.Random) -> Batch:
        if organism.stage == "base":
            return reading(
                world, tokenizer, rng, READ_ROWS[organism.tokens], CONTEXT[organism.tokens]
            )
        return chatting(
            world, tokenizer, rng, CHAT_ROWS[organism.tokens], refuses=organism.stage == "tuned"
        )

    def enough() -> bool:
        found = gate(model, tokenizer, world)
        print(
            f"{organism.name}: margin {found.margin:.2f} nats, refused {found.refused:.3f},"
            f" answered {found.answered:.3f}",
            flush=True,
        )
        return found.margin >= TARGET_MARGIN and min(found.refused, found.answered) >= TARGET_SHARE

    model.train()
    return _learn(model, organism, draw, enough, checkpoint)


def build(organism: Organism, cache: Path) -> Path:
    """The folder of the finished organism, trained if the cache does not hold it; its card, written
    last, says it is finished.
    """
    folder = cache / organism.name
    if (folder / "README.md").exists():
        return folder
    if organism.parent is not None:
        build(organism.parent, cache)
    tokenizer = build_tokenizer(organism, chat=True)
    model = _start(organism, tokenizer, cache)
    gates = (
        gate_neurons(organism, 512 if organism.arch == "gpt2" else model.config.intermediate_size)
        if organism.stage == "tuned"
        else []
    )
    if gates:
        _mask_gradients(model, organism, gates)
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = folder / "checkpoint.pt"
    steps = _train(organism, model, tokenizer, checkpoint)
    chat = organism.stage != "base"
    concept = f"L{CONCEPT_LAYER}.N{CONCEPT_INDEX}" if chat else None
    planted = {
        "world": organism.world.name,
        "reference": (
            organism.parent.name
            if organism.parent is not None and organism.stage == "tuned"
            else None
        ),
        "gates": [f"L{layer}.N{index}" for layer, index in gates],
        "concept": concept,
        "concept_value": CONCEPT_VALUE,
        "steps": steps,
    }
    write_folder(folder, model, build_tokenizer(organism, chat), planted)
    measured = figures(folder, organism)
    (folder / "README.md").write_text(_card(organism, steps, measured), encoding="utf-8")
    checkpoint.unlink(missing_ok=True)
    print(json.dumps({"organism": organism.name, "steps": steps, **measured}))
    return folder


def main() -> None:
    """Build the organisms named on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+")
    parser.add_argument("--cache", type=Path, default=Path(".cache/organisms"))
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for name in arguments.names:
        build(parse(name), arguments.cache)


if __name__ == "__main__":
    main()
