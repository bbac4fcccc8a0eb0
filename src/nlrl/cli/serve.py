"""`nlrl serve`: models behind the OpenAI API."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nlrl.cli.frame import Command
from nlrl.core import UserError

if TYPE_CHECKING:
    from nlrl.core import Model
    from nlrl.server import App, Texts

DEFAULT_KEYS = "keys.sqlite"
_TEXTS = {"none": "not kept", "live": "in memory only", "keep": "kept in the record file"}
_IN_FLIGHT = 2048  # requests at one upstream; fewer as soon as it says that it is overloaded


@click.command(
    cls=Command,
    examples="""
        nlrl serve
        nlrl serve --model http://127.0.0.1:8001/v1#my-model --port 9000
        nlrl serve --model openai:gpt-4o-mini --model small=weights/small.gguf --strategy auto
        nlrl serve --host 0.0.0.0 --api-key-file keys.sqlite        (make a key first: nlrl keys create alice)
        nlrl serve --records requests.sqlite --texts keep --retention 7

        curl localhost:8000/v1/chat/completions -H 'Content-Type: application/json' -d '{"model":
          "self_consistency(n=8)@qwen2.5-coder-0.5b", "messages": [{"role": "user", "content": "What is 17 + 25?"}]}'
    """,
)
@click.option(
    "-m", "--model", "specs", multiple=True, envvar="NLRL_MODEL",
    help="A model, or NAME=MODEL to choose what clients call it; may be repeated.  [env: NLRL_MODEL]",
)  # fmt: skip
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others need keys.")
@click.option(
    "-p", "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one."
)
@click.option("--api-key-file", type=click.Path(path_type=Path), help="Ask for keys made by `nlrl keys create`.")
@click.option("-s", "--strategy", default="direct", show_default=True, help="What a bare model id means.")
@click.option("-b", "--budget", help="The most that a request may have.  [default: tokens=1M,calls=1000,seconds=600]")
@click.option(
    "--max-tokens", type=click.IntRange(min=1), default=1024, show_default=True, help="Of an attempt, if unsaid."
)
@click.option("--concurrency", type=click.IntRange(min=1), default=256, show_default=True, help="Requests at work.")
@click.option(
    "--queue", type=click.IntRange(min=0), default=1024, show_default=True, help="Requests waiting; then 429."
)
@click.option("--prices", help="Of the models: money per million prompt and completion tokens, such as 0.15,0.60.")
@click.option("--records", type=click.Path(path_type=Path), help="Keep a record of every request in this file.")
@click.option(
    "--texts",
    type=click.Choice(["none", "live", "keep"]),
    help="Prompts and answers: none; live: on the dashboard, in memory; keep: in the record file too.  "
    "[default: live where no keys are asked for, else none]",
)
@click.option(
    "--retention",
    type=click.FloatRange(min=0, min_open=True),
    default=30,
    show_default=True,
    help="Days after which records are deleted.",
)
@click.option(
    "--runs",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Benchmark runs and policies to show on the dashboard.",
)
@click.option("--otlp", metavar="URL", help="Send OpenTelemetry traces there, as OTEL_EXPORTER_OTLP_ENDPOINT would.")
@click.option("--quiet", is_flag=True, help="No line for each request.")
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="json: an object a line.",
)
def serve(
    specs: tuple[str, ...],
    host: str,
    port: int,
    api_key_file: Path | None,
    strategy: str,
    budget: str | None,
    max_tokens: int,
    concurrency: int,
    queue: int,
    prices: str | None,
    records: Path | None,
    texts: Texts | None,
    retention: float,
    runs: Path,
    otlp: str | None,
    quiet: bool,
    log_format: str,
) -> int:
    """Serve models behind the OpenAI API, with a strategy and a budget for every request.

    Clients need nothing but the address. They choose by the model's id (STRATEGY@MODEL, such as
    "weighted_vote(n=8)@MODEL" or "auto@MODEL"), by reasoning_effort, or by one object in the request:
    {"nlrl": {"strategy": "...", "budget": {"tokens": 4000, "seconds": 10}}}. Prompts are never logged, and kept only
    as --texts says. The dashboard is at the server's own address, in a browser.
    """
    from nlrl.cli.budgets import parse_budget
    from nlrl.core.logs import setup_logging
    from nlrl.server import DEFAULT_LIMITS, App, Catalog, Journal, KeyStore, Records, Settings, listen, open_telemetry

    check_open(host, api_key_file)
    texts = texts or ("none" if api_key_file else "live")
    if texts == "keep" and records is None:
        raise UserError("Where are the texts to be kept? Name a file: --records requests.sqlite --texts keep")
    limits = parse_budget(budget) if budget else DEFAULT_LIMITS
    models = open_models(specs or ("",), prices)
    catalog = Catalog(models, strategy)
    settings = Settings(limits, max_tokens, hosts=hosts_of(host), running=concurrency, waiting=queue)
    keys = KeyStore(api_key_file, create=False) if api_key_file else None
    setup_logging("WARNING" if quiet else "INFO", json=log_format == "json")

    def ready(url: str) -> None:
        click.echo(f"Serving {', '.join(models)} at {url}/v1")
        click.echo(f"Keys:    {api_key_file or 'none are asked for; only this machine can reach it'}")
        click.echo(f"Look:    {url}/    (texts: {_TEXTS[texts]})")

    journal = Journal(Records(records) if records else None, texts, retention)
    app: App = App(catalog, settings, keys, journal, runs, open_telemetry(otlp))
    if not listen(app, host=host, port=port, ready=ready):
        raise UserError(f"Cannot listen on {host}:{port}: it is taken, or not yours. Name another with --port.")
    return 0


def open_models(specs: tuple[str, ...], prices: str | None) -> dict[str, Model]:
    """The models by the names clients use. Raises UserError for a name that is given twice."""
    from nlrl.cli.openers import open_model, parse_prices
    from nlrl.models import DEFAULT_MODEL, load_model
    from nlrl.server import public_id

    models: dict[str, Model] = {}
    for given in specs:
        name, equals, spec = given.partition("=")
        if not equals or not name.replace("-", "").replace(".", "").replace("_", "").isalnum():
            name, spec = "", given
        spec = spec or DEFAULT_MODEL
        if spec.startswith(("http:", "https:", "openai:")):
            priced = {} if prices is None else {"prices": parse_prices(prices)}
            model = load_model(spec, max_concurrency=_IN_FLIGHT, **priced)
        else:
            model = open_model(spec, [], "none", prices)
        name = name or public_id(spec, model)
        if name in models:
            raise UserError(f"Two models are called {name!r}. Name one of them yourself: --model other={spec}")
        models[name] = model
        load = getattr(model, "load", None)
        if callable(load):
            click.echo(f"Loading {model.name} ...", err=True)
            load()
    return models


def check_open(host: str, api_key_file: Path | None) -> None:
    """Raises UserError if others could reach the server without a key."""
    if api_key_file is None and not is_loopback(host):
        raise UserError(
            f"On {host} others can reach this server, so it must ask for keys. Make one with "
            f"`nlrl keys create NAME --api-key-file {DEFAULT_KEYS}` and add --api-key-file {DEFAULT_KEYS}, "
            "or listen on 127.0.0.1."
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def hosts_of(host: str) -> frozenset[str] | None:
    """The Host headers to answer on a loopback address: none that a foreign web page could point at it."""
    if not is_loopback(host):
        return None
    extra = filter(None, os.environ.get("NLRL_HOSTS", "").lower().split(","))
    return frozenset({"localhost", "127.0.0.1", "[::1]", host, f"[{host}]", *extra})
