"""Starting llama.cpp's server in this process: its settings, and what it needs from the system."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nlrl.core import MissingExtra, ModelError, UserError
from nlrl.models.llama.sizes import Sizes

PROMPT_BATCH = 512  # prompt tokens between two chances to cancel, 1 to 2 s on a small machine
_MAX_SOCKET_PATH = 100  # sun_path holds 104 to 108 bytes


def private_folder() -> Path | None:
    """A folder of our own whose path is short enough for a socket; None where none can be made."""
    for base in (None, "/tmp"):
        try:
            folder = Path(tempfile.mkdtemp(prefix="nlrl-", dir=base))
        except OSError:
            continue
        if len(os.fsencode(folder)) < _MAX_SOCKET_PATH - len("/door.sock"):
            return folder
        folder.rmdir()
    return None


def start_server(path: Path, sizes: Sizes, key: str, door: Path | None) -> Any:
    """Load the weights. `door` is the folder for its socket, None for a port. Raises ModelError if it cannot."""
    xllamacpp = import_xllamacpp()
    wanted = xllamacpp.CommonParams()
    wanted.model.path = str(path)
    wanted.n_parallel = sizes.slots
    wanted.n_ctx = sizes.slots * sizes.context_tokens
    wanted.kv_unified = False  # 16 separate requests: 52 tokens/s without, 32 with; one request of 16: no difference
    wanted.n_batch = wanted.n_ubatch = PROMPT_BATCH
    wanted.cpuparams.n_threads = wanted.cpuparams_batch.n_threads = sizes.threads
    wanted.cache_ram_mib = 0  # the default keeps up to 8 GB of old prompts
    wanted.cache_idle_slots = False
    wanted.fit_params = False  # sizes are decided here, not by the engine
    wanted.warmup = False
    wanted.prefill_assistant = False  # a last assistant message is a finished turn; `Request.prefill` continues one
    wanted.verbosity = 0
    wanted.ui = False
    wanted.endpoint_slots = False  # it would show prompts
    wanted.endpoint_metrics = True
    wanted.api_keys = [key]
    wanted.cors_origins = ""
    wanted.n_threads_http = 2
    wanted.hostnames = [str(door / "door.sock")] if door else ["127.0.0.1"]
    try:
        return xllamacpp.Server(wanted)
    except RuntimeError as error:
        raise ModelError(
            f"llama.cpp cannot load {path} ({error}). The file may be damaged or of a kind that this version does not "
            "know: fetch it again, or update xllamacpp."
        ) from error


def import_xllamacpp() -> Any:
    """The engine's package. Raises MissingExtra, or UserError where a system library is missing."""
    with _short_spinning():
        try:
            import xllamacpp
        except ModuleNotFoundError as error:
            raise MissingExtra("xllamacpp", "local", "The embedded engine") from error
        except ImportError as error:
            hint = "apt install libgomp1" if "libgomp" in str(error) else "pip install --force-reinstall xllamacpp"
            raise UserError(f"The embedded engine cannot start: {error}. Try: {hint}") from error
    return xllamacpp


@contextlib.contextmanager
def _short_spinning() -> Iterator[None]:
    """Let OpenMP threads spin only briefly while they wait for each other, and then sleep. It reads this when loaded.

    The usual 300,000 turns starve everybody as soon as other processes want the same cores; sleeping at once costs half
    the speed of a single draw on an idle machine. 1,000 did well in both, in single runs that no script repeats yet.
    """
    name = "GOMP_SPINCOUNT"
    if name in os.environ or "OMP_WAIT_POLICY" in os.environ:  # somebody has decided
        yield
        return
    os.environ[name] = "1000"
    try:
        yield
    finally:
        del os.environ[name]
