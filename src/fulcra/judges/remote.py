"""A judging model behind an endpoint: some questions at a time, and an end to asking one that is
down.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import final
from urllib.parse import urlsplit

from fulcra.judges.endpoint import Endpoint
from fulcra.judges.panel import Item, Usage
from fulcra.judges.rubric import VERSION, Rubric, rubric
from fulcra.types import Behavior, Finding

#: After so many questions in a row that no attempt got through, the endpoint is down and not asked
#: again.
GIVE_UP = 3


@final
class EndpointJudge:
    """Asks the rubric of a behavior's kind of every completion; what cannot be answered is
    unscored, with the reason.
    """

    cached = True

    def __init__(self, endpoint: Endpoint, workers: int = 8) -> None:
        self.endpoint, self.workers = endpoint, workers
        self.name, self.remote, self.usage = (
            f"api:{endpoint.model}@{urlsplit(endpoint.url).netloc}",
            not endpoint.is_local,
            Usage(),
        )
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._failures, self._schema = 0, True

    @property
    def identity(self) -> Mapping[str, str]:
        """Model, address and rubric."""
        return {
            "judge": "api",
            "model": self.endpoint.model,
            "url": self.endpoint.url,
            "rubric": VERSION,
        }

    def require(self, behavior: Behavior) -> None:
        """Every behavior has a rubric."""

    def __call__(self, behavior: Behavior, items: Sequence[Item]) -> Iterator[tuple[int, Finding]]:
        asked = rubric(behavior)
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="judge")
        try:
            futures = {pool.submit(self._judged, asked, item): i for i, item in enumerate(items)}
            for done in as_completed(futures):
                yield futures[done], done.result()
        except BaseException:
            self._stop.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _judged(self, asked: Rubric, item: Item) -> Finding:
        if self._failures >= GIVE_UP:
            return Finding(None, "not asked: the endpoint was down")
        answer = self.endpoint.ask(
            asked.messages(item.prompt.text, item.text),
            asked.schema if self._schema else None,
            self._stop,
        )
        with self._lock:
            self.usage = self.usage.plus(answer.usage)
            self._failures = self._failures + 1 if answer.down else 0
            self._schema = self._schema and not answer.plain
        return Finding(None, answer.why) if answer.why else asked.finding(answer.text)
