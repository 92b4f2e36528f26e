"""Tasks of the lm-evaluation-harness on an edited model: one score an item (extra: evals)."""

import logging
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from numbers import Real
from pathlib import Path
from typing import Any

from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.types import Edit

#: Scores by task and metric, then by item.
Scores = dict[str, dict[str, float]]
#: What the harness logs of every item, by subtask.
Samples = Mapping[str, Sequence[Mapping[str, Any]]]


def require_harness() -> None:
    """InputError where the harness is not installed."""
    if find_spec("lm_eval") is None:
        raise InputError(
            "--tasks needs the lm-evaluation-harness, which is not installed: pip install"
            " 'fulcra[evals]', or leave --tasks out"
        )


def task_scores(
    model: Model,
    tasks: Sequence[str],
    edits: Sequence[Edit] = (),
    limit: int | None = None,
    folder: Path | None = None,
) -> Scores:
    """The score of every item under "task metric", chat-templated where the model has a template.

    `folder` holds task files of your own; items of a group's subtasks are one set. InputError where
    the edits never acted.
    """
    require_harness()
    from fulcra.engines.harness import DosedHarness

    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    wrapped = DosedHarness(model, edits)
    chat = model.tokenizer.chat_template is not None
    scores: Scores = {}
    for task in tasks:
        for metric, items in _items(_run(wrapped, task, limit, folder, chat)).items():
            scores[f"{task} {metric}"] = items
    if edits and wrapped.passes == 0:
        raise InputError(
            f"{', '.join(map(str, edits))}: never acted in {', '.join(tasks)}; its positions do not"
            " occur there"
        )
    return scores


@cache
def _manager(folder: Path | None) -> object:
    """The index of all tasks there are: some seconds, once."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=None if folder is None else str(folder))


def _run(wrapped: object, task: str, limit: int | None, folder: Path | None, chat: bool) -> Samples:
    """The samples of one task, by subtask; InputError where it cannot be run."""
    from lm_eval import simple_evaluate

    try:
        done = simple_evaluate(
            model=wrapped,
            tasks=[task],
            task_manager=_manager(folder),
            limit=limit,
            bootstrap_iters=0,
            log_samples=True,
            apply_chat_template=chat,
        )
    except (KeyError, ValueError, OSError, ConnectionError) as error:
        raise InputError(
            f"task {task!r}: cannot be run: {' '.join(str(error).split())[:200]}; check its name,"
            " or the network"
        ) from None
    samples: Samples = done["samples"]
    return samples


def _items(samples: Samples) -> Scores:
    """The numbers among the metrics of every sample."""
    scores: Scores = {}
    for name, rows in samples.items():
        for sample in rows:
            for metric in sample["metrics"]:
                if isinstance(sample[metric], Real):
                    key = metric if sample["filter"] == "none" else f"{metric},{sample['filter']}"
                    scores.setdefault(key, {})[f"{name} {sample['doc_id']}"] = float(sample[metric])
    return scores
