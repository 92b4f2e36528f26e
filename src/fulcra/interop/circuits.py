"""Circuits of the reference code of contrastive neuron attribution (paper B), as rankings."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fulcra.documents import read_json, read_text
from fulcra.errors import InputError, first_fault
from fulcra.types import Neuron, Ranking

_PLACE = re.compile(r"(\d{1,9}),(-?\d{1,9}),(\d{1,9})", re.ASCII)
Finite = Annotated[float, Field(allow_inf_nan=False)]


class CircuitFile(BaseModel):
    """A circuit as that code saves it: attributions by "layer,position,neuron"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    neurons: Annotated[dict[str, Finite], Field(min_length=1)]
    prompt: str
    target_token: str
    total_logit_diff: Finite


def circuit(path: str | Path) -> Ranking:
    """The neurons of a circuit file by |attribution|, largest first, each once.

    The pole is the attribution's sign: of a contrastive circuit, whether the neuron is more active
    on the positive prompts. Of a neuron at several positions the largest counts. InputError in one
    line where the file is no circuit.
    """
    largest: dict[tuple[int, int], float] = {}
    for place, attribution in _read(Path(path)).neurons.items():
        match = _PLACE.fullmatch(place)
        if match is None:
            raise InputError(
                f"circuit {path}: neuron {place[:60]!r}: expected layer,position,neuron, as in"
                " 14,-1,2207; mend it"
            )
        site = int(match[1]), int(match[3])
        largest[site] = max(largest.get(site, 0.0), attribution, key=abs)
    ranked = sorted(largest.items(), key=lambda item: -abs(item[1]))
    branches = (Neuron(*site, -1 if value < 0 else 1) for site, value in ranked)
    return Ranking("circuit", tuple(branches), tuple(abs(value) for _, value in ranked))


def _read(path: Path) -> CircuitFile:
    try:
        return CircuitFile.model_validate(read_json(read_text(path)))
    except ValidationError as error:
        fault = first_fault(error)
        where = " ".join(".".join(map(str, fault["loc"])).split()) or "the file"
        raise InputError(
            f"circuit {path}: {where[:60]}: {fault['msg']}; expected the keys neurons, prompt,"
            " target_token and total_logit_diff"
        ) from None
    except OSError as error:
        raise InputError(f"circuit {path}: {error.strerror}; check the path") from None
    except ValueError as error:
        raise InputError(
            f"circuit {path}: {str(error)[:120]}; expected a circuit that the reference code saved"
        ) from None
