"""One file over HTTP, going on where a broken download stopped; and the Hugging Face hub as one such address."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from nlrl.models.weights.known import HubFile
from nlrl.models.weights.sources import Progress, SourceFailed

if TYPE_CHECKING:
    import httpx

CONNECT_S = 5.0  # a hub that cannot be reached must not hold up the next source
READ_S = 30.0
PAUSE_S = 0.5  # before the first new try; doubled each time
TRIES = 5  # in a row without a single new byte


def fetch_hub(source: HubFile, size: int, target: Path, report: Progress) -> None:
    """Fetch the hub's file to `target`. Respects HF_ENDPOINT, HF_HUB_OFFLINE and HF_TOKEN. Raises SourceFailed."""
    if os.environ.get("HF_HUB_OFFLINE", "").lower() in ("1", "true", "yes", "on"):
        raise SourceFailed("HF_HUB_OFFLINE is set")
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    token = os.environ.get("HF_TOKEN")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    url = f"{endpoint}/{source.repository}/resolve/{source.revision}/{source.file}"
    what = f"fetching from {endpoint.removeprefix('https://')}"
    fetch_url(url, target, size, lambda done: report(what, done, size), headers)


def fetch_url(
    url: str, target: Path, size: int, report: Callable[[int], None], headers: dict[str, str] | None = None
) -> None:
    """Fetch `size` bytes to `target`, which may hold the beginning. Raises SourceFailed; what has come stays."""
    import httpx

    timeout = httpx.Timeout(READ_S, connect=CONNECT_S)
    failures = 0
    try:
        with httpx.Client(timeout=timeout, follow_redirects=True, headers=headers) as client:
            while (have := _size(target)) < size:
                try:
                    _fetch_rest(client, url, target, have, size, report)
                except httpx.TransportError as error:
                    failures = 0 if _size(target) > have else failures + 1
                    if failures >= TRIES or _is_unreachable(error):
                        raise SourceFailed(_reason(error)) from error
                    time.sleep(PAUSE_S * 2**failures)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise SourceFailed(f"its address {url} is of no use: {error}") from error


def _fetch_rest(
    client: httpx.Client, url: str, target: Path, have: int, size: int, report: Callable[[int], None]
) -> None:
    import httpx

    asked = {"Range": f"bytes={have}-"} if have else {}
    with client.stream("GET", url, headers=asked) as answer:
        if answer.status_code not in (200, 206):
            raise SourceFailed(f"it answered {answer.status_code} {answer.reason_phrase}")
        if answer.status_code == 200:
            have = 0  # it does not do ranges: from the start
        with target.open("r+b" if have else "wb") as file:
            file.seek(have)
            report(have)
            for chunk in answer.iter_bytes():
                have += len(chunk)
                if have > size:
                    raise SourceFailed(f"it sends more than the {size} bytes of the file")
                file.write(chunk)
                report(have)
    if have < size:
        raise httpx.ReadError("the connection ended early")


def _is_unreachable(error: httpx.TransportError) -> bool:
    """Nothing answers there: trying again within seconds would only cost time."""
    import httpx

    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout | httpx.ProxyError)


def _reason(error: httpx.TransportError) -> str:
    said = str(error) or type(error).__name__
    return f"it cannot be reached ({said})" if _is_unreachable(error) else f"the connection broke ({said})"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
