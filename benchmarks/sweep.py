"""The sweep engine against generate with a hook, and three interpretability libraries."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from pairs import Row, compare
from setting import TOKENS, Setting, Size, model, requests, rows, settings
from torch import Tensor

from fulcra.engines.engine import run
from fulcra.types import Neuron, RolloutRequest

#: Below this gap between the two best logits two correct programs may choose differently.
GAP = 1e-4

Tokens = list[list[int]]
Sweep = Callable[[Sequence[Setting]], Tokens]


def ours(chosen: Sequence[Setting]) -> Tokens:
    """All settings and prompts as one list of requests."""
    return rows(run(model(), requests(list(chosen))))


def batch(prompts: Sequence[tuple[int, ...]]) -> tuple[Tensor, Tensor]:
    """Left-padded ids and attention mask."""
    width = max(map(len, prompts))
    ids = torch.tensor([(0,) * (width - len(p)) + p for p in prompts], device=model().device)
    return ids, torch.tensor(
        [(0,) * (width - len(p)) + (1,) * len(p) for p in prompts], device=model().device
    )


def replies(sequences: Tensor, width: int) -> Tokens:
    """The tokens after `width`, up to the end token."""
    ends, out = model().end_ids, []
    for row in sequences[:, width:].tolist():
        end = next((i for i, token in enumerate(row) if token in ends), len(row))
        out.append(row[:end])
    return out


def generate_with_hook(prompts: Sequence[tuple[int, ...]], setting: Setting) -> Tokens:
    """transformers' generate on all prompts under one setting, by the hook a paper would write."""
    site, alpha = setting.edit.site, setting.edit.value
    assert isinstance(site, Neuron)

    def hook(module: object, args: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x = args[0].clone()
        x[..., site.index] += alpha
        return (x,)

    ids, mask = batch(prompts)
    handle = model().down(site.layer).register_forward_pre_hook(hook)
    try:
        return replies(
            model().generate(ids, attention_mask=mask, max_new_tokens=TOKENS, do_sample=False),
            ids.shape[1],
        )
    finally:
        handle.remove()


def loop(chosen: Sequence[Setting]) -> Tokens:
    """A setting at a time, all its prompts in one batch."""
    return [tokens for setting in chosen for tokens in generate_with_hook(setting.prompts, setting)]


def reference(chosen: Sequence[Setting]) -> Tokens:
    """A setting and a prompt at a time."""
    return [
        tokens
        for setting in chosen
        for prompt in setting.prompts
        for tokens in generate_with_hook([prompt], setting)
    ]


def nnsight_sweep() -> Sweep:
    """nnsight: `generate`, the edit in every iteration, the result saved."""
    from nnsight import LanguageModel

    lm = LanguageModel(model().hf, tokenizer=model().tokenizer)

    def steered_by(setting: Setting) -> Tokens:
        ids, mask = batch(setting.prompts)
        layer, index, alpha = setting.edit.site.layer, setting.edit.site.index, setting.edit.value  # type: ignore[union-attr]
        with lm.generate(max_new_tokens=TOKENS, do_sample=False) as tracer:
            with tracer.invoke({"input_ids": ids, "attention_mask": mask}):
                for _ in tracer.iter[:]:
                    lm.model.layers[layer].mlp.down_proj.input[..., index] += alpha
            with tracer.invoke():
                out = tracer.result.save()
        return replies(out, ids.shape[1])

    return lambda chosen: [tokens for setting in chosen for tokens in steered_by(setting)]


def pyvene_sweep() -> Sweep:
    """pyvene: an intervenable model a setting, added to the down projection's input.

    On the prompt too.
    """
    import pyvene

    def steered_by(setting: Setting) -> Tokens:
        site = setting.edit.site
        vector = torch.zeros(model().d_mlp, device=model().device)
        vector[site.index] = setting.edit.value  # type: ignore[union-attr]
        place = {
            "component": f"model.layers[{site.layer}].mlp.down_proj.input",
            "intervention_type": pyvene.AdditionIntervention,
        }
        steered = pyvene.IntervenableModel(
            [place | {"layer": site.layer, "source_representation": vector}], model=model().hf
        )
        ids, mask = batch(setting.prompts)
        _, out = steered.generate(
            {"input_ids": ids, "attention_mask": mask},
            max_new_tokens=TOKENS,
            do_sample=False,
            intervene_on_prompt=True,
        )
        return replies(out, ids.shape[1])

    return lambda chosen: [tokens for setting in chosen for tokens in steered_by(setting)]


def transformer_lens_sweep() -> Sweep:
    """TransformerLens: a bridge over the same model, its generate under `hooks` on hook_post."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(
        model().name, hf_model=model().hf, tokenizer=model().tokenizer
    )

    def steered_by(setting: Setting) -> Tokens:
        layer, index, alpha = setting.edit.site.layer, setting.edit.site.index, setting.edit.value  # type: ignore[union-attr]

        def hook(value: Tensor, hook: Any) -> Tensor:
            value[..., index] += alpha
            return value

        ids, mask = batch(setting.prompts)
        with bridge.hooks(fwd_hooks=[(f"blocks.{layer}.mlp.hook_post", hook)]):
            out = bridge.generate(
                ids,
                attention_mask=mask,
                max_new_tokens=TOKENS,
                do_sample=False,
                return_type="tokens",
                verbose=False,
            )
        return replies(out, ids.shape[1])

    return lambda chosen: [tokens for setting in chosen for tokens in steered_by(setting)]


def near_tie(request: RolloutRequest, tokens: Sequence[int]) -> bool:
    """Whether the token after `tokens` is chosen by a gap below `GAP`."""
    from fulcra.models import applied_rows

    with torch.no_grad(), applied_rows(model(), [request.edits]):
        best = (
            model()
            .hf(torch.tensor([[*request.prompt, *tokens]], device=model().device))
            .logits[0, -1]
            .topk(2)
            .values
        )
    return float(best[0] - best[1]) < GAP


def agree(work: Sequence[RolloutRequest], first: Tokens, second: Tokens) -> bool:
    """Whether two sweeps say the same up to near ties, in all but .1 % of the rows exactly so."""
    ties = 0
    for request, left, right in zip(work, first, second, strict=True):
        if left != right:
            same = next(
                (i for i, (a, b) in enumerate(zip(left, right, strict=False)) if a != b),
                min(len(left), len(right)),
            )
            if not near_tie(request, left[:same]):
                return False
            ties += 1
    return ties <= max(1, len(work) // 1000)


def rows_of(wanted: Callable[[str], bool], rounds: int, size: Size) -> list[Row]:
    """A row for each of the five peers of a sweep."""
    peers: list[tuple[str, str, Callable[[], Sweep], int]] = [
        (
            "sweep_vs_loop",
            "transformers.generate with a hook, a setting at a time",
            lambda: loop,
            rounds,
        ),
        (
            "sweep_vs_reference",
            "transformers.generate with a hook, a prompt at a time",
            lambda: reference,
            max(1, rounds // 2),
        ),
        ("sweep_vs_nnsight", "nnsight, a setting at a time", nnsight_sweep, rounds),
        ("sweep_vs_pyvene", "pyvene, a setting at a time", pyvene_sweep, rounds),
        (
            "sweep_vs_transformer_lens",
            "TransformerLens, a setting at a time",
            transformer_lens_sweep,
            rounds,
        ),
    ]
    table = []
    for name, peer_name, make, times in peers:
        if wanted(name):
            peer, chosen = make(), settings(size)
            ours(chosen[:2]), peer(chosen[:2])
            work = (partial(ours, chosen), partial(peer, chosen))
            table.append(compare(name, peer_name, [work] * times, partial(agree, requests(chosen))))
    return table
