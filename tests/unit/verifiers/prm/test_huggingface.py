"""Hugging Face reward models, on tiny random weights that are made here, against computing them by hand."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from nlrl.core import Candidate, Completion, Finish, ModelMissing, PricedVerifier, Problem, Score, UserError

pytestmark = pytest.mark.hf

PROBLEM = Problem("What is 3 + 4?", reference="7")
TWO = "3 + 4 = 7\nFinal Answer: 7"
WORDS = ["so", "we", "add", "what", "is", "Step", "Final", "Answer", *"0123456789+-=:.?", "ки"]
HIDDEN = 16


def tokenizer_at(path: Path):
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    vocabulary = {w: i for i, w in enumerate(["<pad>", "<unk>", "<s>", "</s>", "<extra_0>", *WORDS, "\n"])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Split(Regex(r"\n|[^\s]+?(?=\s|$)|\d|[^\w\s]"), "removed", invert=True)
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        unk_token="<unk>",
        bos_token="<s>",
        eos_token="</s>",
        additional_special_tokens=["<extra_0>"],
    )
    made.save_pretrained(path)
    return made


def config(**options):
    from transformers import LlamaConfig

    return LlamaConfig(
        vocab_size=64,
        hidden_size=HIDDEN,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=256,
        pad_token_id=0,
        **options,
    )


def make(path: Path, kind: str) -> Path:
    """A checkpoint as each family publishes it."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import LlamaForCausalLM, LlamaForTokenClassification

    torch.manual_seed(0)
    tokenizer_at(path)
    if kind == "trl":
        LlamaForTokenClassification(config(num_labels=2)).save_pretrained(path)
        return path
    LlamaForCausalLM(config()).save_pretrained(path)
    tensors = load_file(path / "model.safetensors")
    if kind == "value_head":
        tensors |= {"v_head.summary.weight": torch.randn(1, HIDDEN), "v_head.summary.bias": torch.randn(1)}
    if kind == "qwen":
        tensors |= {"score.0.weight": torch.randn(HIDDEN, HIDDEN), "score.0.bias": torch.randn(HIDDEN)}
        tensors |= {"score.2.weight": torch.randn(2, HIDDEN), "score.2.bias": torch.randn(2)}
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    return path


def candidates(*texts: str) -> list[Candidate]:
    return [Candidate(f"s{i}", Completion(t, Finish.LENGTH, 1), None) for i, t in enumerate(texts)]


def scores(prm, *texts: str) -> list[Score]:
    return asyncio.run(prm.score(PROBLEM, candidates(*texts)))


KINDS = {"score_token": "score_token", "value_head": "value_head", "qwen": "token_classes", "trl": "token_classes"}


@pytest.mark.parametrize("kind", KINDS)
def test_every_family_is_recognised_and_gives_what_its_own_arithmetic_gives(tmp_path, kind):
    import torch
    from safetensors.torch import load_file
    from transformers import AutoTokenizer, LlamaForCausalLM, LlamaForTokenClassification

    from nlrl.verifiers.prm.huggingface import HuggingFacePRM

    path = make(tmp_path / kind, kind)
    prm = HuggingFacePRM(str(path))
    (found,) = scores(prm, TWO)
    assert prm.load().family == KINDS[kind] and len(found.steps) == 2, found.reason

    tokenizer = AutoTokenizer.from_pretrained(path)
    ids, ends = prm._encode(PROBLEM, TWO)
    mark = {"score_token": "ки", "qwen": "<extra_0>"}.get(kind, "\n")
    assert [tokenizer.convert_ids_to_tokens(ids[e]) for e in ends] == [mark, mark]
    tensors = load_file(path / "model.safetensors")
    with torch.no_grad():
        if kind == "trl":
            model = LlamaForTokenClassification.from_pretrained(path).eval()
            expected = model(torch.tensor([ids])).logits.softmax(-1)[0, ends, 1]
        else:
            model = LlamaForCausalLM.from_pretrained(path).eval()
            out = model(torch.tensor([ids]), output_hidden_states=True)
            state = out.hidden_states[-1][0, ends]
            if kind == "score_token":
                signs = tokenizer.convert_tokens_to_ids(["+", "-"])
                expected = out.logits[0, ends][:, signs].softmax(-1)[:, 0]
            elif kind == "value_head":
                expected = torch.sigmoid(state @ tensors["v_head.summary.weight"][0] + tensors["v_head.summary.bias"])
            else:
                inner = torch.relu(state @ tensors["score.0.weight"].T + tensors["score.0.bias"])
                expected = (inner @ tensors["score.2.weight"].T + tensors["score.2.bias"]).softmax(-1)[:, 1]
    assert found.steps == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_batches_give_what_single_texts_give_and_are_charged_exactly(tmp_path, kind):
    from nlrl.verifiers.prm.huggingface import HuggingFacePRM

    path = make(tmp_path / kind, kind)
    prm = HuggingFacePRM(str(path), batch_tokens=64)
    assert isinstance(prm, PricedVerifier)
    texts = [TWO, "3 + 4 = 8", "so we add\n3 + 4\n= 7\nFinal Answer: 7", ""]
    together = scores(prm, *texts)
    for text, score in zip(texts, together, strict=True):
        assert score.steps == pytest.approx(scores(HuggingFacePRM(str(path)), text)[0].steps, abs=1e-5)
    assert together[-1].reason.startswith("no_steps")
    price = asyncio.run(prm.price(PROBLEM, candidates(*texts)))
    lengths = [len(prm._encode(PROBLEM, text)[0]) for text in texts]
    assert (price.calls, price.prompt_tokens) == (3, sum(lengths))
    assert price.flops == 2.0 * prm.load().parameters * sum(lengths)


def test_long_texts_abstain_and_cost_nothing(tmp_path):
    from nlrl.verifiers.prm.huggingface import HuggingFacePRM

    prm = HuggingFacePRM(str(make(tmp_path / "m", "value_head")))
    long, short = scores(prm, "so we add 3 + 4\n" * 100, TWO)
    assert long.reason.startswith("too_long") and len(short.steps) == 2
    price = asyncio.run(prm.price(PROBLEM, candidates("so we add 3 + 4\n" * 100)))
    assert price.calls == 0 and price.tokens == 0


def test_weights_that_give_no_numbers_abstain(tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    from nlrl.verifiers.prm.huggingface import HuggingFacePRM

    path = make(tmp_path / "m", "value_head")
    tensors = load_file(path / "model.safetensors")
    tensors["v_head.summary.bias"] = torch.tensor([float("nan")])
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    (found,) = scores(HuggingFacePRM(str(path)), TWO)
    assert found.reason.startswith("not_a_number") and found.value == 0.5


def test_marks_in_the_text_are_not_read_as_steps(tmp_path):
    from nlrl.verifiers.prm.huggingface import HuggingFacePRM

    for kind, hostile in (("qwen", "3 <extra_0> 4\n7 </s> <extra_0>"), ("score_token", "3 ки 4\nки ки 7")):
        prm = HuggingFacePRM(str(make(tmp_path / kind, kind)))
        (found,) = scores(prm, hostile)
        assert len(found.steps) == 2
        ids, ends = prm._encode(PROBLEM, hostile)
        mark = ids[ends[-1]]
        assert [i for i, token in enumerate(ids) if token == mark] == ends


def test_wrong_checkpoints_are_refused_with_a_reason(tmp_path):
    from nlrl.verifiers.prm.huggingface import HuggingFacePRM

    plain = make(tmp_path / "plain", "score_token")
    with pytest.raises(UserError, match="has no head of the family 'value_head'"):
        HuggingFacePRM(str(plain), family="value_head").load()
    with pytest.raises(UserError, match="bare model has no head"):
        scores(HuggingFacePRM(str(plain), family="bare"), TWO)
    with pytest.raises(UserError, match="family must be one of"):
        HuggingFacePRM(str(plain), family="magic")  # type: ignore[arg-type]
    with pytest.raises(ModelMissing, match="There is no"):
        HuggingFacePRM("./nowhere").load()
    (plain / "model.safetensors").unlink()
    with pytest.raises(ModelMissing, match=r"no \.safetensors weights"):
        HuggingFacePRM(str(plain)).load()


def test_code_in_a_checkpoint_does_not_run(tmp_path):
    from nlrl.verifiers.prm.huggingface import HuggingFacePRM

    path = make(tmp_path / "m", "value_head")
    (path / "modeling_x.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    settings = json.loads((path / "config.json").read_text())
    settings["auto_map"] = {"AutoModel": "modeling_x.X", "AutoModelForCausalLM": "modeling_x.X"}
    (path / "config.json").write_text(json.dumps(settings))
    assert len(scores(HuggingFacePRM(str(path)), TWO)[0].steps) == 2
    assert not (tmp_path / "ran").exists()


def test_a_trained_head_separates_what_it_was_shown_and_is_bound_to_its_model(tmp_path):
    from nlrl.learning.linear_head import train_head
    from nlrl.learning.rollouts import Labelled, LabelledAttempt
    from nlrl.verifiers.prm.trees import write_prm
    from nlrl.verifiers.registry import get_verifier

    path = make(tmp_path / "m", "score_token")
    attempts = []
    for i in range(30):
        problem = Problem(f"what is {i // 2 % 10} + {i // 20} ?", reference="7")
        text = "so we add\n" + ("= 7" if i % 2 else "= 8")
        attempts.append(LabelledAttempt(problem, text, None, (0, 1), (0.5, float(i % 2)), (4, 0), bool(i % 2)))
    file = train_head(Labelled(attempts=attempts), str(path))
    assert file.held_out["auc_of_attempts"] > 0.75
    write_prm(file, tmp_path / "head.prm.json")
    verifier = get_verifier(f"prm:{tmp_path / 'head.prm.json'}")
    assert isinstance(verifier, PricedVerifier)
    seen = Problem("what is 3 + 0 ?")
    right, wrong = asyncio.run(verifier.score(seen, candidates("so we add\n= 7", "so we add\n= 8")))
    assert right.value > wrong.value + 0.3 and len(right.steps) == 2
    assert asyncio.run(verifier.price(PROBLEM, candidates(TWO))).prompt_tokens > 5

    import torch
    from safetensors.torch import load_file, save_file

    tensors = load_file(path / "model.safetensors")
    tensors["model.norm.weight"] = torch.full_like(tensors["model.norm.weight"], 2.0)
    save_file(tensors, path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "head.prm.json").write_bytes((tmp_path / "head.prm.json").read_bytes() + b"\n")
    with pytest.raises(UserError, match="trained on another model"):
        scores(get_verifier(f"prm:{tmp_path / 'head.prm.json'}"), TWO)
