"""Rollouts at their horizons, and the distinct completions that judges are asked about."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fulcra.behaviors.splits import prompt_sets
from fulcra.judges.judge import Item
from fulcra.protocol.records import Record
from fulcra.types import Behavior


class Cut(NamedTuple):
    """A rollout as it stood at one horizon; `item` is the place of its completion, if it has one.

    A completion is what judges are asked about; several rollouts may have ended in the same.
    """

    record: Record
    horizon: int
    item: int | None

    @property
    def outcome(self) -> str:
        """The run's own outcome at this horizon."""
        return self.record.at(self.horizon)


class Completions(NamedTuple):
    """Rollouts at their horizons, and the distinct completions among them.

    Judges are not asked about what is unscored or collapsed: degenerate text is collapse whatever
    it says.
    """

    behavior: Behavior
    cuts: tuple[Cut, ...]
    items: tuple[Item, ...]

    @property
    def horizons(self) -> tuple[int, ...]:
        """The horizons of the cuts, in their order."""
        return tuple(dict.fromkeys(cut.horizon for cut in self.cuts))

    def at(self, horizon: int) -> dict[int, Cut]:
        """The completions of one horizon, each with the first rollout that ended in it."""
        first: dict[int, Cut] = {}
        for cut in self.cuts:
            if cut.horizon == horizon and cut.item is not None:
                first.setdefault(cut.item, cut)
        return dict(sorted(first.items()))


def completions_of(
    behavior: Behavior, records: Iterable[Record], horizons: Sequence[int], words: Mapping[str, str]
) -> Completions:
    """The completions of some records at each horizon; `words` has their texts by hash."""
    places: dict[tuple[str, str, bool], int] = {}
    cuts: list[Cut] = []
    for record in records:
        for horizon in horizons:
            place = None
            if record.coherent(horizon):
                text, ended = record.cut_at(horizon, words[record.text_hash])
                place = places.setdefault((record.prompt, text, ended), len(places))
            cuts.append(Cut(record, horizon, place))
    sets = prompt_sets(behavior).values()
    prompts = {prompt.id: prompt for prompts in sets for prompt in prompts}
    items = (Item(prompts[name], text, ended) for name, text, ended in places)
    return Completions(behavior, tuple(cuts), tuple(items))
