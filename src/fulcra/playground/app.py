"""The page as an application, without what its library offers besides."""

import gradio as gr
from fastapi import FastAPI

from fulcra.playground.desk import Desk
from fulcra.playground.page import CSS, QUEUE, Page, theme
from fulcra.playground.workbench import Choice


def page_app(desk: Desk, first: Choice) -> FastAPI:
    """The application of the page: no analytics, no interface of its own for programs."""
    blocks = Page(desk, first).blocks
    blocks.queue(max_size=QUEUE, api_open=False)
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    mounted: FastAPI = gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        footer_links=[],
        show_error=False,
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=theme(),
        css_paths=CSS,
    )
    return mounted
