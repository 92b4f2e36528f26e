"""What a server may be asked: an exact part of the OpenAI-compatible API, the rest refused."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fulcra.errors import InputError, first_fault

#: Tokens and seeds beyond these are no request.
MOST_TOKENS, MOST_SEED = 1 << 20, (1 << 63) - 1

Tokens = Annotated[int, Field(ge=1, le=MOST_TOKENS)]
Stop = Annotated[str, Field(min_length=1)]


class TextPart(BaseModel):
    """One part of a message's content: text, and nothing else."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text"]
    text: str


class Message(BaseModel):
    """One turn of a conversation; a `type` beside its words, as some harnesses send, is text."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text"] | None = None

    role: Literal["system", "user", "assistant"]
    content: str | Annotated[list[TextPart], Field(min_length=1)]


class PlainFormat(BaseModel):
    """The format of an answer: text, no schema."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: Literal["text"]


class StreamOptions(BaseModel):
    """What a stream ends with: usage is always there."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    include_usage: Literal[True] | None = None


class Asked(BaseModel):
    """What both kinds of request may hold; of what is not served, the values that ask nothing.

    Greedy where there is no temperature. `stop` goes without a stream: a stream cannot take back
    what it has sent.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    path: ClassVar[str]

    model: str
    max_tokens: Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=0, le=MOST_SEED)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    user: str | None = None
    n: Literal[1] | None = None
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=0)] | None = None

    @classmethod
    def of(cls, body: object) -> Self:
        """The request of a body; InputError names the first thing that is not served."""
        try:
            request = cls.model_validate(body)
        except ValidationError as error:
            raise InputError(f"{cls.path}: {_fault(error)}") from None
        if request.stream and request.stop:
            raise InputError(f"{cls.path}: stop: not served with stream; leave one of them out")
        return request

    @property
    def stops(self) -> list[str]:
        """Strings that end an answer and are no part of it."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []


class ChatAsked(Asked):
    """A request for a chat completion."""

    path = "chat/completions"

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Tokens | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    response_format: PlainFormat | None = None
    tools: Annotated[list[str], Field(max_length=0)] | None = None
    tool_choice: Literal["none"] | None = None


class CompletionAsked(Asked):
    """A request for a completion of plain text."""

    path = "completions"

    prompt: str
    best_of: Literal[1] | None = None
    echo: Literal[False] | None = None
    logprobs: None = None
    suffix: None = None


def _fault(error: ValidationError) -> str:
    """The first fault in one line, and what to do about it."""
    fault = first_fault(error)
    where = ".".join(str(part) for part in fault["loc"][:3]) or "the body"
    if fault["type"] == "extra_forbidden":
        return f"{where}: not served here; leave it out"
    if fault["type"] == "missing":
        return f"{where}: missing; add it"
    return f"{where}: {fault['msg']}, got {str(fault['input'])[:60]!r}; not served here otherwise"


def until(text: str, stops: list[str]) -> str:
    """The text up to the first of the strings that end it."""
    ends = [place for stop in stops if (place := text.find(stop)) >= 0]
    return text[: min(ends, default=len(text))]
