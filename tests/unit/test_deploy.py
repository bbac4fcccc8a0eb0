"""The files under deploy/ fit each other and the program: options, ports, paths, metrics; and they give nothing away.

Linters look at them too, where they are installed (hadolint, yamllint, check-jsonschema, kubernetes-validate, systemd).
"""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import click
import pytest

from nlrl.cli.app import app as cli
from nlrl.cli.serve import check_open, serve
from nlrl.server import App, Catalog, listen, serving
from nlrl.server.app import _ALL
from nlrl.server.observe.metrics import Histogram, Metrics, Numbers
from nlrl.testing.scripted import ScriptedModel

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
GUIDE = ROOT / "docs" / "how-to" / "deploy.md"
DRAIN_S = inspect.signature(listen).parameters["drain_s"].default
YAMLS = sorted(path for ending in ("*.yml", "*.yaml") for path in DEPLOY.rglob(ending))


def load(name: str) -> list[Any]:
    """The documents of a YAML file."""
    yaml = pytest.importorskip("yaml")
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def compose() -> dict[str, Any]:
    return load("docker-compose.yml")[0]


def kubernetes(kind: str) -> dict[str, Any]:
    (found,) = [entry for entry in load("kubernetes/nlrl.yaml") if entry["kind"] == kind]
    return found


def dockerfile() -> list[tuple[str, str]]:
    """(instruction, arguments), with continued lines joined and comments left out."""
    lines = [line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(word, " ".join(rest.split())) for line in joined if line for word, _, rest in [line.partition(" ")]]


def unit() -> dict[str, list[str]]:
    """The settings of the systemd unit; one may be given several times."""
    found: dict[str, list[str]] = {}
    for line in (DEPLOY / "nlrl.service").read_text().splitlines():
        if line and line[0] not in "#[":
            name, equals, value = line.partition("=")
            assert equals, line
            found.setdefault(name, []).append(value)
    return found


def command_of(where: str) -> list[str]:
    if where == "image":
        said = dict(dockerfile())
        return json.loads(said["ENTRYPOINT"]) + json.loads(said["CMD"])
    if where == "compose":
        return ["nlrl", *compose()["services"]["nlrl"]["command"]]
    if where == "systemd":
        return shlex.split(unit()["ExecStart"][0])
    return ["nlrl", *kubernetes("Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]]


# --- the program


@pytest.mark.parametrize("where", ["image", "compose", "systemd", "kubernetes"])
def test_the_command_is_one_that_nlrl_serve_takes(where: str) -> None:
    program, name, *args = command_of(where)
    assert program.rpartition("/")[2] == "nlrl" and name == "serve"
    given = serve.make_context("serve", args).params
    check_open(given["host"], given["api_key_file"])
    assert given["port"] == 8000 and str(given["api_key_file"]) == "/var/lib/nlrl/keys.sqlite"
    assert given["log_format"] == "json"


def test_an_option_that_is_not_there_would_be_found() -> None:
    with pytest.raises(click.NoSuchOption):
        serve.make_context("serve", ["--no-such-option"])


def test_every_command_of_the_guide_exists() -> None:
    found = re.findall(r"(?:^| |/)(nlrl (?:serve|keys|models|doctor)[^\n|>`)]*)", GUIDE.read_text())
    assert len(found) >= 5
    for line in found:
        group: click.Command = cli
        words = shlex.split(line.split("#")[0])[1:]
        context = click.Context(group)
        while isinstance(group, click.Group):
            name, inner, words = group.resolve_command(context, words)
            assert inner is not None and name is not None
            group, context = inner, click.Context(inner, parent=context)
        group.make_context(group.name, words)


def test_every_variable_is_one_that_the_program_reads() -> None:
    read = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    for path in (*DEPLOY.rglob("*"), GUIDE):
        if path.is_file():
            for name in set(re.findall(r"\bNLRL_[A-Z_]+\b", path.read_text())):
                assert f'"{name}"' in read, (path, name)


# --- the image


def test_the_image_is_pinned_small_and_nobodys() -> None:
    told = dockerfile()
    base = dict(word.split("=") for name, word in told if name == "ARG")["PYTHON"]
    assert re.fullmatch(r"3\.\d+\.\d+-slim-[a-z]+(@sha256:[0-9a-f]{64})?", base)
    minor = int(base.split(".")[1])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: 3.{minor}" in project["classifiers"]
    assert all(rest.startswith("python:${PYTHON}") for name, rest in told if name == "FROM")
    assert not {"ADD", "MAINTAINER"} & {name for name, _ in told}
    last = told[max(at for at, (name, _) in enumerate(told) if name == "FROM") :]
    user = [rest for name, rest in last if name == "USER"]
    assert user == ["10001:10001"] and [n for n, _ in last].index("USER") > [n for n, _ in last].index("RUN")
    runs = [rest for name, rest in told if name == "RUN"]
    assert any("libgomp1" in run for run in runs)
    for run in runs:
        if "apt-get install" in run:
            assert "--no-install-recommends" in run and "rm -rf /var/lib/apt/lists/*" in run and "update" in run
        if "pip" in run:
            extras = re.findall(r'"\.\[([\w,]+)\]"', run)[0].split(",")
            assert "--no-cache-dir" in run and {"local", "serve"} == set(extras)
            assert set(extras) <= set(project["optional-dependencies"])
    for _, rest in (entry for entry in told if entry[0] in ("ENV", "ARG")):
        assert not re.search(r"(?i)(password|secret|token|_key)=", rest)


def test_the_image_gets_what_it_is_built_from() -> None:
    sources = [
        word for name, rest in dockerfile() if name == "COPY" and "--from" not in rest for word in rest.split()[:-1]
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    needed = ["pyproject.toml", project["project"]["readme"], *project["project"]["license-files"]]
    needed += [path.split("/")[0] for path in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]]
    assert set(sources) == set(needed)
    rules = [
        line for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines() if line[:1] not in ("", "#")
    ]
    for source in sources:
        assert (ROOT / source).exists()
        verdicts = [rule[0] == "!" for rule in rules if fnmatch(source, rule.removeprefix("!"))]
        assert verdicts[-1], source


def test_its_health_check_tells_up_from_down() -> None:
    check = dict(dockerfile())["HEALTHCHECK"]
    program, *args = json.loads(check[check.index("[") :])
    assert program == "python" and "8000" in args[1]
    environment = dict(os.environ, HTTP_PROXY="http://127.0.0.1:9", http_proxy="http://127.0.0.1:9")

    def ask(port: str) -> int:
        done = [sys.executable, args[0], args[1].replace("8000", port)]
        return subprocess.run(done, env=environment, stderr=subprocess.DEVNULL, check=False).returncode

    with serving(App(Catalog({"here": ScriptedModel(lambda request, index: "42")}))) as url:
        port = url.rpartition(":")[2]
        assert ask(port) == 0
    assert ask(port) != 0


# --- compose, Prometheus, Grafana


def test_compose_names_what_is_there_and_opens_nothing() -> None:
    whole = compose()
    services = whole["services"]
    assert set(services) == {"upstream", "nlrl", "prometheus", "grafana"}
    ignored = (DEPLOY / ".gitignore").read_text().split()
    for name, service in services.items():
        tag = service["image"].rpartition(":")[2]
        assert re.search(r"\d", tag) and tag != "latest", name
        assert service["cap_drop"] == ["ALL"] and "no-new-privileges:true" in service["security_opt"]
        assert not service.keys() & {"privileged", "network_mode", "pid", "ipc", "devices", "cap_add"}
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
        assert set(service["networks"]) <= set(whole["networks"])
        assert set(service.get("secrets", ())) <= set(whole["secrets"])
        assert set(service.get("depends_on", ())) <= set(services)
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if not source.startswith("."):
                assert source in whole["volumes"]
                continue
            assert volume.endswith(":ro")
            assert (DEPLOY / source).exists() or f"{Path(source).name}/" in ignored
    assert all(secret["file"].startswith("./secrets/") for secret in whole["secrets"].values())
    assert "secrets/" in ignored
    assert "/var/run/docker.sock" not in json.dumps(whole)
    assert (DEPLOY / services["nlrl"]["build"]["context"]).resolve() == ROOT
    assert (ROOT / services["nlrl"]["build"]["dockerfile"]).is_file()
    assert int(services["nlrl"]["stop_grace_period"].removesuffix("s")) > DRAIN_S
    assert services["nlrl"]["read_only"] is True


def test_its_services_can_reach_each_other() -> None:
    services = compose()["services"]

    def together(one: str, other: str) -> bool:
        return bool(set(services[one]["networks"]) & set(services[other]["networks"]))

    (spec,) = serve.make_context("serve", command_of("compose")[2:]).params["specs"]
    host, port = re.match(r"http://([\w-]+):(\d+)/v1#", spec).groups()  # type: ignore[union-attr]
    upstream = services[host]["command"]
    assert upstream[upstream.index("--port") + 1] == port and together("nlrl", host)
    (job,) = load("prometheus.yml")[0]["scrape_configs"]
    assert job["static_configs"] == [{"targets": ["nlrl:8000"]}] and together("prometheus", "nlrl")
    assert job.get("metrics_path", "/metrics") in _ALL
    secret = Path(job["authorization"]["credentials_file"])
    assert secret.parent == Path("/run/secrets") and secret.name in services["prometheus"]["secrets"]
    (source,) = load("grafana/provisioning/datasources/prometheus.yml")[0]["datasources"]
    assert source["url"] == "http://prometheus:9090" and together("grafana", "prometheus")
    (provider,) = load("grafana/provisioning/dashboards/nlrl.yml")[0]["providers"]
    mounted = {volume.split(":")[1] for volume in services["grafana"]["volumes"]}
    assert provider["options"]["path"] in mounted
    password = Path(services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD__FILE"])
    assert password.name in services["grafana"]["secrets"]


def families() -> dict[str, set[str]]:
    """Every name that a query may use, with its labels."""
    found: dict[str, set[str]] = {}
    for family in vars(Metrics({})).values():
        if isinstance(family, Histogram):
            found |= {f"{family.name}_{end}": {*family.labels} for end in ("count", "sum")}
            found[f"{family.name}_bucket"] = {*family.labels, "le"}
        elif isinstance(family, Numbers):
            found[family.name] = {*family.labels}
    return found


def test_the_board_asks_for_metrics_that_are_there() -> None:
    board = json.loads((DEPLOY / "grafana/dashboards/nlrl.json").read_text())
    (source,) = load("grafana/provisioning/datasources/prometheus.yml")[0]["datasources"]
    known = families()
    assert re.findall(r"label_values\((\S+), (\w+)\)", board["templating"]["list"][0]["query"]["query"]) == [
        ("nlrl:model_calls_total", "model_name")
    ]
    for panel in board["panels"]:
        assert panel["description"] and panel["title"] and panel["datasource"]["uid"] == source["uid"]
        for target in panel["targets"]:
            text = target["expr"]
            assert text.count("(") == text.count(")") and text.count("{") == text.count("}")
            names = re.findall(r"nlrl:\w+", text)
            assert names and set(names) <= set(known), text
            usable = set.intersection(*(known[name] for name in names))
            used = {label for group in re.findall(r"by \(([^)]*)\)", text) for label in group.split(", ")}
            used |= set(re.findall(r'(\w+)(?:=|=~|!=)"', text))
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            assert used <= usable and shown <= used, text
            assert ("_bucket" in text) is ("histogram_quantile" in text)
    ids = [panel["id"] for panel in board["panels"]]
    assert len(set(ids)) == len(ids)
    for one, other in itertools.combinations([panel["gridPos"] for panel in board["panels"]], 2):
        apart = abs(one["x"] - other["x"]) >= 12 or abs(one["y"] - other["y"]) >= 8
        assert apart, (one, other)


# --- Kubernetes


def test_the_pod_is_confined_probed_and_given_its_share() -> None:
    pod = kubernetes("Deployment")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False  # else NLRL_PORT and its like would be set
    assert (
        pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault"
    )
    user = dict(dockerfile())["USER"]
    assert f"{pod['securityContext']['runAsUser']}:{pod['securityContext']['runAsGroup']}" == user
    for container in (*pod["containers"], *pod["initContainers"]):
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False and context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} == set(container["resources"]["requests"]) == set(container["resources"]["limits"])
        assert container["image"] == compose()["services"]["nlrl"]["image"]
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for mount in container["volumeMounts"]} <= volumes
    server = pod["containers"][0]
    port = serve.make_context("serve", server["args"][1:]).params["port"]
    assert server["ports"] == [{"name": "http", "containerPort": port}]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        asked = server[probe]["httpGet"]
        assert asked["port"] == "http"
        assert _ALL[asked["path"]]["GET"][1] is None, "a probe has no key"
    assert server["startupProbe"]["failureThreshold"] * server["startupProbe"]["periodSeconds"] >= 120
    pause = int(server["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["terminationGracePeriodSeconds"] > pause + DRAIN_S
    assert "/var/lib/nlrl" in {mount["mountPath"] for mount in server["volumeMounts"]}


def test_its_objects_name_each_other() -> None:
    deployment, service, policy = (kubernetes(kind) for kind in ("Deployment", "Service", "NetworkPolicy"))
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    assert policy["spec"]["podSelector"]["matchLabels"] == labels
    assert service["spec"]["ports"][0]["targetPort"] == "http" == policy["spec"]["ingress"][0]["ports"][0]["port"]
    pod = deployment["spec"]["template"]["spec"]
    held = {volume["name"]: volume for volume in pod["volumes"]}
    claim = kubernetes("PersistentVolumeClaim")
    assert held["data"]["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["spec"]["accessModes"] == ["ReadWriteOnce"] and deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"]["type"] == "Recreate"  # two pods must not write one SQLite file
    config = kubernetes("ConfigMap")
    assert pod["containers"][0]["envFrom"] == [{"configMapRef": {"name": config["metadata"]["name"]}}]
    guide = GUIDE.read_text()
    for secret in (held["seed"]["secret"]["secretName"], "nlrl-upstream"):
        assert f"create secret generic {secret}" in guide


# --- systemd


def test_the_service_may_do_little_and_ends_in_time() -> None:
    told = unit()
    for name in (
        "NoNewPrivileges", "ProtectHome", "PrivateTmp", "PrivateDevices", "ProtectKernelTunables", "RestrictNamespaces",
        "ProtectKernelModules", "ProtectControlGroups", "RestrictSUIDSGID", "LockPersonality",
    ):  # fmt: skip
        assert told[name] == ["yes"], name
    assert told["ProtectSystem"] == ["strict"] and told["CapabilityBoundingSet"] == [""]
    assert told["User"] == ["nlrl"] and int(told["TimeoutStopSec"][0]) > DRAIN_S
    assert told["StateDirectory"] == ["nlrl"] and "/var/lib/nlrl/" in told["ExecStart"][0]
    assert "Environment=OPENAI" not in (DEPLOY / "nlrl.service").read_text()


def test_systemd_understands_it(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("systemd is not here")
    text = (DEPLOY / "nlrl.service").read_text()
    (tmp_path / "nlrl.service").write_text(text.replace("/opt/nlrl/bin/nlrl", sys.executable))
    done = subprocess.run(
        [program, "verify", tmp_path / "nlrl.service"], capture_output=True, text=True, timeout=30, check=False
    )
    if "Failed to initialize manager" in done.stderr:
        pytest.skip("systemd cannot look at units here")
    assert done.returncode == 0 and "Unknown" not in done.stderr, done.stderr


# --- linters

LINTERS = {
    "hadolint": ["deploy/Dockerfile"],
    "yamllint": [
        "--strict", "-d",
        "{extends: default, rules: {line-length: {max: 130}, document-start: disable, comments: disable}}",
        *map(str, YAMLS),
    ],
    "check-jsonschema": ["--builtin-schema", "vendor.compose-spec", "deploy/docker-compose.yml"],
    "kubernetes-validate": ["--strict", "deploy/kubernetes/nlrl.yaml"],
}  # fmt: skip


@pytest.mark.parametrize("name", LINTERS)
def test_a_linter_has_nothing_to_say(name: str) -> None:
    beside = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    if beside is None:
        pytest.skip(f"{name} is not installed")
    done = subprocess.run([beside, *LINTERS[name]], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


# --- the threat model


def test_every_defence_of_the_threat_model_names_its_code() -> None:
    page = (ROOT / "docs" / "explanation" / "threat-model.md").read_text()  # that it is there: test_pages.py
    rows = [line for line in page.splitlines() if line.startswith("|") and "::" in line]
    assert len(rows) > 20 and all("`src/" in row or "`deploy/" in row for row in rows)


# --- the load test


def test_the_load_test_is_a_file_that_locust_could_run() -> None:
    path = ROOT / "tests" / "performance" / "locustfile.py"
    compile(path.read_text(), str(path), "exec")
    if importlib.util.find_spec("locust") is None:
        pytest.skip("locust is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "locust", "-f", path, "--list"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0 and "Passing" in done.stdout + done.stderr
