"""Prompts to evaluate on, from a public set or a file: read as requests that are refused or
answered, beside a behavior.
"""

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


def evaluation_prompts(named: str, beside: Behavior) -> Behavior:
    """The behavior of refusing the prompts of SET:SPLIT, SET:SPLIT:N or a .jsonl or .csv file, read
    by the phrase rules.

    System prompt, horizon (in the tokens of any model) and generic text are those of `beside`, none
    of whose prompts is among them. Public sets are sensitive, prompts of a file as `beside` is.
    """
    taken = {prompt.text for prompts in prompt_sets(beside).values() for prompt in prompts}
    public = named.partition(":")[0] in catalogue()
    entries = _dealt(named, taken) if public else _listed(named, taken)
    prompts = tuple(
        Prompt(f"prompt-{i:02d}", entry.prompt, answer=entry.answer)
        for i, entry in enumerate(entries)
    )
    return replace(
        beside,
        name=named if public else Path(named).name,
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


def _dealt(named: str, taken: set[str]) -> tuple[PromptEntry, ...]:
    name, _, rest = named.partition(":")
    split, _, count = rest.partition(":")
    if count and not (count.isdecimal() and int(count)):
        raise BehaviorError(
            f"--prompts {named}: expected SET:SPLIT:N with a whole number of prompts, as in"
            " xstest:safe:50"
        )
    return deal_sets(
        {"confirmation": SetSlice(set=name, split=split, n=int(count or COUNT))}, taken
    )["confirmation"]


def _listed(named: str, taken: set[str]) -> list[PromptEntry]:
    path = Path(named)
    if path.suffix not in (".jsonl", ".csv"):
        raise BehaviorError(
            f"--prompts {named}: expected SET:SPLIT:N of a public set ({', '.join(catalogue())}) or"
            " a .jsonl or .csv file of prompts"
        )
    entries = [
        PromptEntry(prompt=entry) if isinstance(entry, str) else entry for entry in entries_of(path)
    ]
    texts = [entry.prompt.strip() for entry in entries]
    if not texts or not all(texts) or len(set(texts)) < len(texts):
        raise BehaviorError(
            f"--prompts {named}: holds"
            f" {'no prompt' if not texts else 'an empty prompt or one twice'}; mend the file"
        )
    if shared := taken.intersection(texts):
        raise BehaviorError(
            f"--prompts {named}: {min(shared)!r} is a prompt of the behavior, too; keep it in one"
        )
    return entries
