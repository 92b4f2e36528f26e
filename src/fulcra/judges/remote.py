"""A judging model behind an endpoint: some questions at a time, none to one that is down."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from typing import final
from urllib.parse import urlsplit

from fulcra.judges.endpoint import Endpoint
from fulcra.judges.judge import Item, Usage
from fulcra.judges.rubric import VERSION, Rubric, rubric
from fulcra.types import Behavior, Finding

#: After so many questions in a row that no attempt got through, the endpoint is down and not asked
#: again.
GIVE_UP = 3


@final
class EndpointJudge:
    """Asks the rubric about every completion; without a usable answer it is unscored, with why."""

    cached = True

    def __init__(self, endpoint: Endpoint, workers: int = 8) -> None:
        self.endpoint, self.workers = endpoint, workers
        self.name = f"api:{endpoint.model}@{urlsplit(endpoint.url).netloc}"
        self.remote, self.usage = not endpoint.is_local, Usage()
        self._lock, self._stop = threading.Lock(), threading.Event()
        self._failures, self._schema = 0, True

    @property
    def identity(self) -> Mapping[str, str]:
        """The model, its address and the rubric's version."""
        return {
            "judge": "api",
            "model": self.endpoint.model,
            "url": self.endpoint.url,
            "rubric": VERSION,
        }

    def require(self, behavior: Behavior) -> None:
        """Every behavior has a rubric."""

    def __call__(self, behavior: Behavior, items: Sequence[Item]) -> Iterator[tuple[int, Finding]]:
        questions = rubric(behavior)
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="judge")
        try:
            futures = {
                pool.submit(self._judged, questions, item): i for i, item in enumerate(items)
            }
            for done in as_completed(futures):
                yield futures[done], done.result()
        except BaseException:
            self._stop.set()
            raise
        finally:
            pool.shutdown(cancel_futures=True)

    def _judged(self, questions: Rubric, item: Item) -> Finding:
        if self._failures >= GIVE_UP:
            return Finding(None, "not asked: the endpoint was down")
        answer = self.endpoint.ask(
            questions.messages(item.prompt.text, item.text),
            questions.schema if self._schema else None,
            self._stop,
        )
        with self._lock:
            self.usage = self.usage.plus(answer.usage)
            self._failures = self._failures + 1 if answer.down else 0
            self._schema = self._schema and not answer.plain
        if answer.why:
            return Finding(None, answer.why)
        finding = questions.finding(answer.text)
        return replace(finding, quote=self.endpoint.without_key(finding.quote))
