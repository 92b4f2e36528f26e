"""`fulcra plan`."""

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fulcra.cli.app import BehaviorName, Json, Quiet, Seed, command, emit_json
from fulcra.cli.audit import FEWEST_CONTROLS, FEWEST_RANDOM
from fulcra.errors import InputError

if TYPE_CHECKING:
    from fulcra.models.sizes import ModelSizes
    from fulcra.protocol.scale.plan import Plan


@command("plan", "Set up", "plan --shape 70b --neurons 100 --accelerator h200 --gpus 64")
def plan_command(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL_CONFIG]",
            help="A config.json, a model folder, a GGUF file or a hub id; weights are not read.",
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="In place of a config: 8b, 70b, 405b, 8x7b, 8x22b."),
    ] = None,
    neurons: Annotated[int, typer.Option(metavar="N", help="Screened neurons.", min=1)] = 12,
    random: Annotated[
        int, typer.Option(metavar="N", help="Random neurons.", min=FEWEST_RANDOM)
    ] = 12,
    controls: Annotated[
        int, typer.Option(metavar="N", help="Controls of each kind.", min=FEWEST_CONTROLS)
    ] = 20,
    measure: Annotated[
        Literal["full", "curtailed", "sequential"],
        typer.Option(help="How many of the rollouts are made."),
    ] = "full",
    behavior: BehaviorName = "refusal",
    horizon: Annotated[
        int | None,
        typer.Option(metavar="N", help="Tokens of a reply; default: the behavior's.", min=1),
    ] = None,
    prompt_tokens: Annotated[
        int, typer.Option(metavar="N", help="Tokens of a prompt with its chat template.", min=1)
    ] = 48,
    accelerator: Annotated[
        str, typer.Option(metavar="NAME", help="a100, h100, h200, b200 or mi300x.")
    ] = "h100",
    gpus: Annotated[int, typer.Option(metavar="N", help="How many of them.", min=1)] = 8,
    bits: Annotated[
        Literal["16", "8", "4"], typer.Option(help="Bits of a weight in memory.")
    ] = "16",
    seed: Seed = 0,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Estimate an audit on accelerators from a config alone.

    Layout, memory and GPU-hours; every line says whether its number was measured, published,
    computed, simulated or assumed.
    """
    from fulcra.behaviors import load_behavior
    from fulcra.protocol.scale.accelerators import accelerator as device_of
    from fulcra.protocol.scale.plan import Machine, planned
    from fulcra.protocol.stages import AuditSettings

    machine = Machine(device_of(accelerator), gpus, int(bits))
    task = load_behavior(behavior, None)
    settings = AuditSettings(
        neurons=neurons,
        random=random,
        controls=controls,
        seed=seed,
        measure=measure,
        horizon=horizon,
    )
    plan = planned(_sizes(model, shape), task, settings, machine, prompt_tokens)
    if as_json:
        emit_json(**_plain(plan, task.name))
    elif not quiet:
        _show(plan)


def _sizes(model: str | None, shape: str | None) -> "ModelSizes":
    from fulcra.models.sizes import file_config, shape_config, sizes_of

    if (model is None) == (shape is None):
        count = "both a config and --shape" if model else "no config and no --shape"
        raise InputError(f"plan: {count}; give one of them, like `fulcra plan --shape 70b`")
    if shape is not None:
        return sizes_of(shape, shape_config(shape))
    return sizes_of(str(model), file_config(str(model)))


def _plain(plan: "Plan", behavior: str) -> dict[str, object]:
    return {
        "model": plan.sizes._asdict(),
        "behavior": behavior,
        "accelerator": plan.machine.device._asdict(),
        "gpus": plan.machine.gpus,
        "bits": plan.machine.bits,
        "shares": plan.machine.shares._asdict(),
        "layout": plan.layout._asdict(),
        "seconds_a_token": plan.rates._asdict(),
        "steps": [step._asdict() for step in plan.steps],
        "wall_seconds": plan.wall,
        "gpu_hours": plan.gpu_hours,
        "busy": plan.busy,
        "facts": [fact._asdict() for fact in plan.facts()],
    }


def _show(plan: "Plan") -> None:
    from rich.console import Console

    from fulcra.report.sheet import Sheet

    console = Console(highlight=False, markup=False)
    rows = [
        (
            step.name,
            f"{step.rollouts:,}",
            f"{step.rolled:,.0f}",
            f"{step.passes:,.0f}",
            f"{step.wall:,.0f}",
        )
        for step in plan.steps
    ]
    columns = ("step", "rollouts", "rolled [s]", "passes [s]", "wall [s]")
    console.print(Sheet(columns, rows, numbers=columns[1:]).rich())
    for fact in plan.facts():
        console.print(f"{fact.how:9}  {fact.what}: {fact.value}", soft_wrap=True)
