"""Answers that were paid for are kept: a judge with a cache on disk, by the hash of what it was
asked.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import final

from fulcra.judges.panel import Item, Judge, Usage
from fulcra.store import append_line, cache_folder, digest, read_lines
from fulcra.types import Behavior, Finding


@final
class Cached:
    """A judge that answers from disk what it has answered before; what was unscored is asked again.

    With a `salt` the behavior is sensitive: a line is the salted hash of the question, the outcome
    and the grades, no word.
    """

    cached = False

    def __init__(self, judge: Judge, salt: str | None = None) -> None:
        self.judge, self.salt = judge, salt
        self.name, self.remote = judge.name, judge.remote
        self.hits = 0

    @property
    def identity(self) -> Mapping[str, str]:
        """The judge's own."""
        return self.judge.identity

    @property
    def usage(self) -> Usage:
        """What the judge itself has cost; answers from disk are free."""
        return self.judge.usage

    @property
    def path(self) -> Path:
        """The file of this judge's answers."""
        return cache_folder() / "judges" / f"{digest(dict(self.identity))[:16]}.jsonl"

    def require(self, behavior: Behavior) -> None:
        """As the judge itself."""
        self.judge.require(behavior)

    def __call__(self, behavior: Behavior, items: Sequence[Item]) -> Iterator[tuple[int, Finding]]:
        known = {
            line["key"]: line
            for line in read_lines(self.path)
            if isinstance(line, dict) and "key" in line
        }
        keys = [self._key(behavior, item) for item in items]
        missing = [i for i, key in enumerate(keys) if key not in known]
        self.hits += len(items) - len(missing)
        for i, key in enumerate(keys):
            if key in known:
                yield (
                    i,
                    Finding(
                        known[key]["value"], known[key]["evidence"], known[key].get("quote", "")
                    ),
                )
        for at, finding in self.judge(behavior, [items[i] for i in missing]):
            i = missing[at]
            if finding.value is not None:
                self._keep(keys[i], finding)
            yield i, finding

    def _key(self, behavior: Behavior, item: Item) -> str:
        asked = [
            dict(self.identity),
            behavior.flip,
            behavior.label("unchanged"),
            item.prompt.text,
            item.text,
            item.ended,
        ]
        return digest([self.salt, *asked])

    def _keep(self, key: str, finding: Finding) -> None:
        quoted = {"quote": finding.quote} if finding.quote and self.salt is None else {}
        append_line(
            self.path, {"key": key, "value": finding.value, "evidence": finding.evidence, **quoted}
        )
