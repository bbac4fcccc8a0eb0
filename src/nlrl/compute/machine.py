"""What this process takes of its machine: processor seconds, memory, and the GPUs where there are any.

    use = MachineUse()
    ...                        # work; use.look() now and then, for the GPUs
    print(use)                 # 84.2 processor seconds in 45.1 s (1.87 cores), peak memory 812 MB

Reading it never fails: what cannot be told here is None, or not there. GPUs are read from NVIDIA's own library by
`nvidia-ml-py` (pip install 'nlrl[gpu]'), which counts whatever runs on them; without it from torch, where that is
loaded already, which counts its own tensors and knows no utilisation. Other makers' GPUs are not read.
"""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

try:
    import resource
except ImportError:  # Windows
    resource = None

MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU now. `busy` is the share of the last moment in which it computed; None where nobody tells."""

    index: int
    name: str
    used_bytes: int
    total_bytes: int
    busy: float | None = None


@dataclass(slots=True)
class _GpuSeen:
    """A GPU over some time, as often as it was looked at."""

    name: str
    peak_bytes: int = 0
    total_bytes: int = 0
    busy: list[float] = field(default_factory=list)


class MachineUse:
    """What was taken since it was made; `look` reads the GPUs, whose peak and mean are of the moments looked at."""

    def __init__(self) -> None:
        self._began, self._processor_s = time.monotonic(), processor_seconds()
        self._gpus: dict[int, _GpuSeen] = {}

    def look(self) -> None:
        """Read the GPUs once more."""
        for gpu in gpus():
            seen = self._gpus.setdefault(gpu.index, _GpuSeen(gpu.name, total_bytes=gpu.total_bytes))
            seen.peak_bytes = max(seen.peak_bytes, gpu.used_bytes)
            if gpu.busy is not None:
                seen.busy.append(gpu.busy)

    def taken(self) -> dict[str, Any]:
        """So far, as JSON knows it: seconds, processor_s, peak_memory_bytes and, where there are any, gpus."""
        taken: dict[str, Any] = {
            "seconds": round(time.monotonic() - self._began, 1),
            "processor_s": round(processor_seconds() - self._processor_s, 1),
            "peak_memory_bytes": peak_memory_bytes(),
        }
        if self._gpus:
            taken["gpus"] = [
                {
                    "index": index,
                    "name": gpu.name,
                    "peak_bytes": gpu.peak_bytes,
                    "total_bytes": gpu.total_bytes,
                    "busy": round(sum(gpu.busy) / len(gpu.busy), 3) if gpu.busy else None,
                }
                for index, gpu in sorted(self._gpus.items())
            ]
        return taken

    def __str__(self) -> str:
        return in_words(self.taken())


def in_words(taken: Mapping[str, Any]) -> str:
    """What `MachineUse.taken` has told, for people; parts that are not known are left out."""
    seconds, worked = taken["seconds"], taken["processor_s"]
    cores = f" ({worked / seconds:.2f} cores)" if seconds else ""
    parts = [f"{worked:.1f} processor seconds in {seconds:.1f} s{cores}"]
    if (peak := taken.get("peak_memory_bytes")) is not None:
        parts.append(f"peak memory {peak / MB:,.0f} MB")
    for gpu in taken.get("gpus", ()):
        busy = f", busy {gpu['busy']:.0%}" if gpu.get("busy") is not None else ""
        total = f"{gpu['total_bytes'] / MB:,.0f}"
        parts.append(f"GPU {gpu['index']} ({gpu['name']}) at most {gpu['peak_bytes'] / MB:,.0f} of {total} MB{busy}")
    return ", ".join(parts)


def processor_seconds() -> float:
    """Of all threads of this process, and of its child processes that have ended (a sandbox)."""
    ended = os.times()
    return time.process_time() + ended.children_user + ended.children_system


def memory_bytes() -> int | None:
    """Resident now; None where the system does not tell (it is read from Linux's /proc)."""
    return _of_status("VmRSS:")


def peak_memory_bytes() -> int | None:
    """The most that was resident since the process began; None where the system does not tell."""
    if (peak := _of_status("VmHWM:")) is not None:
        return peak
    if resource is None:
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024  # macOS counts bytes, others kilobytes


def _of_status(name: str) -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    return None


def gpus() -> list[Gpu]:
    """Those of this machine now; none where there is none, or nothing that could tell."""
    nvml = _nvml()
    if nvml is not None:
        with suppress(nvml.NVMLError):
            return list(_by_nvml(nvml))
    torch = sys.modules.get("torch")
    return list(_by_torch(torch)) if torch is not None else []


@cache
def _nvml() -> Any:
    """NVIDIA's library, opened once; None without the package, the driver or a GPU."""
    try:
        nvml = importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception:  # whatever is wrong with a driver is no reason not to answer a question
        return None
    return nvml


def _by_nvml(nvml: Any) -> Iterable[Gpu]:
    for index in range(nvml.nvmlDeviceGetCount()):
        device = nvml.nvmlDeviceGetHandleByIndex(index)
        memory, name, busy = nvml.nvmlDeviceGetMemoryInfo(device), nvml.nvmlDeviceGetName(device), None
        with suppress(nvml.NVMLError):  # a slice of a GPU (MIG) has memory, and no utilisation
            busy = nvml.nvmlDeviceGetUtilizationRates(device).gpu / 100
        name = name.decode() if isinstance(name, bytes) else name
        yield Gpu(index, name, int(memory.used), int(memory.total), busy)


def _by_torch(torch: Any) -> Iterable[Gpu]:
    with suppress(Exception):  # half-imported, without CUDA, or a driver that it does not know
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            yield Gpu(index, about.name, int(torch.cuda.memory_allocated(index)), int(about.total_memory))
