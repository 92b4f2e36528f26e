"""A mending in the terminal and as a page: every change beside the original, the audit after."""

from typing import TYPE_CHECKING

from fulcra.report.hardened import model_sheet
from fulcra.report.notation import ABSENT, UNKNOWN, gain, number, rate, yes_no
from fulcra.report.sheet import Sheet
from fulcra.report.template import filled

if TYPE_CHECKING:
    from rich.console import RenderableType

    from fulcra.defence.hardened import HoldEntry, SideEntry
    from fulcra.defence.mend.mended import BesidesEntry, ChangeEntry, MendResult

ORIGINAL = "original"
#: What an audit prints; the rule of a mending has the mean of the selection prompts.
MARGIN = "median margin [nats]"
#: What stands above each table of the page; the audits only where they were made.
HEADINGS = (
    "What each change does",
    "Audited before and after",
    "What opens in each audit",
)
#: A neuron whose write is exactly 0, so that nothing done to it moves anything.
INERT = "no write"
#: What stands in place of a figure of requests that the behavior does not have.
UNMEASURED = "not measured"


def mended_text(result: "MendResult") -> "RenderableType":
    """The lines and tables of a mending in the terminal."""
    from rich.console import Group

    parts = [part for sheet in sheets(result) for part in ("", sheet.rich())]
    return Group(*notes(result), *parts)


def notes(result: "MendResult") -> list[str]:
    """What the audit opened, what is handed out, what still opens around it, what was not tried."""
    lines = [result.gate.line]
    change = result.change
    if change is None:
        lines.append(result.refusal)
    elif change.reach is not None:
        mends = f"{change.how} is handed out: the smallest change that mends"
        lines.append(mends + result.unheld)
        lines += [_afterwards(*result.sides)] if len(result.sides) == 2 else []
        lines.append(_around(result, change))
    lines += [f"{each.how}: {each.reason}" for each in result.changes if each.reason]
    return lines


def _afterwards(before: "SideEntry", after: "SideEntry") -> str:
    """What is worse in the audit afterwards, which "nothing else lost" was not decided by."""
    then, now = _undosed_of(before), _undosed_of(after)
    worse = [
        f"{name} {number(then[name])} to {number(now[name])}"
        for name in then
        if name in now and now[name] * _better(name) < then[name] * _better(name)
    ]
    return f"worse in the audit afterwards than before: {', '.join(worse) or 'none of its figures'}"


def _undosed_of(side: "SideEntry") -> dict[str, float]:
    """The figures of an audit that a change of one neuron was not to move, where it has them."""
    figures = {
        "shows the behavior": side.shown,
        MARGIN: side.margin,
        "allowed, answered truly": side.accuracy,
        "allowed, refused": side.over_refusal,
        **{f"{each.attack} flips": each.rate for each in side.attacks},
    }
    return {name: value for name, value in figures.items() if value is not None}


def _better(name: str) -> int:
    """1 for a figure of which more is better, -1 for others."""
    return 1 if name in ("shows the behavior", MARGIN, "allowed, answered truly") else -1


def _around(result: "MendResult", change: "ChangeEntry") -> str:
    """Whether the direction still opens where the neuron does not."""
    assert change.reach is not None
    opens = change.reach.around_opens
    if opens is None:
        return "the neuron's old write, added to the stream at the same doses, opens at no gain"
    return (
        f"the neuron is closed and its direction is not: its old write, added to the stream, opens"
        f" from gain {opens:g}; see fulcra harden"
    )


def sheets(result: "MendResult") -> list[Sheet]:
    """The changes beside the original, then the audited models where there are any."""
    audits = [model_sheet(result.sides), opened_sheet(result)] if result.sides else []
    return [change_sheet(result), *audits]


def opened_sheet(result: "MendResult") -> Sheet:
    """What opens in the audits before and after: one row an audit, each of neurons of its own."""
    rows = []
    for each in result.opened:
        doses = [f"{name} {gain(value)}" for name, value in each.doses.items()]
        held = [f"{name} {rate(value)}" for name, value in each.held.items()]
        rows.append((each.side, ", ".join(doses) or ABSENT, ", ".join(held) or ABSENT))
    return Sheet(("audit", "opens under a dose, from gain", "held or ablated, flips"), rows)


def change_sheet(result: "MendResult") -> Sheet:
    """A column a change that was tried, after the original."""
    tried = [each for each in result.changes if each.reach is not None]
    columns = [_original(result), *(_figures(each) for each in tried)]
    names = (ORIGINAL, *(each.how for each in tried))
    rows = [(name, *(each.get(name, UNKNOWN) for each in columns)) for name in columns[-1]]
    return Sheet(("change", *names), rows, numbers=names, whole=("change",))


def _original(result: "MendResult") -> dict[str, str]:
    """The original: what the audit opened, and what it does undosed."""
    gate = result.gate
    opened = "ablated" if 0.0 in gate.holds else "held" if gate.holds else ABSENT
    return {
        "opens from gain": gain(gate.opens),
        "opens when held": opened,
        "old write opens from gain": gain(gate.opens),
        "flips without its direction": rate(gate.direction),
        **_undosed(result.original),
    }


def _figures(change: "ChangeEntry") -> dict[str, str]:
    """What one change closes, and what it costs, by name."""
    reach, besides, fit = change.reach, change.besides, change.fit
    assert reach is not None
    assert besides is not None
    dosed = [ladder.opens for ladder in reach.through if ladder.opens is not None]
    figures = {
        "size / down projection": number(change.norm),
        "R2 on held-out text": number(None if fit is None else fit.r2),
        "flips undosed": rate(reach.undosed),
        "opens from gain": INERT if reach.inert else gain(min(dosed, default=None)),
        "opens when held": INERT if reach.inert else _held(change),
        "most that it flips": rate(reach.most),
        "closed": yes_no(reach.closed),
        "old write opens from gain": gain(reach.around_opens),
        "flips without its direction": rate(reach.direction),
    }
    lost = UNMEASURED if change.keeps is None else yes_no(change.keeps)
    return {**figures, **_undosed(besides), "nothing else lost": lost}


def _held(change: "ChangeEntry") -> str:
    """The values that open when the neuron is held at them."""
    assert change.reach is not None
    values = [each.value for each in change.reach.held if each.flips >= 0.5]
    return ", ".join(number(value) for value in values) or ABSENT


def _undosed(besides: "BesidesEntry") -> dict[str, str]:
    """What a model does undosed, by name."""
    return {
        "shows the behavior": f"{besides.shown} of {besides.n}",
        **_others(besides.hold),
        "mean margin [nats]": number(besides.margin),
        "KL, generic text [nats]": number(besides.kl),
    }


def _others(hold: "HoldEntry") -> dict[str, str]:
    """What other requests get, by name."""
    if not hold.n:
        return {"other requests": UNMEASURED}
    if hold.as_before is not None:
        return {f"{hold.n} others, as before": number(hold.as_before)}
    return {
        f"{hold.n} others, true": number(hold.accuracy),
        f"{hold.n} others, refused": number(hold.over_refusal),
    }


def mended_page(result: "MendResult") -> str:
    """The page: what was found, every change, the audits before and after."""
    audits = "no audit afterwards"
    if result.sides:
        audits = f"audited afterwards by seed {result.settings.audit_seed}"
    adapter = "no adapter" if result.adapter is None else result.adapter.line
    return filled(
        "adapter.html",
        command="fulcra mend",
        title=f"{result.model.name}, {result.behavior.name}: {result.gate.neuron} mended",
        notes=notes(result),
        sections=list(zip(HEADINGS, sheets(result), strict=False)),
        figure="",
        adapter=adapter,
        sizes=f"audit {result.audited[:12]}; {audits}",
    )
