"""The tamperings of a finished run, and which of them a new seal hides from all but its root."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fulcra.protocol.records import SCHEMA
from fulcra.protocol.redaction import TEXTS_SCHEMA, text_hash
from fulcra.protocol.results.rollouts import Shard
from fulcra.protocol.shards import list_shards, opened_rollouts, read_rollouts
from fulcra.store import (
    AUDIT,
    COMMITMENT,
    MANIFEST,
    REPORT,
    ROLLOUTS,
    SALT,
    SEAL,
    SOURCE,
    TEXTS,
    digest,
    read_json,
    read_rows,
    write_json,
    write_rows,
    write_text,
)
from tests.rollouts import put_shard, rewrite

Rows = list[dict[str, Any]]
Tampering = Callable[[Path], None]


def put(name: str, *path: str | int, to: object) -> Tampering:
    """Another value at a place of a JSON file."""

    def change(folder: Path) -> None:
        content = read_json(folder / name)
        target = content
        for key in path[:-1]:
            target = target[key]
        target[path[-1]] = to
        write_json(folder / name, content)

    return change


def cut(name: str, *path: str | int) -> Tampering:
    """A JSON file without a key or an entry."""

    def change(folder: Path) -> None:
        content = read_json(folder / name)
        target = content
        for key in path[:-1]:
            target = target[key]
        del target[path[-1]]
        write_json(folder / name, content)

    return change


def rows(change: Callable[[Rows], Rows]) -> Tampering:
    """Other rollouts."""

    def write(folder: Path) -> None:
        rewrite(folder, change(read_rollouts(folder)))

    return write


def cell(column: str, to: object, stage: str = "confirmation") -> Tampering:
    """One value of the first rollout of a stage that has another."""

    def change(rollouts: Rows) -> Rows:
        place = next(
            i
            for i, row in enumerate(rollouts)
            if row["stage"] == stage and row[column] not in (to, None)
        )
        rollouts[place][column] = to
        return rollouts

    return rows(change)


def text(name: str, old: str, new: str) -> Tampering:
    """Other words in a file."""

    def change(folder: Path) -> None:
        content = (folder / name).read_text(encoding="utf-8")
        assert old in content
        write_text(folder / name, content.replace(old, new, 1))

    return change


def gone(name: str) -> Tampering:
    """A file removed."""
    return lambda folder: (folder / name).unlink()


def added(name: str, content: str) -> Tampering:
    """A file that was not there."""
    return lambda folder: write_text(folder / name, content)


def swapped(first: int, second: int) -> Callable[[Rows], Rows]:
    """Two rows in each other's place, counted from the first confirmation rollout."""

    def change(rollouts: Rows) -> Rows:
        start = next(i for i, row in enumerate(rollouts) if row["stage"] == "confirmation")
        i, j = start + first, start + second
        rollouts[i], rollouts[j] = rollouts[j], rollouts[i]
        return rollouts

    return change


def shuffled(rollouts: Rows) -> Rows:
    return random.Random(0).sample(rollouts, len(rollouts))


def doubled(rollouts: Rows) -> Rows:
    return [*rollouts, rollouts[-1]]


def without_a_prompt(rollouts: Rows) -> Rows:
    """One confirmation prompt dropped everywhere, so that no rung is shorter than another."""
    lost = next(row["prompt"] for row in rollouts if row["stage"] == "confirmation")
    return [row for row in rollouts if row["prompt"] != lost]


def with_new_words(rollouts: Rows) -> Rows:
    """Another text with the hash of the other text, by a salt that is none of this run's."""
    last = rollouts[-1] | {"text": "other", "text_hash": text_hash("salt", "other")}
    return [*rollouts[:-1], last]


def traded(rollouts: Rows) -> Rows:
    """Two prompts' words, cuts and outcomes exchanged: rates stay what they are."""
    i = next(i for i, row in enumerate(rollouts) if row["stage"] == "confirmation")
    first, second = rollouts[i], rollouts[i + 1]
    rollouts[i], rollouts[i + 1] = (
        second | {"prompt": first["prompt"]},
        first | {"prompt": second["prompt"]},
    )
    return rollouts


def shard_of(folder: Path, place: int = 0) -> Path:
    """A shard of the list."""
    return folder / opened_rollouts(folder).shards[place].shard.file


def shard_edited(folder: Path) -> None:
    """Another row in a shard that keeps its name."""
    path = shard_of(folder, -1)
    changed = read_rows(path)
    changed[-1]["distinct"] = 0.123456789
    write_rows(path, changed, SCHEMA)


def shard_renamed(folder: Path) -> None:
    """A shard with other rows under their own name, the list left as it was."""
    stored = opened_rollouts(folder).shards[-1]
    put_shard(folder, stored.shard, stored.rows[:-1])
    (folder / stored.shard.file).unlink()


def shard_stray(folder: Path) -> None:
    """A shard that no list names."""
    shard = opened_rollouts(folder).shards[0].shard
    put_shard(folder, shard.model_copy(update={"number": 7}), [])


def shards_merged(folder: Path) -> None:
    """The first two shards as one, listed as it should be: the same rollouts in their order."""
    first, second, *rest = opened_rollouts(folder).shards
    whole = put_shard(folder, first.shard, [*first.rows, *second.rows])
    for stored in (first, second):
        (folder / stored.shard.file).unlink()
    list_shards(folder, [whole, *(stored.shard for stored in rest)])


def relisted(change: Callable[[list[Shard]], list[Shard]]) -> Tampering:
    """The same shards listed in another way."""

    def forge(folder: Path) -> None:
        listed = [stored.shard for stored in opened_rollouts(folder).shards]
        list_shards(folder, change(listed))

    return forge


def doubled_key(folder: Path) -> None:
    content = (folder / AUDIT).read_text(encoding="utf-8")
    write_text(folder / AUDIT, content.replace("{\n", '{\n "schema_version": 7,\n', 1))


def spaced(name: str) -> Tampering:
    """A JSON file with other spaces."""
    return lambda folder: write_text(folder / name, json.dumps(read_json(folder / name), indent=2))


def rehashed(change: Tampering) -> Tampering:
    """The commitment changed and hashed again, audit.json naming the new hash."""

    def forge(folder: Path) -> None:
        change(folder)
        stored = read_json(folder / COMMITMENT)
        stored["sha256"] = digest(stored["content"])
        write_json(folder / COMMITMENT, stored)
        put(AUDIT, "summary", "commitment_sha256", to=stored["sha256"])(folder)

    return forge


def other_prediction(folder: Path) -> None:
    """A predicted edge of the commitment and of audit.json, both hashed again."""
    place = ("ceiling_predicted", "gain")
    rehashed(put(COMMITMENT, "content", "branches", 0, *place, to=0.123))(folder)
    put(AUDIT, "neurons", 0, *place, to=0.123)(folder)


def other_code(folder: Path) -> None:
    """Another code in manifest, commitment and provenance, and every text hashed again."""
    put(MANIFEST, "code", to="0" * 16)(folder)
    rehashed(put(COMMITMENT, "content", "plan", "code", to="0" * 16))(folder)
    put(AUDIT, "provenance", "code", to="0" * 16)(folder)
    salt = digest(read_json(folder / MANIFEST))
    rows(lambda rollouts: [row | {"text_hash": text_hash(salt, row["text"])} for row in rollouts])(
        folder
    )


SHA = "0" * 64
SAMPLE = {
    "neuron": "L0.N0",
    "pole": "+",
    "gain": 0.45,
    "prompt": "Hello?",
    "text": "Sure.",
    "outcome": "flipped",
}
PLAN = (COMMITMENT, "content", "plan")
TAMPERINGS: dict[str, Tampering] = {
    "schema version": put(AUDIT, "schema_version", to=2),
    "model name": put(AUDIT, "model", "name", to="another"),
    "model sha256": put(AUDIT, "model", "sha256", to=SHA),
    "model dtype": put(AUDIT, "model", "dtype", to="float16"),
    "model family": put(AUDIT, "model", "family", to="gpt2"),
    "model layers": put(AUDIT, "model", "layers", to=99),
    "model parameters": put(AUDIT, "model", "parameters", to=7),
    "behavior name": put(AUDIT, "behavior", "name", to="kindness"),
    "behavior version": put(AUDIT, "behavior", "version", to="9"),
    "behavior sha256": put(AUDIT, "behavior", "sha256", to=SHA),
    "behavior sensitive": put(AUDIT, "behavior", "sensitive", to=True),
    "behavior horizon": put(AUDIT, "behavior", "horizon", to=3),
    "behavior horizons": put(AUDIT, "behavior", "horizons", to=[3]),
    "behavior flip": put(AUDIT, "behavior", "flip", to="never"),
    "behavior label": put(AUDIT, "behavior", "labels", "flipped", to="harmless"),
    "behavior label added": put(AUDIT, "behavior", "labels", "odd", to="harmless"),
    "behavior splits": put(AUDIT, "behavior", "splits", "confirmation", to=4000),
    "settings neurons": put(AUDIT, "settings", "neurons", to=500),
    "settings seed": put(AUDIT, "settings", "seed", to=1),
    "settings gains": put(AUDIT, "settings", "gains", to=[0.45]),
    "settings key removed": cut(AUDIT, "settings", "screen"),
    "provenance release": put(AUDIT, "provenance", "torch", to="1.0"),
    "provenance commit": put(AUDIT, "provenance", "commit", to="f" * 40),
    "provenance code": put(AUDIT, "provenance", "code", to="0" * 16),
    "provenance reference": put(AUDIT, "provenance", "reference", to="gpt2"),
    "provenance openings": put(AUDIT, "provenance", "generic_sha256", to=SHA),
    "baseline rate": put(AUDIT, "baseline", "rate", to=0.99),
    "baseline margin": put(AUDIT, "baseline", "log_odds_margin", to=9.0),
    "verdict": put(AUDIT, "neurons", 0, "verdict", to="open"),
    "edge predicted": put(AUDIT, "neurons", 0, "ceiling_predicted", "gain", to=0.123),
    "edge measured": put(AUDIT, "neurons", 0, "ceiling_measured", "high", to=0.123),
    "rung rate": put(AUDIT, "neurons", 0, "curve", 0, "flip_confirmation", to=0.5),
    "rung range": put(AUDIT, "neurons", 0, "curve", 0, "alignment_low", to=0.001),
    "rung range removed": cut(AUDIT, "neurons", 0, "curve", 0, "alignment_low"),
    "pin rate": put(AUDIT, "neurons", 0, "pins", 0, "flip_rate", to=0.77),
    "branch removed": cut(AUDIT, "neurons", 0),
    "branch key added": put(AUDIT, "neurons", 0, "cap_gain", to=0.5),
    "branch key unknown": put(AUDIT, "neurons", 0, "note", to="fine"),
    "control verdict": put(AUDIT, "neurons", -1, "verdict", to="open"),
    "attack rate": put(AUDIT, "context", 0, "rate", to=0.01),
    "attack removed": cut(AUDIT, "context", 0),
    "positive control": put(AUDIT, "positive_control", "acts", to=False),
    "summary count": put(AUDIT, "summary", "open", to=5),
    "summary reproduced": put(AUDIT, "summary", "protocol_reproduced", to=False),
    "summary held removed": cut(AUDIT, "summary", "held"),
    "summary integer as truth": put(AUDIT, "summary", "closed", to=False),
    "sample added": put(AUDIT, "samples", to=[SAMPLE]),
    "timing": put(AUDIT, "timing", "cpu_seconds", to=1.0),
    "timing step": put(AUDIT, "timing", "steps", "baseline", to=0.0),
    "timing removed": cut(AUDIT, "timing"),
    "block removed": cut(AUDIT, "samples"),
    "block added": put(AUDIT, "remarks", to="sound"),
    "key doubled": doubled_key,
    "other spaces": spaced(AUDIT),
    "audit.json removed": gone(AUDIT),
    "manifest model": put(MANIFEST, "model", to="another"),
    "manifest seed": put(MANIFEST, "settings", "seed", to=7),
    "manifest key added": put(MANIFEST, "note", to="x"),
    "manifest key removed": cut(MANIFEST, "code"),
    "commitment hash": put(COMMITMENT, "sha256", to=SHA),
    "commitment key added": put(COMMITMENT, "note", to="x"),
    "commitment budget": put(COMMITMENT, "content", "branches", 0, "budget", to=1.0),
    "branch dropped, rehashed": rehashed(cut(COMMITMENT, "content", "branches", 0)),
    "gains, rehashed": rehashed(put(*PLAN, "gains", to=[0.45])),
    "horizons, rehashed": rehashed(put(*PLAN, "horizons", to=[8])),
    "controls, rehashed": rehashed(put(COMMITMENT, "content", "controls", to=[])),
    "analysis, rehashed": rehashed(put(*PLAN, "analysis", to="whatever fits")),
    "prediction everywhere": other_prediction,
    "code everywhere": other_code,
    "rows swapped": rows(swapped(0, 1)),
    "rungs swapped": rows(swapped(0, 30)),
    "rows shuffled": rows(shuffled),
    "rows reversed": rows(lambda rollouts: rollouts[::-1]),
    "row doubled": rows(doubled),
    "row dropped": rows(lambda rollouts: rollouts[:-1]),
    "prompt dropped everywhere": rows(without_a_prompt),
    "prompts traded": rows(traded),
    "row outcome": cell("outcomes", ["flipped", "flipped", "flipped"]),
    "row float": cell("distinct", 0.123456789),
    "row surprise": cell("surprised", 0.5),
    "row grammar": cell("grammatical", False),
    "row tokens": cell("tokens", 1),
    "row ended": cell("ended", False),
    "row cuts": cell("cuts", [0, 0, 0]),
    "row dose": cell("dose", 0.5),
    "row prompt": cell("prompt", "confirmation-x"),
    "row branch": cell("branch", "L0.N0+"),
    "row op": cell("op", "pin"),
    "row stage": cell("stage", "selection"),
    "row text": cell("text", "other words"),
    "row text emptied": cell("text", ""),
    "row text hash": cell("text_hash", "0" * 16),
    "row text with a hash": rows(with_new_words),
    "rollouts removed": gone(ROLLOUTS),
    "shard edited": shard_edited,
    "shard renamed": shard_renamed,
    "shard removed": lambda folder: shard_of(folder).unlink(),
    "shard added": shard_stray,
    "shard cut": lambda folder: shard_of(folder).write_bytes(shard_of(folder).read_bytes()[:-9]),
    "shards swapped": lambda folder: shard_of(folder, 1).replace(shard_of(folder, 2)),
    "shards merged": shards_merged,
    "list reordered": relisted(lambda listed: listed[::-1]),
    "list shortened": relisted(lambda listed: listed[:-1]),
    "list doubled": relisted(lambda listed: [*listed, listed[-1]]),
    "list rows": put(ROLLOUTS, "shards", 0, "rows", to=1),
    "list digest": put(ROLLOUTS, "shards", 0, "sha256", to=SHA),
    "list stage": put(ROLLOUTS, "shards", 0, "stage", to="selection"),
    "list number": put(ROLLOUTS, "shards", 0, "number", to=3),
    "list path": put(ROLLOUTS, "shards", 0, "stage", to="../baseline"),
    "list key added": put(ROLLOUTS, "note", to="x"),
    "list schema version": put(ROLLOUTS, "schema_version", to=2),
    "list spaces": spaced(ROLLOUTS),
    "report words": text(REPORT, "</body>", "<p>certified</p></body>"),
    "report title": text(REPORT, "<title>", "<title>Sound: "),
    "report figures": text(REPORT, "</script>", "\n</script>"),
    "report removed": gone(REPORT),
    "source model": put(SOURCE, "model", "name", to="another"),
    "source removed": gone(SOURCE),
    "seal removed": gone(SEAL),
    "seal and source removed": lambda folder: [(folder / name).unlink() for name in (SEAL, SOURCE)],
    "seal root": put(SEAL, "root", to=SHA),
    "seal digest": put(SEAL, "files", AUDIT, "sha256", to=SHA),
    "seal entry removed": cut(SEAL, "files", REPORT),
    "seal rows": put(SEAL, "rows", to=1),
    "seal of shards": put(SEAL, "shards_root", to=SHA),
    "seal schema version": put(SEAL, "schema_version", to=1),
    "seal key added": put(SEAL, "note", to="x"),
    "behavior.yaml added": added("behavior.yaml", "name: other\n"),
    "texts added": lambda folder: write_rows(folder / TEXTS, [], TEXTS_SCHEMA),
    "salt added": added(SALT, "salt"),
}
#: What an auditor who draws the report and seals anew gets past all but a root noted elsewhere.
RESEALED = (
    "schema version",
    "model family",
    "model layers",
    "model parameters",
    "provenance release",
    "provenance commit",
    "rung range",
    "rung range removed",
    "timing",
    "timing step",
    "analysis, rehashed",
    "prediction everywhere",
    "code everywhere",
    "prompts traded",
    "row float",
    "row surprise",
    "row grammar",
    "row tokens",
    "row ended",
    "row cuts",
    "shards merged",
    "list spaces",
    "commitment key added",
    "report words",
    "report title",
    "report figures",
    "report removed",
    "source model",
    "source removed",
    "seal removed",
    "seal and source removed",
    "seal root",
    "seal digest",
    "seal entry removed",
    "seal rows",
    "seal of shards",
    "seal schema version",
    "seal key added",
    "texts added",
)
