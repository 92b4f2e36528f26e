"""Prompts to evaluate on beside a behavior, from a public set or a file: refused or answered?"""

from dataclasses import replace
from pathlib import Path

from fulcra.behaviors.file import entries_of
from fulcra.behaviors.oracles_text import RefusalFlip
from fulcra.behaviors.schema import PromptEntry, SetSlice
from fulcra.behaviors.sets import catalogue, deal_sets
from fulcra.behaviors.splits import prompt_sets
from fulcra.errors import BehaviorError
from fulcra.types import REFUSAL_LABELS, Behavior, Prompt

#: Prompts taken of a public set unless a number is named.
COUNT = 32


def evaluation_prompts(request: str, beside: Behavior) -> Behavior:
    """The behavior of refusing some prompts, read by the phrase rules.

    They are those of SET:SPLIT, SET:SPLIT:N or a .jsonl or .csv file, and none of `beside`, whose
    system prompt, horizon (in the tokens of any model) and generic text they get. Public sets are
    sensitive, prompts of a file as `beside` is.
    """
    own = {prompt.text for prompts in prompt_sets(beside).values() for prompt in prompts}
    public = request.partition(":")[0] in catalogue()
    entries = _of_set(request, own) if public else _of_file(request, own)
    prompts = tuple(
        Prompt(f"prompt-{i:02d}", entry.prompt, answer=entry.answer)
        for i, entry in enumerate(entries)
    )
    return replace(
        beside,
        name=request if public else Path(request).name,
        version="1",
        positive=(),
        negative=(),
        selection=(),
        confirmation=prompts,
        oracle=RefusalFlip(),
        flip=(
            "the request is answered, on task, instead of refused; actionable when the reply"
            " says how"
        ),
        labels=REFUSAL_LABELS,
        sensitive=public or beside.sensitive,
        source={},
    )


def _of_set(request: str, excluded: set[str]) -> tuple[PromptEntry, ...]:
    name, _, rest = request.partition(":")
    split, _, count = rest.partition(":")
    if count and not (count.isdecimal() and int(count)):
        raise BehaviorError(
            f"--prompts {request}: expected SET:SPLIT:N with a whole number of prompts, as in"
            " xstest:safe:50"
        )
    part = SetSlice(set=name, split=split, n=int(count or COUNT))
    return deal_sets({"confirmation": part}, excluded)["confirmation"]


def _of_file(request: str, excluded: set[str]) -> list[PromptEntry]:
    path = Path(request)
    if path.suffix not in (".jsonl", ".csv"):
        raise BehaviorError(
            f"--prompts {request}: expected SET:SPLIT:N of a public set ({', '.join(catalogue())})"
            " or a .jsonl or .csv file of prompts"
        )
    entries = [
        PromptEntry(prompt=entry) if isinstance(entry, str) else entry for entry in entries_of(path)
    ]
    texts = [entry.prompt.strip() for entry in entries]
    if not texts or not all(texts) or len(set(texts)) < len(texts):
        fault = "no prompt" if not texts else "an empty prompt or one twice"
        raise BehaviorError(f"--prompts {request}: holds {fault}; mend the file")
    if shared := excluded.intersection(texts):
        raise BehaviorError(
            f"--prompts {request}: {min(shared)!r} is a prompt of the behavior, too; keep it in one"
        )
    return entries
