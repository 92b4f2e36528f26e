"""A dosed model as a model of Inspect: `fulcra/MODEL` with the model argument `recipe`."""

from contextlib import ExitStack
from threading import Lock
from typing import TYPE_CHECKING, Unpack, final

from anyio.to_thread import run_sync
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
)

from fulcra.engines.answering import Answer, answer
from fulcra.engines.dosed import dosed, undosed
from fulcra.engines.served import ChatAsked
from fulcra.errors import FulcraError
from fulcra.interop.dosing import PlacedOptions, dosing_of
from fulcra.models.library import quiet_library

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage
    from inspect_ai.tool import ToolChoice, ToolInfo

#: What Inspect itself acts on before it asks a model.
HARNESS = frozenset(
    (
        "max_retries timeout attempt_timeout stream_idle_timeout max_connections"
        " adaptive_connections system_message cache max_tool_output"
    ).split()
)
#: Inspect's names of what a request may hold, where its own differ.
NAMES = {"stop_seqs": "stop", "num_choices": "n", "response_schema": "response_format"}
#: Why a reply ended, in Inspect's words.
ENDS = {"stop": "stop", "max_tokens": "max_tokens", "context": "model_length"}


@final
class DosedModel(ModelAPI):  # type: ignore[misc]
    """A model of fulcra with a recipe's edits in force; requests run one after another.

    `recipe` is a file, or "none"; further model arguments are those of `fulcra.load`. Before the
    first request the edits are proved to act, as `fulcra serve` does.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008
        recipe: str | None = None,
        **options: Unpack[PlacedOptions],
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        self.stack, self.lock = ExitStack(), Lock()
        try:
            self._load(recipe, options)
        except FulcraError as error:
            raise PrerequisiteError(f"fulcra: {error}") from None

    def _load(self, recipe: str | None, options: PlacedOptions) -> None:
        dosing = dosing_of(self.model_name, recipe, **options)
        self.metadata: dict[str, object] = {**dosing.entry}
        if dosing.edits:
            self.dosed, proof = self.stack.enter_context(dosed(dosing.model, dosing.edits))
            self.metadata["proof"] = proof._asdict()
        else:
            self.dosed = self.stack.enter_context(undosed(dosing.model))

    async def generate(
        self,
        input: "list[ChatMessage]",
        tools: "list[ToolInfo]",
        tool_choice: "ToolChoice",
        config: GenerateConfig,
    ) -> ModelOutput:
        """The dosed model's reply; InputError for what a dosed model is not asked."""
        body = {"model": self.model_name, "messages": [_message(each) for each in input]}
        request = ChatAsked.of({**body, **_options(config, tools)})
        return self._output(await run_sync(self._answer, request))

    def max_connections(self) -> int:
        """One: requests run one after another."""
        return 1

    def close(self) -> None:
        """End the edits; the model is as it was."""
        self.stack.close()

    def _answer(self, request: ChatAsked) -> Answer:
        with self.lock, quiet_library():
            return answer(self.dosed, request)

    def _output(self, reply: Answer) -> ModelOutput:
        message = ChatMessageAssistant(content=reply.text, model=self.model_name, source="generate")
        return ModelOutput(
            model=self.model_name,
            choices=[ChatCompletionChoice(message=message, stop_reason=ENDS[reply.ended])],
            usage=ModelUsage(
                input_tokens=reply.prompt_tokens,
                output_tokens=reply.tokens,
                total_tokens=reply.prompt_tokens + reply.tokens,
            ),
            metadata=self.metadata,
        )


def _message(message: "ChatMessage") -> dict[str, object]:
    """A turn as a request holds it; what is no text stays, to be refused by its type."""
    if isinstance(message.content, str):
        return {"role": message.role, "content": message.content}
    parts = [part.model_dump(include={"type", "text"}) for part in message.content]
    return {"role": message.role, "content": parts}


def _options(config: GenerateConfig, tools: "list[ToolInfo]") -> dict[str, object]:
    """What a request asks of the model, under the names of `ChatAsked`."""
    fields: dict[str, object] = config.model_dump(exclude_none=True)
    asks = {NAMES.get(key, key): value for key, value in fields.items() if key not in HARNESS}
    return {**asks, "tools": [tool.name for tool in tools]} if tools else asks
