"""How large an engine fits this machine: threads, slots, context."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path

from nlrl.core import ModelError
from nlrl.models.llama.gguf import GGUFHeader

SLOTS = 16
CONTEXT_TOKENS = 2048
MEMORY_SHARE = 0.6  # of the available memory, for weights and cache together; the rest is for buffers and for others
_GB = 1e9


@dataclass(frozen=True, slots=True)
class Sizes:
    """slots: draws at once; context_tokens: prompt plus completion of each; threads: of the engine."""

    slots: int
    context_tokens: int
    threads: int


def sizes(
    header: GGUFHeader,
    *,
    slots: int | None = None,
    context_tokens: int | None = None,
    threads: int | None = None,
    available: int | None = None,
) -> Sizes:
    """What was asked for; where nothing was, the usual size, made smaller until it fits into the available memory.

    Slots are halved first, then the context. Raises ModelError if not even one slot of 256 tokens fits.
    """
    _check(slots=slots, context_tokens=context_tokens, threads=threads)
    trained = header.context_tokens or CONTEXT_TOKENS
    context = min(context_tokens or CONTEXT_TOKENS, trained)
    wanted = slots or SLOTS
    room = MEMORY_SHARE * (available_memory() if available is None else available) - header.size
    while wanted * context * header.kv_bytes > room:
        if slots is None and wanted > 1:
            wanted //= 2
        elif context_tokens is None and context > 256:
            context //= 2
        else:
            need = (wanted * context * header.kv_bytes + header.size) / MEMORY_SHARE
            raise ModelError(
                f"The model needs about {need / _GB:.1f} GB of free memory for {wanted} slots of {context} tokens. "
                "Free some, choose a smaller model (nlrl models list), or ask for fewer slots or less context."
            )
    return Sizes(wanted, context, threads or physical_cores())


def _check(**given: int | None) -> None:
    for name, value in given.items():
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ModelError(f"{name} must be a whole number of at least 1, got {value!r}.")


def physical_cores() -> int:
    """Cores this process may use: no hyper-threads (they slow matrix products down), no more than the CPU quota."""
    try:
        allowed = os.sched_getaffinity(0)
    except AttributeError:  # not Linux
        return max(1, (os.cpu_count() or 2) // 2)
    siblings = set()
    for cpu in allowed:
        path = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            siblings.add(path.read_text())
        except OSError:
            siblings.add(str(cpu))
    return max(1, min(len(siblings), _quota()))


def _quota() -> int:
    """CPUs by the control group's quota (containers), rounded up."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):  # no such file, or "max 100000"
        return os.cpu_count() or 1


def available_memory() -> int:
    """Bytes that can be had without swapping: of the machine, or of the container where that is less."""
    free = _machine_memory()
    try:
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        used = int(Path("/sys/fs/cgroup/memory.current").read_text())
        return max(0, min(free, limit - used))
    except (OSError, ValueError):
        return free


def _machine_memory() -> int:
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (AttributeError, OSError, ValueError):
        return 8 * 1024**3
