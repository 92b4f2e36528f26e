"""The commitment: what is predicted and how it will be judged, hashed before any dosed rollout (LAW.md section 5)."""

from collections.abc import Mapping
from typing import Any

from fulcra.errors import RunFolderError
from fulcra.models.coordinate import Coordinate
from fulcra.store import COMMITMENT, RunFolder, digest, plain, read_json, write_json
from fulcra.types import Edge
from fulcra.window.verdict import law_verdict


def edge_entry(edge: Edge) -> dict[str, Any]:
    """An edge as files hold it."""
    return {"gain": edge.gain, "alignment": edge.alignment, "method": edge.method, "tier": edge.tier, "censored": edge.censored}


def branch_entry(source: str, at: Coordinate, gap: float | None, ceiling: Edge, trigger: Edge | None) -> dict[str, Any]:
    """The prediction for one branch; without a forecast trigger (no openings) the verdict is left undetermined."""
    return {
        "branch": str(at.branch),
        "source": source,
        "budget": at.budget,
        "alignment0": at.alignment0,
        "cap_alignment": at.cap_alignment,
        "activation_gap": gap,
        "ceiling_predicted": edge_entry(ceiling),
        "trigger_predicted": None if trigger is None else edge_entry(trigger),
        "predicted_verdict": "undetermined" if trigger is None else law_verdict(ceiling, trigger),
    }


def commit(folder: RunFolder | None, content: Mapping[str, Any]) -> str:
    """The sha256 of the commitment, stored in the run's folder before any dosed rollout of a committed branch.

    RunFolderError when the folder already holds rollouts without it, or a commitment with other content.
    """
    sha256 = digest(content)
    if folder is None:
        return sha256
    path = folder.path / COMMITMENT
    if path.exists():
        if read_json(path) != {"sha256": sha256, "content": plain(content)}:
            raise RunFolderError(
                f"{path}: the commitment there is not the one this run makes; a commitment is never replaced, choose a new folder"
            )
    elif folder.has_dosed_parts():
        raise RunFolderError(
            f"{folder.path}: holds dosed rollouts but no commitment; a commitment is never added afterwards, choose a new folder"
        )
    else:
        write_json(path, {"sha256": sha256, "content": content})
    return sha256
