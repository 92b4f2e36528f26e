"""A dosed model that generates: a reply is dosed, or there is none, but where no edit is due."""

import pytest
import torch

from fulcra.engines.dosed import Dosed, dosed, plain_config
from fulcra.errors import ModelCheckError
from fulcra.models import Model, add
from fulcra.models.library import quiet_library
from fulcra.types import Positions


def replied(model: Dosed, tokens: int) -> int:
    """How many tokens it replies to one prompt, at most `tokens`."""
    ids = torch.tensor([model.model.prompt_ids("hello")])
    config = plain_config(model.model)
    config.max_new_tokens = tokens
    with quiet_library():
        out = model.generate(ids, config, attention_mask=torch.ones_like(ids))
    return out.shape[-1] - ids.shape[-1]


@pytest.mark.parametrize("positions", ["all", "prompt", "last", "generated"])
def test_a_reply_of_one_token_is_given_under_edits_of_every_scope(
    sparse: Model, positions: Positions
) -> None:
    edit = add(sparse.neuron(2, 0), alpha=30.0, positions=positions)
    with quiet_library(), dosed(sparse, (edit,)) as (model, _):
        assert replied(model, 1) == 1
        before = model.applied.passes
        assert replied(model, 3) == 3
        assert model.applied.passes > before


def test_edits_that_were_due_and_did_not_act_are_an_error(sparse: Model) -> None:
    scopes: tuple[Positions, ...] = ("generated", "all")
    for positions, tokens in zip(scopes, (2, 1), strict=True):
        edit = add(sparse.neuron(2, 0), alpha=30.0, positions=positions)
        with quiet_library(), dosed(sparse, (edit,)) as (model, _):
            pass
        # the block is over, and with it the edits
        with pytest.raises(ModelCheckError, match="the edits did not act on this request"):
            replied(model, tokens)
