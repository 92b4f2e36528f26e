"""transformers' own server around one dosed model: its handlers, held to what they really do."""

import json
from collections.abc import AsyncIterable, AsyncIterator
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from jinja2 import TemplateError
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware
from transformers.cli.serving.chat_completion import ChatCompletionHandler
from transformers.cli.serving.completion import CompletionHandler
from transformers.cli.serving.model_manager import ModelManager
from transformers.cli.serving.server import build_server
from transformers.cli.serving.utils import BaseHandler, GenerationState, Modality

from fulcra.engines.dosed import Dosed
from fulcra.engines.served import Asked, ChatAsked, CompletionAsked, until
from fulcra.errors import InputError

if TYPE_CHECKING:
    from transformers import GenerationConfig, PreTrainedTokenizerBase

Part = str | bytes | memoryview
#: What transformers' server answers besides would load, unload or transcribe.
PATHS = frozenset(("/v1/chat/completions", "/v1/completions", "/v1/models", "/health"))


class OneModel(ModelManager):
    """The one dosed model, by its name; it is never unloaded, and no other is loaded."""

    def __init__(self, dosed: Dosed, name: str) -> None:
        super().__init__()
        self.dosed, self.force_model = dosed, name

    @staticmethod
    def process_model_name(model_id: str) -> str:
        """The name itself: there are no revisions of it."""
        return model_id

    def load_model_and_processor(  # type: ignore[override]
        self, *_: object, **__: object
    ) -> "tuple[Dosed, PreTrainedTokenizerBase]":
        """The dosed model and its tokenizer."""
        return self.dosed, self.dosed.model.tokenizer

    @staticmethod
    def get_model_modality(*_: Any, **__: Any) -> Modality:
        """Language alone: text in, text out."""
        return Modality.LLM

    def get_gen_models(  # type: ignore[override]
        self, *_: object, **__: object
    ) -> list[dict[str, object]]:
        """The list of models: one, named after its recipe."""
        return [
            {
                "id": self.force_model,
                "object": "model",
                "created": 0,
                "owned_by": "fulcra",
                "root": self.dosed.model.name,
                "max_model_len": self.dosed.model.context,
            }
        ]


class _Exact(BaseHandler):
    """A handler that serves what `kind` may hold, and refuses the rest in one line."""

    kind: type[Asked]

    def _validate_request(self, body: dict[str, Any]) -> None:
        self.kind.of(body)

    def _build_generation_config(
        self,
        body: dict[str, Any],
        model_generation_config: "GenerationConfig",
        use_cb: bool = False,
    ) -> "GenerationConfig":
        # the library would seed here, where another request may be drawing
        seedless = {key: value for key, value in body.items() if key != "seed"}
        config = super()._build_generation_config(seedless, model_generation_config, use_cb=use_cb)
        if body.get("max_tokens") is None and body.get("max_completion_tokens") is None:
            config.max_new_tokens = None
        config.do_sample = bool(body.get("temperature"))
        if not config.do_sample:
            config.temperature = config.top_p = None
        config.seed = body.get("seed")  # type: ignore[attr-defined]
        return config

    async def handle_request(
        self, body: dict[str, Any], request_id: str
    ) -> StreamingResponse | JSONResponse:
        response = await super().handle_request(body, request_id)  # type: ignore[misc]
        if isinstance(response, StreamingResponse):
            response.body_iterator = _finished(response.body_iterator)
            return response
        stops = self.kind.of(body).stops
        return _cut(response, stops) if stops else response


class _Chat(_Exact, ChatCompletionHandler):
    kind = ChatAsked

    def _validate_request(self, body: dict[str, Any]) -> None:
        super()._validate_request(body)
        dosed, tokenizer = self.model_manager.load_model_and_processor(body["model"])
        if tokenizer.chat_template is None:
            name = cast(Dosed, dosed).model.name
            raise InputError(f"chat/completions: {name} has no chat template; use /v1/completions")


class _Completion(_Exact, CompletionHandler):
    kind = CompletionAsked


async def _finished(parts: AsyncIterable[Part]) -> AsyncIterator[Part]:
    """A stream with the last line that OpenAI's has and transformers' has not."""
    async for part in parts:
        yield part
    yield "data: [DONE]\n\n"


def _cut(response: JSONResponse, stops: list[str]) -> JSONResponse:
    """A response whose text ends before the string that stopped it."""
    body = json.loads(bytes(response.body))
    for choice in body["choices"]:
        place, key = (choice["message"], "content") if "message" in choice else (choice, "text")
        place[key] = until(place[key], stops)
    return JSONResponse(body)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    """A refusal in the shape that OpenAI's clients read."""
    status, message = 400, str(error)
    if isinstance(error, HTTPException):
        status, message = error.status_code, error.detail
    elif isinstance(error, RequestValidationError):
        message = f"the body is no JSON object: {error.errors()[0]['msg']}"
    content = {"error": {"message": message, "type": "invalid_request_error"}}
    return JSONResponse(content, status_code=status)


def app(dosed: Dosed, name: str, host: str) -> FastAPI:
    """The application of one dosed model, for requests that name `host` as theirs."""
    models, state = OneModel(dosed, name), GenerationState()
    thinking = dosed.model.thinking
    switch = None if thinking is None else {"enable_thinking": thinking}
    handlers: dict[str, Any] = dict.fromkeys(
        ("response_handler", "transcription_handler", "systemone_handler")
    )
    server: FastAPI = build_server(
        models,
        _Chat(models, state, switch),
        completion_handler=_Completion(models, state),
        generation_state=state,
        **handlers,
    )
    server.router.routes[:] = [
        route for route in server.router.routes if getattr(route, "path", None) in PATHS
    ]
    server.add_middleware(TrustedHostMiddleware, allowed_hosts=[host, "localhost"])
    for kind in (InputError, TemplateError, HTTPException, RequestValidationError):
        server.add_exception_handler(kind, _refused)
    return server
