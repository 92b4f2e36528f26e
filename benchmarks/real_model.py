"""What an audit's stages take on a real model, and against another tree of this package.

`python benchmarks/real_model.py MODEL [--against FOLDER/src]` runs one fixed slice of every stage,
one thread, each tree in a process of its own, and writes benchmarks/real_model.json.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

OUT = Path(__file__).with_name("real_model.json")

#: What one slice says: numbers, or the tokens of rollouts.
Said = list[float] | list[list[int]]


def product_speed(width: int, wide: int) -> float:
    """The most float32 operations a CPU second of one thread, of the products torch can take."""
    import torch

    rows, weight = torch.randn(1024, width), torch.randn(wide, width)
    kinds: list[Callable[[], Any]] = [lambda: torch.nn.functional.linear(rows, weight)]
    if torch.backends.mkldnn.is_available():
        kinds.append(lambda: torch.ops.mkldnn._linear_pointwise(rows, weight, None, "none", [], ""))
    best = 0.0
    for kind in kinds * 5:
        start = time.process_time()
        kind()
        best = max(best, 2 * 1024 * width * wide / (time.process_time() - start))
    return best


class Counter:
    """Operations of a model's linear layers, and the token positions of its passes."""

    def __init__(self, hf: Any) -> None:
        import torch

        self.operations, self.tokens = 0, 0
        for module in hf.modules():
            if isinstance(module, torch.nn.Linear):
                module.register_forward_hook(self.count)
        hf.register_forward_pre_hook(self.position, with_kwargs=True)

    def count(self, module: Any, args: Any, output: Any) -> None:
        """One product: two operations a weight and row."""
        self.operations += 2 * module.weight.numel() * (args[0].numel() // args[0].shape[-1] or 0)

    def position(self, module: Any, args: Any, kwargs: Any) -> None:
        """One pass of the model."""
        self.tokens += kwargs["input_ids"].numel()


class Audit:
    """One fixed slice of every stage of an audit; the same work, whatever tree is imported."""

    def __init__(self, model: Any) -> None:
        from fulcra.behaviors import load_behavior
        from fulcra.engines.generic import GenericText
        from fulcra.models.capture import stream

        self.model, self.behavior = model, load_behavior("refusal")
        texts, system = self.behavior.generic[:6], self.behavior.system
        self.generic = GenericText(
            tuple(model.prompt_ids(text, system) for text in texts),
            tuple(model.reply_ids(" ".join([text] * 3)) for text in texts),
        )
        self.clean = stream(model, self.generic.prompts, self.generic.replies)
        self.asked = [model.prompt_ids(p.text, system) for p in self.behavior.selection]

    def branch(self, i: int) -> Any:
        """A neuron, from layer to layer, in the units of the model."""
        from fulcra.models.coordinate import coordinate
        from fulcra.types import Neuron

        site = Neuron(7 * i % self.model.n_layers, 97 * i % self.model.d_mlp)
        return coordinate(self.model, self.clean, site)

    def dosed(self, first: int, count: int, *gains: float) -> list[Any]:
        """Edit sets of some neurons at each gain."""
        places = [self.branch(i) for i in range(first, first + count)]
        return [(place.dose(gain),) for place in places for gain in gains]

    def rolled(self, edits: Sequence[Any], count: int, horizon: int, heat: float = 0.0) -> Said:
        """Rollouts of every edit set on some prompts, and their surprise."""
        try:
            from fulcra.engines.engine import run
        except ImportError:  # a tree from before its rollouts had an engine
            from fulcra.engines.local import run
        from fulcra.protocol.subject import surprises
        from fulcra.types import RolloutRequest, Sampling

        requests = [
            RolloutRequest(prompt, edit, horizon, Sampling(heat, i))
            for edit in edits
            for i, prompt in enumerate(self.asked[:count])
        ]
        replies = [rollout.tokens for rollout in run(self.model, requests)]
        scored = [(q.prompt, r) for q, r in zip(requests, replies, strict=True) if r]
        surprises(self.model, list(dict.fromkeys(scored)))
        return [list(reply) for reply in replies]

    def ground(self) -> Said:
        """Generic text continued, its stream and its surprise."""
        from fulcra.models.capture import stream
        from fulcra.protocol.subject import surprises

        prompts, replies = self.generic.prompts, self.generic.replies
        self.rolled([()], 4, 16, 0.8)
        stream(self.model, prompts, replies)
        rows = surprises(self.model, list(zip(prompts, replies, strict=True)))
        return [nats for row in rows for nats in row]

    def screens(self) -> Said:
        """The first look of a screen: next tokens of two prompts under every dose."""
        from fulcra.ladders.next_token import NextTokens, next_token_odds

        tokens = NextTokens(self.model, self.behavior.selection[:2], self.behavior.system)
        doses = [edits[0] for edits in self.dosed(0, 32, 0.5)]
        return next_token_odds(self.model, tokens, doses).tolist()

    def forecast(self) -> Said:
        """Both teacher-forced ladders."""
        from fulcra.ladders import kl_ladder, trigger_ladder
        from fulcra.ladders.trigger_ladder import Openings

        branches = [self.branch(i) for i in range(2)]
        openings = Openings.of(self.model, self.behavior.selection[:2], self.behavior.system)
        edges = kl_ladder(self.model, branches, self.generic)
        edges += trigger_ladder(self.model, branches[:1], openings, (0.3, 0.9))
        return [edge.gain or -1.0 for edge in edges]

    def pins(self) -> Said:
        """Neurons held at a value."""
        from fulcra.models import pin
        from fulcra.types import Neuron

        layers = self.model.n_layers
        return self.rolled([(pin(Neuron(5 * i % layers, 31 * i), 2.0),) for i in range(8)], 4, 8)

    @property
    def stages(self) -> dict[str, Callable[[], Said]]:
        """The slices by stage, in the order of an audit."""
        return {
            "ground": self.ground,
            "baseline": lambda: self.rolled([()], 8, 16),
            "screens": self.screens,
            "forecast": self.forecast,
            "selection": lambda: self.rolled(self.dosed(0, 4, 0.2, 0.6), 4, 8),
            "ceiling": lambda: self.rolled(self.dosed(4, 2, 0.2, 0.6), 4, 16, 0.8),
            "confirmation": lambda: self.rolled(self.dosed(8, 2, 0.2, 0.6), 8, 16),
            "pins": self.pins,
            "controls": lambda: self.rolled(self.dosed(20, 8, 0.6), 4, 8),
        }


def work(name: str, dtype: str) -> None:
    """Prints the slices of the tree this process imports, one JSON line a stage."""
    import torch

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    from fulcra.engines.decoding import shared
    from fulcra.models import load

    model = load(name, dtype, check=False)
    shared(model)
    stages = Audit(model).stages
    counter = Counter(model.hf)
    for stage, run in stages.items():
        speed = product_speed(model.d_model, model.d_mlp)
        counter.operations = counter.tokens = 0
        start = time.process_time()
        said = run()
        seconds = time.process_time() - start
        speed = max(speed, product_speed(model.d_model, model.d_mlp))
        row = {
            "stage": stage,
            "cpu_s": seconds,
            "tokens": counter.tokens,
            "gflop": counter.operations / 1e9,
            "gflop_s": speed / 1e9,
            "said": said,
        }
        print(json.dumps(row), flush=True)


def ran(source: Path, name: str, dtype: str) -> dict[str, dict[str, Any]]:
    """The slices of the package below `source`, each by its stage, from a process of their own."""
    command = [sys.executable, "-W", "ignore", __file__, name, "--dtype", dtype, "--worker"]
    environment = {**os.environ, "PYTHONPATH": str(source), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    return {row["stage"]: row for row in rows}


def apart(ours: Said, theirs: Said) -> dict[str, float]:
    """How far two answers are: the largest difference of numbers, the share of equal rollouts."""
    if ours and isinstance(ours[0], list):
        return {"equal_rollouts": mean(a == b for a, b in zip(ours, theirs, strict=True))}
    return {"largest_difference": max(abs(a - b) for a, b in zip(ours, theirs, strict=True))}


def row_of(ours: dict[str, Any], theirs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """One stage as the file holds it; against the other tree's runs beside it."""
    share = ours["gflop"] / ours["cpu_s"] / ours["gflop_s"]
    row = {key: value for key, value in ours.items() if key != "said"} | {"share_of_limit": share}
    if theirs:
        peer = mean(other["cpu_s"] for other in theirs)
        row |= {"peer_cpu_s": peer, "ratio": peer / ours["cpu_s"]}
        if len(theirs) > 1:
            row |= {"peer_against_itself": theirs[0]["cpu_s"] / theirs[-1]["cpu_s"]}
        row |= {"peer_gflop": theirs[0]["gflop"], **apart(ours["said"], theirs[0]["said"])}
    return {
        key: float(f"{value:.4g}") if isinstance(value, float) else value
        for key, value in row.items()
    }


def main() -> None:
    """Writes real_model.json and prints its rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", help="a folder or name that fulcra.load takes")
    parser.add_argument("--against", type=Path, help="src folder of another tree of this package")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--null", action="store_true", help="the other tree again, afterwards")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.model, options.dtype)
        return
    own, peers = Path(__file__).parents[1] / "src", list[dict[str, dict[str, Any]]]()
    if options.against:
        peers.append(ran(options.against, options.model, options.dtype))
    ours = ran(own, options.model, options.dtype)
    if options.against and options.null:
        peers.append(ran(options.against, options.model, options.dtype))
    rows = [row_of(row, [peer[stage] for peer in peers]) for stage, row in ours.items()]
    options.out.write_text(json.dumps(rows, indent=1) + "\n")
    for row in rows:
        print(row)
    if peers:
        total = sum(row["peer_cpu_s"] for row in rows) / sum(row["cpu_s"] for row in rows)
        print(f"all slices: {total:.2f} times fewer CPU seconds")


if __name__ == "__main__":
    main()
