"""The real `openai` clients, for Python and for JavaScript, against the server: every strategy, every feature.

    python benchmarks/server_conformance.py
    python benchmarks/server_conformance.py --quick        # five strategies

Both clients are used as they come and ask the same cases (clients/cases.py), each of every strategy of the registry,
from `nlrl serve` as a process of its own in front of one upstream on 127.0.0.1 that counts every token it gives out.
Strategies that continue a started answer are refused there, since `nlrl serve` does not know of an upstream that it
can; they are asked of a second server, which was told so.

The JavaScript client needs node, and once a network for `npm ci`; without them its part is left out, and said so.

Marks: no case fails; where a strategy cannot honour a field, a 400 names it; `usage` is the upstream's own count.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from clients.cases import CASES, STEPWISE, Case, judge
from equipment.counting_upstream import CountingUpstream
from equipment.marks import Marks
from equipment.served import Served, nlrl_serve
from nlrl.server import KeyStore
from nlrl.strategies import strategies

CLIENTS = Path(__file__).resolve().parent / "clients"
SIZES = {  # smaller than the defaults, for the sake of time
    "ab_mcts": "n=4", "adaptive_consistency": "n=8", "beam_search": "n=4, width=2", "best_of_n": "n=4",
    "dvts": "n=4, width=2", "early_stopping": "n=8, window=2", "finish_order": "n=8, wave=4",
    "lookahead_search": "n=4, width=2",
    "mcts": "n=4, wave=2, width=2", "probe_gate": "every=4, hold=2",
    "revisions": "n=4", "self_consistency": "n=4", "umpire": "n=8", "until_good": "n=4",
    "weighted_vote": "n=4",
}  # fmt: skip
CONTINUE = (*STEPWISE, "probe_gate")  # a started answer; probe_gate does without where it must
QUICK = ("auto", "beam_search", "best_of_n", "direct", "self_consistency")
CONTINUING = """
import sys
from pathlib import Path
from nlrl.models.openai import OpenAIModel
from nlrl.server import App, Catalog, KeyStore, listen
model = OpenAIModel("up", base_url=sys.argv[1], api_key="none", prefill=True)
app = App(Catalog({"up": model}), keys=KeyStore(Path(sys.argv[2])))
listen(app, port=0, ready=lambda url: print(f"Serving up at {url}/v1", flush=True))
"""


def make_keys(path: Path) -> dict[str, str]:
    with KeyStore(path) as store:
        return {
            "good": store.create("good")[1],
            "read": store.create("read", scopes=("read",))[1],
            "poor": store.create("poor", tokens=5)[1],  # fewer than the prompt has
            "bad": "nlrl_00000000_not-a-key",
        }


def suite(names: list[str], plain: Served, continuing: Served, keys: dict[str, str]) -> list[tuple[str, Case, dict]]:
    """(strategy, case, the case as clients read it)."""
    found = []
    for name in names:
        size = SIZES.get(name)
        strategy = f"{name}({size})" if size else name
        server = continuing if name in CONTINUE else plain
        for case in CASES:
            extra = json.loads(json.dumps(case.extra).replace("STRATEGY", strategy))
            asked = {"call": case.call, "params": case.asked(strategy), "extra": extra, "key": keys[case.key]}
            found.append((strategy, case, {**asked, "base_url": f"{server.url}/v1"}))
    return found


def refusals(names: list[str], plain: Served, keys: dict[str, str]) -> list[tuple[str, Case, dict]]:
    """Strategies that this upstream is not known to be able to serve."""
    case = Case("plain", lambda outcome, strategy: "not refused", only=("none",), field="prefill")
    asked = {"call": "chat", "extra": {}, "key": keys["good"], "base_url": f"{plain.url}/v1"}
    return [(name, case, {**asked, "params": case.asked(name)}) for name in names if name in STEPWISE]


def run_client(command: list[str], upstream: str, cases: list[dict[str, Any]]) -> list[dict[str, Any]]:
    told = json.dumps({"upstream": upstream, "cases": cases})
    done = subprocess.run(command, input=told, capture_output=True, text=True, timeout=1800, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def javascript() -> tuple[list[str], str]:
    """(its command, "") or ([], why it cannot run)."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None:
        return [], "there is no node on the PATH"
    if not (CLIENTS / "node_modules" / "openai").is_dir():
        if npm is None:
            return [], "there is no npm on the PATH to install its package with"
        print("Installing the JavaScript client (npm ci, once) ...", flush=True)
        done = subprocess.run([npm, "ci", "--no-audit", "--no-fund"], cwd=CLIENTS, capture_output=True, text=True)
        if done.returncode:
            return [], f"npm ci failed: {done.stderr.strip()[-200:]}"
    return [node, str(CLIENTS / "conformance.mjs")], ""


def versions(command: list[str]) -> dict[str, str]:
    import openai

    found = {"python": openai.__version__}
    if command:
        found["javascript"] = json.loads((CLIENTS / "node_modules/openai/package.json").read_text())["version"]
    return found


def show(verdicts: dict[str, dict[tuple[str, str], str]]) -> None:
    """A row for each strategy; a cell for each feature, with a mark for each client."""
    mark = {"ok": "+", "refused": "r", "FAILED": "X"}
    print(f"\nA cell holds a mark for each client ({', '.join(verdicts)}):")
    print("+ ok, r refused with a 400 that names the field, X failed. Columns:\n")
    features = [case.name for case in CASES]
    for at in range(0, len(features), 5):
        print("  " + "".join(f"{at + i + 1:3} {name:24}" for i, name in enumerate(features[at : at + 5])))
    print("\n" + " " * 34 + "".join(f"{i + 1:4}" for i in range(len(features))))
    for strategy in dict.fromkeys(strategy for one in verdicts.values() for strategy, _ in one):
        cells = (
            "".join(mark[v[strategy, name]] for v in verdicts.values() if (strategy, name) in v) for name in features
        )
        print(f"{strategy:34}" + "".join(f"{cell:>4}" for cell in cells))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="five strategies")
    args = parser.parse_args()
    names = [name for name in sorted(strategies()) if not args.quick or name in QUICK]
    marks = Marks("server_conformance", args.quick)
    script, missing = javascript()
    commands = {"python": [sys.executable, str(CLIENTS / "conformance.py")]}
    if script:
        commands["javascript"] = script
    else:
        print(f"!! SKIPPED: the JavaScript client: {missing}")
    verdicts: dict[str, dict[tuple[str, str], str]] = {}
    failures, exact, refused_whole = [], Counter(), Counter()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        keys = make_keys(folder / "keys")
        upstream = stack.enter_context(CountingUpstream())
        options = ("--model", f"up={upstream.url}/v1#up", "--api-key-file", str(folder / "keys"), "--quiet")
        plain = stack.enter_context(nlrl_serve(*options))
        command = [sys.executable, "-c", CONTINUING, f"{upstream.url}/v1", str(folder / "keys")]
        continuing = stack.enter_context(nlrl_serve(command=command))
        asked = suite(names, plain, continuing, keys)
        refused = refusals(names, plain, keys)
        for client, words in commands.items():
            outcomes = run_client(words, upstream.url, [case for _, _, case in [*asked, *refused]])
            verdicts[client] = {}
            for at, ((strategy, case, _), outcome) in enumerate(zip([*asked, *refused], outcomes, strict=True)):
                verdict, wrong = judge(case, outcome, strategy)
                if at < len(asked):
                    verdicts[client][strategy, case.name] = verdict
                    exact[client] += verdict == "ok" and bool(outcome.get("usage"))
                else:
                    refused_whole[client] += verdict == "refused"
                if verdict == "FAILED":
                    failures.append(f"{client}: {strategy}: {case.name}: {wrong}")
    show(verdicts)
    for line in failures:
        print("FAILED", line[:400])
    counts = {client: dict(Counter(found.values())) for client, found in verdicts.items()}
    print(f"\nClients: {versions(script)}; {len(names)} strategies, {len(CASES)} features")
    for client, found in counts.items():
        print(
            f"{client}: {found}; usage equal to the upstream's count in {exact[client]} answers; "
            f"{refused_whole[client]} of {len(refused)} strategies refused where the upstream is not known to continue"
        )
    for client in commands:
        failed = sum(line.startswith(f"{client}: ") for line in failures)
        marks.exact(f"cases that fail, {client}", failed, equal_to=0)
        marks.exact(f"answers whose usage is the upstream's count, {client}", exact[client], above=0)
    more = {"clients": versions(script), "strategies": names, "skipped": missing or None}
    return marks.result(counts=counts, **more)


if __name__ == "__main__":
    sys.exit(main())
