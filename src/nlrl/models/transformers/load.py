# pyright: reportMissingImports=false, reportAttributeAccessIssue=false
"""From a name to weights in memory, and from weights to an identity."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import socket
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from nlrl.core import MissingExtra, ModelError, ModelMissing

FINGERPRINT_SAMPLES = 1024  # weights of each tensor that go into the fingerprint, evenly spaced
_PROBE = "Final Answer: 3.14 × 42\n\tdef f(x): return x ** 2  # naïve 東京 🙂 <|im_end|></s>"


@dataclass(frozen=True, slots=True)
class Source:
    """Where a checkpoint is: a directory or hub id, for GGUF the file in it, and a revision of the hub id."""

    place: str
    gguf_file: str | None = None
    revision: str | None = None

    @classmethod
    def parse(cls, spec: str) -> Source:
        """Read "DIRECTORY", "FILE.gguf", "ORG/NAME", "ORG/NAME/FILE.gguf", the last two with "@REVISION" if wanted."""
        spec = spec.removeprefix("hf:")
        path = Path(spec).expanduser()
        if spec and path.is_dir():
            return cls(str(path))
        if path.is_file() and path.suffix == ".gguf":
            return cls(str(path.parent), path.name)
        if spec and path.exists():
            raise ModelMissing(f"{spec} is a file, but not a .gguf file. Give the checkpoint's directory instead.")
        if not spec or spec[0] in "./~" or "\\" in spec:
            raise ModelMissing(f"There is no {spec!r}. Give a checkpoint's directory, a .gguf file, or a hub id.")
        place, _, revision = spec.partition("@")
        if place.endswith(".gguf") and place.count("/") >= 2:
            owner, name, file = place.split("/", 2)
            return cls(f"{owner}/{name}", file, revision or None)
        return cls(place, None, revision or None)

    def __str__(self) -> str:
        return f"{self.place}/{self.gguf_file}" if self.gguf_file else self.place


def require(*packages: str) -> None:
    """Raises MissingExtra for the first of the packages that is not installed."""
    for package in packages:
        try:
            importlib.import_module(package)
        except ModuleNotFoundError as error:
            if error.name != package:
                raise  # installed, but something it needs is not: its own message says more
            raise MissingExtra(package, "hf", "A Hugging Face model") from error


def load(
    source: Source, *, device: str, dtype: str, trust_remote_code: bool, local_files_only: bool
) -> tuple[Any, Any]:
    """The model, ready to answer, and its tokenizer. Raises MissingExtra, ModelMissing, or ModelError (no memory)."""
    require("torch", "transformers", *(("gguf", "accelerate") if source.gguf_file else ()))
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from nlrl.models.transformers.decode import out_of_memory

    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    if dtype == "auto" and device == "cpu":
        dtype = "float32"  # half precision matrix products are many times slower on most processors
    common: dict[str, Any] = {"trust_remote_code": trust_remote_code, "local_files_only": local_files_only}
    if not Path(source.place).is_dir() and not local_files_only:
        common["local_files_only"] = _offline()
    if source.revision:
        common["revision"] = source.revision
    if source.gguf_file:
        common["gguf_file"] = source.gguf_file
    spread: dict[str, Any] = {}
    if device == "cuda":  # over all that are there
        require("accelerate")
        spread = {"device_map": "auto"}
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.place, **common)
        options: dict[str, Any] = {"dtype": dtype, "output_loading_info": True, **common, **spread}
        loaded: Any = AutoModelForCausalLM.from_pretrained(source.place, **options)
        model, report = loaded
        if not spread:
            model = model.to(device)
    except Exception as error:  # the many libraries beneath raise whatever they like about a bad file
        if out_of_memory(error):
            raise ModelError(f"{source} does not fit into the memory of {device!r}: {_brief(error)}") from error
        at = f" at revision {source.revision!r}" if source.revision else ""
        raise ModelMissing(
            f"Cannot load {str(source)!r}{at}: {_brief(error)} It takes a directory with config.json, a tokenizer and "
            "weights, a .gguf file, or the id of such a model on the Hugging Face hub."
        ) from error
    if missing := sorted(report.get("missing_keys") or ()):  # they would be random numbers
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        raise ModelMissing(f"The checkpoint {str(source)!r} lacks {len(missing)} weights of a language model ({some}).")
    return model.eval(), tokenizer


def _offline() -> bool:
    """Whether the hub's name cannot even be looked up: then its client would retry every file for half a minute."""
    if urllib.request.getproxies():
        return False  # the proxy does the looking up
    host = urlsplit(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        return True
    return False


def _brief(error: BaseException) -> str:
    """The first line of what a library said, as a sentence."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
    return text if text.endswith(".") else text + "."


def identity(source: Source, model: Any, tokenizer: Any) -> str:
    """The hub's commit, where the checkpoint came from there, else a fingerprint."""
    if not Path(source.place).is_dir():
        from huggingface_hub import try_to_load_from_cache

        file = try_to_load_from_cache(source.place, source.gguf_file or "config.json", revision=source.revision)
        if isinstance(file, str):  # .../snapshots/COMMIT/FILE
            parts = Path(file).parts
            return parts[parts.index("snapshots") + 1]
    return fingerprint(model, tokenizer)


def fingerprint(model: Any, tokenizer: Any) -> str:
    """12 hex digits that change with the weights (a sample of every tensor), the configuration, and the tokenizer."""
    import torch

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        if not isinstance(tensor, torch.Tensor):  # quantised formats keep settings there
            continue
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        if not (tensor.is_meta or tensor.numel() == 0):
            flat = tensor.detach().reshape(-1)
            sample = flat[:: -(-flat.numel() // FINGERPRINT_SAMPLES)].cpu().contiguous()
            digest.update(sample.view(torch.uint8).numpy().tobytes())
    config = model.config.to_dict()
    for incidental in ("_name_or_path", "transformers_version"):
        config.pop(incidental, None)
    words = [len(tokenizer), str(tokenizer.chat_template), tokenizer.special_tokens_map, tokenizer.encode(_PROBE)]
    digest.update(json.dumps([config, words], sort_keys=True, default=str).encode())
    return digest.hexdigest()[:12]
