"""What every behavior must hold before anything runs on it, and the hash of what it holds."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sized
from dataclasses import asdict, replace
from itertools import combinations

from fulcra.behaviors.oracles_own import RuleFlip
from fulcra.errors import BehaviorError
from fulcra.types import Behavior, Prompt

#: Openings that serve |r|, c0 and KL, and the other ones that serve measured ceilings (law.md
#: section 2).
N_GENERIC, N_CEILING = 32, 16


def checked(behavior: Behavior) -> Behavior:
    """The behavior itself; BehaviorError where a set, an opening or a setting is not usable.

    Sets hold distinct prompts and share none; measured prompts have openings of both kinds.
    """
    _check_settings(behavior)
    _check_generic(behavior)
    sets = _texts_by_set(behavior)
    for name, texts in sets.items():
        _check_set(behavior.name, name, texts)
    for (name, texts), (other, others) in combinations(sets.items(), 2):
        _check_disjoint(behavior.name, (name, texts), (other, others))
    unread = (*behavior.discovery.selection, *behavior.reserve)
    for prompt in (*behavior.selection, *behavior.confirmation, *unread):
        _check_openings(behavior.name, prompt)
    return behavior


def prompt_sets(behavior: Behavior) -> dict[str, tuple[Prompt, ...]]:
    """The four prompt sets by name."""
    return {
        "positive": behavior.positive,
        "negative": behavior.negative,
        "selection": behavior.selection,
        "confirmation": behavior.confirmation,
    }


def behavior_sha256(behavior: Behavior) -> str:
    """The sha256 of the behavior's canonical JSON: its prompts, settings, and how a flip is read.

    A horizon that follows from true replies counts in their words, so that one behavior has one
    hash for all models. Functions of the user's own count by name and source, not by what they
    call.
    """
    content: dict[str, object] = {
        key: getattr(behavior, key)
        for key in ("name", "version", "system", "flip", "horizon", "reference")
    }
    if behavior.replies:
        content["horizon"] = longest_reply(behavior, str.split)
    if isinstance(behavior.oracle, RuleFlip):
        content["rules"] = behavior.oracle.sources
    for name, prompts in prompt_sets(behavior).items():
        content[name] = [_plain_prompt(prompt) for prompt in prompts]
    content["generic"] = behavior.generic
    content["ceiling_generic"] = behavior.ceiling_generic
    return _sha256(content)


def shortened(behavior: Behavior, prompts: int | None, horizon: int | None) -> Behavior:
    """The behavior with at most so many prompts a split and tokens a reply; None limits nothing."""
    if prompts is not None:
        behavior = replace(
            behavior,
            selection=behavior.selection[:prompts],
            confirmation=behavior.confirmation[:prompts],
            ceiling_generic=behavior.ceiling_generic[:prompts],
        )
    if horizon is None:
        return behavior
    return replace(behavior, horizon=min(horizon, behavior.horizon), replies=())


def widened(behavior: Behavior, prompts: int) -> Behavior:
    """The behavior with so many prompts of selection and of confirmation, or as many as it has.

    Those beyond its own come from the discovery prompts and from the reserve; its horizon holds
    their true answers, too.
    """
    selection = (*behavior.selection, *behavior.discovery.selection)[:prompts]
    discovery = behavior.discovery._replace(selection=())
    chosen = confirmed(replace(behavior, selection=selection, discovery=discovery), prompts)
    return replace(chosen, reserve=())


def confirmed(behavior: Behavior, prompts: int | None) -> Behavior:
    """The behavior with so many confirmation prompts, or as many as it has; None changes nothing.

    Those beyond its own come from the reserve, which keeps the others; its horizon holds their true
    answers, too.
    """
    if prompts is None:
        return behavior
    every = (*behavior.confirmation, *behavior.reserve)
    confirmation, reserve = every[:prompts], every[prompts:]
    answers = [each.answer for each in (*behavior.selection, *confirmation) if each.answer]
    replies = tuple(dict.fromkeys([*behavior.replies, *answers])) if behavior.replies else ()
    return replace(behavior, confirmation=confirmation, reserve=reserve, replies=replies)


def require_confirmation(behavior: Behavior, prompts: int | None) -> None:
    """BehaviorError where more confirmation prompts are asked for than the behavior brings."""
    most = len(behavior.confirmation) + len(behavior.reserve)
    if prompts is not None and prompts > most:
        raise BehaviorError(
            f"behavior {behavior.name!r}: {prompts} confirmation prompts are asked for, it brings"
            f" {most} with its reserve; ask for {most} or fewer, or give a behavior with more"
        )


def longest_reply(behavior: Behavior, cut: Callable[[str], Sized]) -> int:
    """The horizon that holds every true reply, cut into words or tokens: the longest + 2."""
    return max(len(cut(reply)) for reply in behavior.replies) + 2


def texts_sha256(texts: Iterable[str]) -> str:
    """The sha256 of some texts in their order, as canonical JSON."""
    return _sha256(list(texts))


def _sha256(value: object) -> str:
    return hashlib.sha256(
        json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
    ).hexdigest()


def _plain_prompt(prompt: Prompt) -> dict[str, object]:
    return {key: value for key, value in asdict(prompt).items() if key != "request"}


def _plain(text: str) -> str:
    """A text as it is compared: letter case and spaces make no other prompt."""
    return " ".join(text.casefold().split())


def _texts_by_set(behavior: Behavior) -> dict[str, list[str]]:
    """The texts of every set by its name: prompts, generic openings, discovery prompts."""
    sets = {
        name: [prompt.text for prompt in prompts] for name, prompts in prompt_sets(behavior).items()
    }
    sets |= {"generic": list(behavior.generic), "ceiling_generic": list(behavior.ceiling_generic)}
    more = {f"discovery {name}": prompts for name, prompts in behavior.discovery._asdict().items()}
    more["reserve"] = behavior.reserve
    sets |= {name: [prompt.text for prompt in prompts] for name, prompts in more.items() if prompts}
    return sets


def _check_settings(behavior: Behavior) -> None:
    if not behavior.name:
        raise BehaviorError("behavior '': it has no name; give one")
    if not isinstance(behavior.horizon, int) or behavior.horizon < 1:
        raise BehaviorError(
            f"behavior {behavior.name!r}: horizon is {behavior.horizon!r}; give a whole number of"
            " tokens, 1 or more"
        )


def _check_set(behavior: str, name: str, texts: list[str]) -> None:
    if not texts:
        raise BehaviorError(f"behavior {behavior!r}: {name} holds no prompt; give at least one")
    text, count = Counter(map(_plain, texts)).most_common(1)[0]
    if not all(map(_plain, texts)):
        raise BehaviorError(
            f"behavior {behavior!r}: {name} holds an empty prompt; write it or take it out"
        )
    if count > 1:
        raise BehaviorError(f"behavior {behavior!r}: {name} holds {text!r} {count} times; keep one")


def _check_disjoint(
    behavior: str, first: tuple[str, list[str]], second: tuple[str, list[str]]
) -> None:
    (name, texts), (other, others) = first, second
    shared = set(map(_plain, texts)) & set(map(_plain, others))
    if shared:
        text = next(text for text in texts if _plain(text) in shared)
        raise BehaviorError(
            f"behavior {behavior!r}: {text!r} is in {name} and in {other}; sets must be"
            " disjoint, keep it in one"
        )


def _check_generic(behavior: Behavior) -> None:
    count = len(behavior.generic) + len(behavior.ceiling_generic)
    if len(behavior.generic) < N_GENERIC or len(behavior.ceiling_generic) < N_CEILING:
        raise BehaviorError(
            f"behavior {behavior.name!r}: generic holds {count} openings, needs"
            f" {N_GENERIC + N_CEILING} or more; add some or leave the key out"
        )


def _check_openings(behavior: str, prompt: Prompt) -> None:
    for side, openings in (
        ("target_openings", prompt.target_openings),
        ("control_openings", prompt.control_openings),
    ):
        if not openings or not all(opening.strip() for opening in openings):
            raise BehaviorError(
                f"behavior {behavior!r}: prompt {prompt.text!r} has no {side}; give one to all"
                " prompts or to this one"
            )
    shared = set(prompt.target_openings) & set(prompt.control_openings)
    if shared:
        raise BehaviorError(
            f"behavior {behavior!r}: {min(shared)!r} is a target and a control opening of"
            f" {prompt.text!r}; keep one"
        )
