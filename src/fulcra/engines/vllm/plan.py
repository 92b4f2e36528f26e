"""Edits as a vLLM worker takes them: plain values by name, and how often each has to act."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, NotRequired, TypedDict, cast, final

from fulcra.engines.vllm.edit_op import NEURONS, VECTORS
from fulcra.errors import InputError
from fulcra.models.edits import affine
from fulcra.types import Direction, Edit, Edits, Neuron, Positions

#: How edits act in vLLM: by hooks, by an operator in its graphs, by LoRA in its graphs.
Graphs = Literal["off", "op", "lora"]

#: Kind and layer of edits that act together; an ablation acts at every layer and stands at 0.
Place = tuple[str, int]


class PlainEdit(TypedDict):
    """One edit without a class of fulcra in it; `kind` is neuron, block, mlp or ablate.

    A neuron has index, factor and shift, the others a vector [d_model]: the one that is added, or
    the unit vector that is taken out.
    """

    kind: str
    layer: int
    positions: Positions
    index: NotRequired[int]
    factor: NotRequired[float]
    shift: NotRequired[float]
    vector: NotRequired[list[float]]


class Geometry(TypedDict):
    """Names of the modules that edits act at, by layer, and the stream's width."""

    downs: list[str]
    blocks: list[str]
    readers: list[str]
    d_model: int


class Named(TypedDict):
    """What a request carries beside its prompt: its row, its edit set and how it draws.

    `seed` is a text, since vLLM takes no integer of more than 64 bits; `end` is the token that ends
    a row whose numbers are not finite; `first_logits` says whether those are held for a report.
    """

    row: str
    edits: str
    prompt: int
    temperature: float
    seed: str
    horizon: int
    end: int
    first_logits: bool


class Acts(TypedDict):
    """What one worker did for one row: tokens by edit, the step that broke, the first logits."""

    edited: list[int]
    broken: int | None
    logits: list[float] | None


class Span(NamedTuple):
    """The tokens of a request that went through the model: `prompt` of them, then `reply`."""

    prompt: int
    reply: int

    def at(self, positions: Positions) -> int:
        """How many of them an edit at `positions` acts on."""
        counts = {
            "all": self.prompt + self.reply,
            "prompt": self.prompt,
            "last": min(self.prompt, 1),
            "generated": self.reply,
        }
        return counts[positions]


def first_and_past(positions: Positions, prompt: int) -> tuple[int, int]:
    """First place in a text that an edit at `positions` acts on, and the first it no longer does.

    `prompt` is the length of the prompt; as in the local engine a reply's own tokens are
    "generated", and "last" is the prompt's last token.
    """
    endless = 1 << 62
    places = {
        "all": (0, endless),
        "prompt": (0, prompt),
        "last": (prompt - 1, prompt),
        "generated": (prompt, endless),
    }
    return places[positions]


def kind_of(edit: Edit) -> str:
    """Where an edit acts: neuron, block, mlp or ablate."""
    kinds = {"add_vector": "block", "add_mlp": "mlp", "ablate_direction": "ablate"}
    return kinds.get(edit.op, "neuron")


@final
class EditSets:
    """The different edit sets of some requests: `plain` by name, and the name of each, "" for none.

    Two sets are one where all their numbers are: directions of one name may have two vectors.
    """

    def __init__(self, requested: Sequence[Edits]) -> None:
        self.plain: dict[str, list[PlainEdit]] = {}
        names: dict[str, str] = {}
        self.names: list[str] = []
        for edits in requested:
            values = plain(edits)
            key = json.dumps(values)
            name = names.setdefault(key, f"set {len(names)}") if values else ""
            if values:
                self.plain[name] = values
            self.names.append(name)


def plain(edits: Edits) -> list[PlainEdit]:
    """The edits as plain values; InputError for what hooks on vLLM's modules cannot do."""
    _require_expressible(edits)
    return [_plain(edit) for edit in edits]


def require_in_graphs(edits: Edits, graphs: Graphs) -> None:
    """InputError for what operators in vLLM's graphs, or an adapter of rank 1, cannot do."""
    crowd = Counter(edit.site.layer for edit in edits if isinstance(edit.site, Neuron))
    if graphs == "op":
        directions = [edit.op for edit in edits if isinstance(edit.site, Direction)]
        most = max(crowd.values(), default=0)
        reasons = {
            f"{most} neurons of a layer, and there is room for {NEURONS}": most > NEURONS,
            f"{len(directions)} directions, and there is room for {VECTORS}": len(directions)
            > VECTORS,
            "two directions are taken out": directions.count("ablate_direction") > 1,
        }
        for reason in (reason for reason, holds in reasons.items() if holds):
            raise InputError(
                f"edits inside vLLM's graphs: {reason} in one set; leave --graphs out, or use"
                " --engine local"
            )
    for edit in edits if graphs == "lora" else ():
        if edit.op != "scale" or edit.positions != "all" or crowd[edit.site.layer] > 1:
            raise InputError(
                f"{edit} at {edit.positions} tokens: an adapter of rank 1 scales one neuron of a"
                " layer, at all tokens, and does nothing else; leave out graphs='lora', or use"
                " --engine local"
            )


def _require_expressible(edits: Edits) -> None:
    mixed = next((e for e in edits if isinstance(e.site, Neuron) and e.site.expert is not None), 0)
    if mixed:
        raise InputError(
            f"{mixed}: vLLM runs all experts of a layer in one kernel, where no edit reaches one"
            " neuron; use --engine local"
        )
    ops = {edit.op for edit in edits}
    if "anchor" in ops:
        raise InputError(f"{edits[0]}: an anchor is sized by its prompt before it is sent")
    if "ablate_direction" in ops and "add_vector" in ops:
        raise InputError(
            f"edits {', '.join(map(str, edits))}: a direction taken out and one added act in an"
            " order that vLLM's blocks leave open; use --engine local"
        )


def _plain(edit: Edit) -> PlainEdit:
    site, positions = edit.site, edit.positions
    if isinstance(site, Neuron):
        factor, shift = affine(edit)
        return PlainEdit(
            kind="neuron",
            layer=site.layer,
            positions=positions,
            index=site.index,
            factor=factor,
            shift=shift,
        )
    return PlainEdit(
        kind=kind_of(edit), layer=site.layer, positions=positions, vector=_vector(edit, site)
    )


def _vector(edit: Edit, direction: Direction) -> list[float]:
    """The vector that is added, or the unit vector that is taken out, [d_model]."""
    vector = direction.vector.detach().float()
    scaled = vector / vector.norm() if edit.op == "ablate_direction" else vector * edit.value
    return cast("list[float]", scaled.tolist())


def place_of(edit: PlainEdit) -> Place:
    """Where an edit acts, together with others of its kind and layer."""
    return edit["kind"], 0 if edit["kind"] == "ablate" else edit["layer"]


def firings(edit: PlainEdit, layers: int) -> int:
    """How many modules an edit acts at in one pass over a model of `layers` blocks.

    An ablation acts before the first block, before every MLP and after every block.
    """
    return 2 * layers + 1 if edit["kind"] == "ablate" else 1


def unmet(
    edits: Sequence[PlainEdit], acts: Sequence[Acts], span: Span, layers: int
) -> Iterator[tuple[int, int, int]]:
    """The edits that acted on another number of tokens than they had to: place, had to, did.

    `acts` holds what each worker did: one of them holds a neuron, all of them the stream.
    """
    for place, edit in enumerate(edits):
        due = span.at(edit["positions"]) * firings(edit, layers)
        counts = [act["edited"][place] if act["edited"] else 0 for act in acts]
        did = [sum(counts)] if edit["kind"] == "neuron" else counts
        yield from ((place, due, count) for count in did if count != due)
