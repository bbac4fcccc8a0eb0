"""Names of models, and the objects they stand for."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nlrl.core import ModelMissing, NlrlError, UnknownName, UserError
from nlrl.models import DEFAULT_MODEL, WEIGHTS, LlamaModel, OpenAIModel, installed, load_model, weight_file
from nlrl.models.llama.gguf import read_header
from nlrl.models.weights.known import Wheels


def test_every_entry_is_complete() -> None:
    assert DEFAULT_MODEL == "qwen2.5-coder-0.5b" in WEIGHTS
    assert "smollm2-135m" in WEIGHTS
    for name, entry in WEIGHTS.items():
        assert entry.name == name
        assert re.fullmatch(r"[0-9a-f]{64}", entry.sha256)
        assert entry.size > 10**7 < entry.parameters
        assert entry.licence
        assert entry.sources
        assert entry.identity == f"{name}@{entry.sha256[:12]}"
        for source in entry.sources:
            if isinstance(source, Wheels):
                assert all(version for _, version in source.wheels)  # pinned


@pytest.mark.parametrize("name", WEIGHTS)
def test_what_the_registry_says_is_what_the_file_says(name: str) -> None:
    entry = weight_file(name)
    path = installed(entry)
    if path is None:
        pytest.skip(f"needs: nlrl models pull {name}")
    header = read_header(path)
    assert (header.size, header.parameters, header.context_tokens) == (
        entry.size,
        entry.parameters,
        entry.context_tokens,
    )


def test_a_registered_model_carries_its_identity() -> None:
    if installed(weight_file("smollm2-135m")) is None:
        pytest.skip("needs: nlrl models pull smollm2-135m")
    model = load_model(" smollm2-135m ", slots=2, context_tokens=300)
    assert isinstance(model, LlamaModel)
    assert model.name == "smollm2-135m@b179c9523d0e"
    assert (model.slots, model.can.context_tokens) == (2, 300)


def test_weights_that_are_not_here_say_how_to_get_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NLRL_CACHE", str(tmp_path))
    with pytest.raises(ModelMissing, match="nlrl models pull smollm2-135m"):
        load_model("smollm2-135m")
    with pytest.raises(ModelMissing, match="nlrl models pull qwen"):
        load_model()
    damaged = tmp_path / "models" / "smollm2-135m.gguf"
    damaged.parent.mkdir()
    damaged.write_bytes(b"GGUF")
    with pytest.raises(ModelMissing, match=r"damaged.*nlrl models pull"):
        load_model("smollm2-135m")


@pytest.mark.parametrize(
    ("spec", "near"),
    [("smolm2", "smollm2-135m"), ("qwen2.5-coder", "qwen2.5-coder-0.5b"), ("", "Known"), ("replay:x", "Known")],
)
def test_an_unknown_name_tells_the_nearest(spec: str, near: str) -> None:
    with pytest.raises(UnknownName, match=re.escape(near)):
        load_model(spec)


def test_servers() -> None:
    model = load_model("http://127.0.0.1:8000/v1#my/model")
    assert isinstance(model, OpenAIModel)
    assert (model.model, model.base_url.rstrip("/")) == ("my/model", "http://127.0.0.1:8000/v1")
    named = load_model("openai:gpt-4o-mini", base_url="http://127.0.0.1:1/v1")
    assert isinstance(named, OpenAIModel)
    assert named.model == "gpt-4o-mini"


@pytest.mark.parametrize("spec", ["openai:", "hf:", "http://127.0.0.1:8000/v1", "https://x/v1#"])
def test_half_a_name_is_told_apart(spec: str) -> None:
    with pytest.raises(UserError, match="does not say which model"):
        load_model(spec)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(ModelMissing, match="nowhere"):
        load_model("nowhere/some.gguf")


def test_an_option_that_the_class_does_not_take() -> None:
    with pytest.raises(UserError, match="temperature"):
        load_model("openai:x", temperature=1)


def test_hf_leads_to_transformers() -> None:
    with pytest.raises(NlrlError):  # MissingExtra without torch, ModelMissing with it
        load_model("hf:./no/such/folder")


def test_importing_the_room_loads_nothing_heavy() -> None:
    script = (
        "import sys, nlrl.models as m\n"
        "dir(m), m.load_model, m.weight_file, m.pull, m.Assembler\n"
        "print([x for x in ('httpx', 'numpy', 'torch', 'xllamacpp', 'transformers', 'rich') if x in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    import nlrl.models as room

    for name in room.__all__:
        assert getattr(room, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        room.no_such_name  # noqa: B018
