"""The command `nlrl`, and the one boundary where a failure becomes a message and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from nlrl.cli.failures import DONE, INTERRUPTED, PIPE_CLOSED, explain
from nlrl.cli.frame import Group
from nlrl.core.logs import redact, setup_logging

_COMMANDS = {
    "solve": ("nlrl.cli.solve:solve", "Ask one question, and watch the attempts as they are written."),
    "bench": ("nlrl.cli.bench:bench", "Measure strategies on data sets; run it again to resume."),
    "report": ("nlrl.cli.report:report", "Accuracy against tokens of a run: table, picture and page."),
    "ls": ("nlrl.cli.runs:ls", "List runs with their model, data and accuracy."),
    "calibrate": ("nlrl.cli.calibrate:calibrate", "Find out which strategy pays for which difficulty."),
    "serve": ("nlrl.cli.serve:serve", "Serve models behind the OpenAI API."),
    "keys": ("nlrl.cli.keys:keys", "Create, list and revoke the API keys of a server."),
    "data": ("nlrl.cli.data:data", "Export, delete and learn from what a server has kept of its requests."),
    "play": ("nlrl.cli.play:play", "Learn to act in an environment by language policy iteration."),
    "improve": ("nlrl.cli.improve:improve", "Improve how a model is asked, from its own attempts."),
    "train": ("nlrl.cli.train:train", "Train reward models on the model's own attempts."),
    "bank": ("nlrl.cli.bank:bank", "Look into a sample bank, import and export recorded samples."),
    "models": ("nlrl.cli.models:models", "List, fetch and describe model weights."),
    "strategies": ("nlrl.cli.strategies:strategies", "List the ways to spend compute, and their parameters."),
    "classify": ("nlrl.cli.classify:classify", "Say what kind of task a prompt is, and why."),
    "doctor": ("nlrl.cli.doctor:doctor", "Check this machine: Python, sandbox, extras, weights, network."),
}


@click.group(
    cls=Group,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog='Start with: nlrl models pull, then nlrl solve "What is 17 + 25?"',
)
@click.version_option(package_name="nlrl", message="nlrl %(version)s")
def app() -> None:
    """Better answers from language models by spending test-time compute well.

    Settings come from the environment: NLRL_MODEL, NLRL_CACHE, NLRL_BANK, NLRL_DATA, OPENAI_BASE_URL,
    OPENAI_API_KEY.
    """


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; every failure becomes a message here (see failures.py)."""
    args = list(sys.argv[1:] if args is None else args)
    state = {"debug": os.environ.get("NLRL_DEBUG", "") not in ("", "0"), "args": args}
    if state["debug"]:
        setup_logging("DEBUG")
    try:
        if "_NLRL_COMPLETE" in os.environ:  # a shell asks what could follow
            app.main(prog_name="nlrl")
        with app.make_context("nlrl", args, obj=state) as context:
            code = app.invoke(context)
        sys.stdout.flush()
    except click.exceptions.Exit as end:
        return end.exit_code
    except click.ClickException as usage:
        usage.show()
        return usage.exit_code
    except (KeyboardInterrupt, click.Abort) as stop:
        note = "\n".join(getattr(stop, "__notes__", ()))  # a command says here how to go on
        click.echo(f"\nInterrupted. {note}".rstrip(), err=True)
        return INTERRUPTED
    except BrokenPipeError:
        _silence()
        return PIPE_CLOSED
    except Exception as error:  # the outermost boundary: say it in one message
        if state["debug"]:
            traceback.print_exc()
        message, code = explain(error)
        click.echo(f"nlrl: {redact(message)}", err=True)
        return code
    return code if isinstance(code, int) else DONE


def _silence() -> None:
    """Nobody reads any more: send what is still buffered to nowhere, so that the exit does not fail again."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.stdout, sys.stderr):
        try:
            os.dup2(nowhere, stream.fileno())
        except (OSError, ValueError):
            continue  # a stream without a file behind it has nothing to flush
    os.close(nowhere)
