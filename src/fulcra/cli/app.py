"""The application every command joins, and the options they share."""

from typing import Annotated

import typer

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help=(
        "Which single neuron can flip a behavior of a language model, how far can it be pushed, and"
        " what does the flip achieve?"
    ),
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON and nothing else.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table.")]
Seed = Annotated[
    int, typer.Option(help="Seed of generic text, sampling and every random choice.", min=0)
]
ModelName = Annotated[str, typer.Argument(help="A bundled organism, a model folder or a hub id.")]
BehaviorName = Annotated[
    str,
    typer.Option(
        "--behavior",
        "-b",
        help="A bundled behavior, NAME@WORLD to set it in another world, or a YAML file.",
    ),
]
Dtype = Annotated[
    str | None, typer.Option(help="float32, bfloat16 or float16; float32 on the CPU by default.")
]
Device = Annotated[
    str, typer.Option(help="A torch device, or auto: all there are, then the CPU, then the disk.")
]
Compiled = Annotated[
    bool,
    typer.Option(
        "--compiled",
        help=(
            "Run rollouts in slots that refill, by one compiled step: for an accelerator, slower on"
            " a CPU."
        ),
    ),
]
NeuronName = Annotated[
    str,
    typer.Argument(metavar="NEURON", help="A neuron like L14.N2207; a pole, + or -, may follow."),
]
