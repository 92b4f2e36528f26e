"""The page of what is believed is what its evidence gives, and its verdicts follow the figures."""

from typing import get_args

import pytest

from fulcra.protocol.results.bounded import Bounded
from fulcra.protocol.results.validation import CeilingScore
from tools.believed.__main__ import PAGE, README, page, readme, study_pages
from tools.believed.claim import Claim, Verdict
from tools.believed.claims_control import control_claims
from tools.believed.claims_law import in_order, law_claims
from tools.believed.claims_own import own_claims
from tools.believed.claims_sets import other_claims
from tools.believed.evidence import Evidence, Windows, evidence
from tools.believed.second import Second
from tools.believed.sentences import sentences


@pytest.fixture(scope="module")
def e() -> Evidence:
    return evidence()


def verdict(claims: list[Claim], words: str) -> Verdict:
    """The verdict of the only claim that holds these words."""
    (claim,) = [claim for claim in claims if words in claim.claim]
    return claim.verdict


def swapped(scores: dict[str, CeilingScore]) -> dict[str, CeilingScore]:
    """The scores with those of the constants and of the forecast in each other's place."""
    constant, forecast = scores["family_constant"], scores["kl_ladder"]
    return {**scores, "family_constant": forecast, "kl_ladder": constant}


def test_the_page_is_the_one_that_the_evidence_gives() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tools.believed"


def test_the_table_of_the_readme_has_the_verdicts_of_the_page() -> None:
    assert README.read_text(encoding="utf-8") == readme(), (
        "write it again: python -m tools.believed"
    )


def test_the_page_of_the_second_study_is_the_one_its_figures_give() -> None:
    for path, text in study_pages().items():
        assert path.read_text(encoding="utf-8") == text, "write it again: python -m tools.believed"


def test_there_are_twelve_sentences_each_of_them_one(e: Evidence) -> None:
    written = list(sentences(e))
    assert len(written) == 12
    assert not [each.about for each in written if ". " in each.text or not each.pages]


def test_every_claim_of_paper_a_has_its_verdict(e: Evidence) -> None:
    claims = [*law_claims(e), *control_claims(e)]
    subjects = (
        "g / sqrt(1 + g^2)",
        "budget",
        "one number of a family",
        "one clean pass",
        "trigger comes before its ceiling",
        "triggers lie at",
        "one pole",
        "gradients anti-predict",
        "readout axis",
        "predicted window",
        "language",
        "arithmetic operator",
        "end a refusal",
        "strict reach",
    )
    assert {verdict(claims, subject) for subject in subjects} == set(get_args(Verdict))


def test_a_law_without_a_false_window_would_be_confirmed(e: Evidence) -> None:
    perfect = e._replace(sparse=Windows(6144, 40, 40, 40))
    assert verdict(list(law_claims(e)), "exactly when") == "corrected"
    assert verdict(list(law_claims(perfect)), "exactly when") == "confirmed"


def test_constants_that_err_less_would_be_confirmed(e: Evidence) -> None:
    real = e.real.model_copy(update={"scores": swapped(e.real.scores)})
    other = e._replace(real=real)
    assert verdict(list(law_claims(e)), "of a family") == "refuted"
    assert verdict(list(law_claims(other)), "of a family") == "confirmed"
    assert "is a constant of a family" in list(sentences(other))[1].text


def test_gradients_below_chance_would_confirm_the_claim(e: Evidence) -> None:
    below = [
        each.model_copy(update={"auroc_low": 0.1, "auroc_high": 0.2})
        for each in e.real_screens.screens
    ]
    result = e.real_screens.model_copy(update={"screens": tuple(below)})
    other = e._replace(screens=(result,) * 3, real_screens=result)
    assert verdict(list(control_claims(e)), "anti-predict") == "refuted"
    assert verdict(list(control_claims(other)), "anti-predict") == "confirmed"


def test_papers_b_and_c_have_verdicts_of_the_same_four_words(e: Evidence) -> None:
    assert {claim.verdict for claim in other_claims(e)} <= set(get_args(Verdict))


def ceilings(e: Evidence, better: float, p: float) -> Second:
    """The second study with another lead of its forecast."""
    figures = e.second.ceilings.model_copy(update={"better": better, "better_p": p})
    return e.second._replace(ceilings=figures)


def test_the_frozen_forecast_is_called_by_its_lead_and_its_p(e: Evidence) -> None:
    assert ceilings(e, 0.01, 0.001).better is True
    assert ceilings(e, 0.01, 0.01).better is None
    assert ceilings(e, -0.01, 0.001).better is False
    ahead = list(sentences(e._replace(second=ceilings(e, 0.01, 0.001))))
    assert "a smaller error (p .001)" in ahead[2].text


def test_too_few_open_branches_decide_nothing(e: Evidence) -> None:
    figures = e.second.verdicts.model_copy(update={"over_trigger_p": 0.001, "open": 150})
    assert e.second._replace(verdicts=figures).ceiling_adds
    few = e.second._replace(verdicts=figures.model_copy(update={"open": 149}))
    assert not few.ceiling_adds
    assert "149 opened, too few to decide" in list(sentences(e._replace(second=few)))[6].text


@pytest.mark.parametrize(
    ("levels", "verdict"),
    [
        ((0.3, 0.45, 0.6), "confirmed"),
        ((0.4, 0.5, 0.5), "confirmed"),
        ((0.1, 0.2, 0.3), "corrected"),
        ((0.6, 0.3, 0.2), "refuted"),
        ((0.3, 0.45, float("inf")), "refuted"),
        ((0.3, 0.45, None), "refuted"),
    ],
)
def test_triggers_are_held_against_their_levels_and_their_order(
    levels: tuple[float | None, ...], verdict: Verdict
) -> None:
    assert in_order(levels) == verdict


@pytest.mark.parametrize(
    ("ends", "found"),
    [((0.2, 0.9), "confirmed"), ((0.9, 1.1), "not testable here"), ((1.1, 3.0), "corrected")],
)
def test_one_pole_is_called_by_the_chance_of_the_other(
    e: Evidence, ends: tuple[float, float], found: Verdict
) -> None:
    poles = e.second.depth.poles
    lift = Bounded(value=1.0, low=ends[0], high=ends[1])
    triggers = poles.triggers.model_copy(update={"lift": lift})
    depth = e.second.depth.model_copy(
        update={"poles": poles.model_copy(update={"triggers": triggers})}
    )
    other = e._replace(second=e.second._replace(depth=depth))
    assert verdict(list(law_claims(other)), "one pole") == found


def test_targets_of_both_studies_stand_among_our_own_claims(e: Evidence) -> None:
    own = {claim.claim for claim in own_claims(e)}
    targets = {target.claim for target in (*e.study.targets, *e.second.study.targets)}
    assert targets <= own
