"""A judge with a cache on disk: answers that were paid for, by the hash of the question."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import final

from fulcra.judges.judge import Item, Judge, Usage
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
        """The identity of the judge itself."""
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
        """InputError where the judge itself cannot read this behavior."""
        self.judge.require(behavior)

    def __call__(self, behavior: Behavior, items: Sequence[Item]) -> Iterator[tuple[int, Finding]]:
        answers = self._answers()
        keys = [self._key(behavior, item) for item in items]
        missing = [i for i, key in enumerate(keys) if key not in answers]
        self.hits += len(items) - len(missing)
        for i, key in enumerate(keys):
            if key in answers:
                yield i, answers[key]
        for position, finding in self.judge(behavior, [items[i] for i in missing]):
            i = missing[position]
            if finding.value is not None:
                self._store(keys[i], finding)
            yield i, finding

    def _answers(self) -> dict[str, Finding]:
        """The findings on disk by their key; the last one of a key counts."""
        return {
            line["key"]: Finding(line["value"], line["evidence"], line.get("quote", ""))
            for line in read_lines(self.path)
            if isinstance(line, dict) and "key" in line
        }

    def _key(self, behavior: Behavior, item: Item) -> str:
        question = [
            dict(self.identity),
            behavior.flip,
            behavior.label("unchanged"),
            item.prompt.text,
            item.text,
            item.ended,
        ]
        return digest([self.salt, *question])

    def _store(self, key: str, finding: Finding) -> None:
        quote = {"quote": finding.quote} if finding.quote and self.salt is None else {}
        line = {"key": key, "value": finding.value, "evidence": finding.evidence, **quote}
        append_line(self.path, line)
