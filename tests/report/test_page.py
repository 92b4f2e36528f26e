"""The page says what the audit holds, escapes every word of it and needs nothing from outside."""

import json
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from fulcra.report.page import render_report
from fulcra.report.scripts import bundle
from tests.report.conftest import value

Audit = dict[str, Any]
HOSTILE = """</script><script>alert('x')</script><img src=x onerror="alert(1)">"""


class _Words(HTMLParser):
    """What a reader sees of a page, the tags it opens and what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.data: str = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        tag, attributes = self.tags[-1] if self.tags else ("", {})
        if attributes.get("id") == "figures":
            self.data += data
        elif tag not in ("script", "style"):
            self.words.append(data.strip())


def read(page: str) -> _Words:
    parser = _Words()
    parser.feed(body(page))
    return parser


def body(page: str) -> str:
    """The page without the inlined plotly.js, which holds addresses that only its map figures would
    load.
    """
    return page.replace(bundle(), "")


def cells(page: str) -> list[list[str]]:
    """The text of every cell, row by row, of every table."""
    rows = re.findall(r"<tr>(.*?)</tr>", page, flags=re.DOTALL)
    return [
        [
            re.sub(r"<[^>]*>", "", cell)
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL)
        ]
        for row in rows
    ]


def headline(page: str) -> str:
    found = re.search(r"<h1[^>]*>(.*?)</h1>", page)
    assert found is not None
    return found[1]


def hostile(audit: Audit) -> Audit:
    audit["model"]["name"] = audit["behavior"]["name"] = audit["behavior"]["flip"] = HOSTILE
    audit["behavior"]["labels"] = dict.fromkeys(audit["behavior"]["labels"], HOSTILE)
    audit["context"][0]["attack"] = audit["provenance"]["commit"] = HOSTILE
    audit["samples"][0] |= {"prompt": HOSTILE, "text": HOSTILE}
    audit["neurons"][0]["neuron"] = HOSTILE
    return audit


def test_every_word_of_the_audit_is_escaped(open_audit: Audit) -> None:
    plain, page = (
        read(render_report(value(open_audit))),
        read(render_report(value(hostile(open_audit)))),
    )
    assert HOSTILE in page.words
    assert (
        [tag for tag, _ in page.tags].count("script")
        == [tag for tag, _ in plain.tags].count("script")
        == 3
    )
    assert not any(tag == "img" or "onerror" in attributes for tag, attributes in page.tags)


def test_figures_print_words_and_never_markup(open_audit: Audit) -> None:
    page = read(render_report(value(hostile(open_audit))))
    window = json.loads(page.data)["page"]["window"]
    labels = "".join(window["layout"]["yaxis"]["ticktext"])
    assert "&lt;script&gt;" in labels
    assert "<script>" not in labels


def test_nothing_is_loaded_from_outside(open_audit: Audit) -> None:
    page = render_report(value(open_audit))
    references = [
        attributes.get(key)
        for _, attributes in read(page).tags
        for key in ("src", "href", "action", "data", "poster", "srcset")
    ]
    assert all(reference.startswith("#") for reference in references if reference is not None)
    assert "url(" not in body(page)
    assert "@import" not in body(page)
    assert "default-src 'none'" in page


def test_plotly_stands_in_the_page_once(open_audit: Audit) -> None:
    assert render_report(value(open_audit)).count(bundle()) == 1


def test_every_branch_has_a_row(open_audit: Audit) -> None:
    names = {row[0] for row in cells(body(render_report(value(open_audit)))) if row}
    assert names >= {f"{entry['neuron']}{entry['pole']}" for entry in open_audit["neurons"]}


@pytest.mark.parametrize("kind", ["open_audit", "closed_audit", "unreproduced_audit"])
def test_what_is_unknown_is_never_printed_as_none_or_nan(
    kind: str, request: pytest.FixtureRequest
) -> None:
    page = read(render_report(value(request.getfixturevalue(kind))))
    words = set(re.split(r"[^\w]+", " ".join(page.words)))
    assert not words & {"None", "nan", "NaN", "null", "inf"}
    assert "NaN" not in page.data


def test_a_censored_edge_is_beyond_the_ladder_and_an_unmeasured_one_is_none(
    closed_audit: Audit,
) -> None:
    entry = closed_audit["neurons"][0]
    entry["trigger_predicted"] |= {"gain": None, "alignment": None, "censored": True}
    entry["ceiling_predicted"] = None
    row = next(
        row
        for row in cells(body(render_report(value(closed_audit))))
        if row and row[0] == f"{entry['neuron']}{entry['pole']}"
    )
    assert row[3] == "&gt; ladder"
    assert row[5] == "none"


def test_a_sensitive_behavior_shows_no_text(open_audit: Audit) -> None:
    open_audit["behavior"]["sensitive"] = True
    page = render_report(value(open_audit))
    assert open_audit["samples"][0]["text"] not in page
    assert open_audit["samples"][0]["prompt"] not in page
    assert "this behavior is marked sensitive" in page


def test_a_behavior_that_does_not_say_is_sensitive(open_audit: Audit) -> None:
    del open_audit["behavior"]["sensitive"]
    assert open_audit["samples"][0]["text"] not in render_report(value(open_audit))


def test_the_headline_counts_the_screened_branches_and_names_the_best(open_audit: Audit) -> None:
    page = render_report(value(open_audit))
    assert headline(page) == "2 of 24 screened branches are open to one neuron."
    assert "flips refusal from gain 0.45, before collapse at 1.25" in page


def test_closed_is_closed_at_these_gains_and_never_robust(closed_audit: Audit) -> None:
    page = body(render_report(value(closed_audit)))
    assert (
        headline(page)
        == "Closed to one neuron at these gains: 0 of 48 measured branches open, 1 undetermined."
    )
    assert "robust" not in page.lower()


def test_more_in_doubt_than_decided_is_not_called_closed(closed_audit: Audit) -> None:
    entries = [entry for entry in closed_audit["neurons"] if entry["source"] != "control"]
    for entry in entries[:30]:
        entry |= {"verdict": "undetermined", "failure_mode": None}
    page = render_report(value(closed_audit))
    others = sum(entry["verdict"] == "closed" for entry in entries)
    assert headline(page) == (
        f"Undetermined: {48 - others} of 48 measured branches could not be decided, the other"
        f" {others} are closed."
    )
    assert "prompts in all would decide" in page


def test_a_branch_that_flips_half_of_the_prompts_is_never_called_closed(
    closed_audit: Audit,
) -> None:
    branch = next(b for b in closed_audit["neurons"] if b["source"] == "screen")
    branch |= {"observed_open": True, "smallest_open_gain": 0.65, "verdict": "undetermined"}
    page = render_report(value(closed_audit))
    assert headline(page) == (
        "Undetermined: 1 of 48 measured branches flips half of the prompts, none beyond doubt."
    )
    assert "in half of the confirmation rollouts from gain 0.65" in page
    assert "no measured branch flips" not in page


def test_a_branch_in_doubt_at_a_smaller_gain_hides_none_that_is_open(open_audit: Audit) -> None:
    doubtful = next(b for b in open_audit["neurons"] if b["verdict"] == "closed")
    doubtful |= {"observed_open": True, "smallest_open_gain": 0.1, "verdict": "undetermined"}
    doubtful |= {"failure_mode": None}
    name = f"{doubtful['neuron']}{doubtful['pole']}"
    open_audit["summary"]["search"] |= {"smallest_open_gain": 0.1, "neuron": name}
    page = render_report(value(open_audit))
    assert headline(page) == "2 of 24 screened branches are open to one neuron."
    assert "none beyond doubt" not in page


def test_without_the_protocol_no_verdict_is_drawn(unreproduced_audit: Audit) -> None:
    page = body(render_report(value(unreproduced_audit)))
    assert headline(page) == "No verdict is drawn: the protocol was not reproduced here."
    assert 'class="verdict' not in page.split("<h2>Sample texts</h2>")[0]
    assert not any({"open", "closed", "undetermined"} & set(row) for row in cells(page))


def test_the_report_leaves_the_audit_as_it_was(unreproduced_audit: Audit) -> None:
    before = json.dumps(unreproduced_audit)
    render_report(value(unreproduced_audit))
    assert json.dumps(unreproduced_audit) == before


def test_the_same_audit_gives_the_same_page(open_audit: Audit) -> None:
    assert render_report(value(open_audit)) == render_report(value(open_audit))
