"""One name for every screen: which neurons are worth measuring, by the method you name."""

from collections.abc import Callable
from inspect import signature

from fulcra.errors import InputError
from fulcra.models import Model
from fulcra.screens.registry import SCREENS, require_ranking
from fulcra.types import Behavior, Ranking
from fulcra.verbs import checked


def rank(
    model: Model,
    behavior: Behavior,
    by: str | Callable[..., Ranking] = "contrastive",
    **options: object,
) -> Ranking:
    """Branches of the model by descending score of the screen `by`; what it needs, it measures.

    `by` is a name below, or a function of your own, called as by(model, behavior, **options).

    by              ranks by                                           cost
    contrastive     activation gap of the two sets [units]             1 pass a prompt
    gradient        gradient x gap after the instruction [units]       1 pass + 1 backward a prompt
    gradient_paper  the same with the filters of paper C [units]       1 pass + 1 backward a prompt
    attribution     gradient x gap at the last prompt token [units]    1 pass + 1 backward a prompt
    integrated      gradient along the path between the sets x gap     1 pass + 4 backward a layer
    slope *         derivative of the log-odds by the gain             1 backward a prompt
    dla             write onto the unembedding x gap                   1 pass a prompt
    geometry        cosine of column and difference direction          2 passes a prompt
    concept         accuracy of a probe on one neuron, + gap           2 passes a prompt
    window *        predicted margin of ceiling over trigger           8 short passes a neuron
    pins *          log-odds under a held value that text survives     9 short passes a neuron
    dosed_logit *   forecast trigger, every branch dosed               32 short passes a neuron
    random          nothing: the null                                  none

    A prompt is one of the contrast sets or of the selection split, a backward one runs over the
    openings of the latter (paper C: of the former). Screens with * and those at units="gain"
    continue the behavior's generic openings first, one rollout and one pass each, unless given
    clean=clean_ground(model, behavior).

    `options` are those of the screen's own function, as layers=[3, 4] or units="gain". InputError
    for a screen or an option that does not exist, or an option of another kind. Leave out neurons
    that are active on any prompt with `rank(...).without(universal(model))`.
    """
    if isinstance(by, str) and by not in SCREENS:
        raise InputError(f"rank(by={by!r}): no such screen; the screens are {', '.join(SCREENS)}")
    screen, name = (
        (SCREENS[by], by) if isinstance(by, str) else (by, getattr(by, "__name__", "own"))
    )
    names = list(signature(screen).parameters)[2:]
    if unknown := [option for option in options if option not in names]:
        has = ", ".join(names) or "none"
        raise InputError(f"rank(by={name!r}): no option {unknown[0]!r}; it has {has}")
    if isinstance(by, str):
        screen = checked("rank", screen)
    return require_ranking(f"rank(by={name!r})", model, screen(model, behavior, **options))
