"""What a program may use up. Every figure holds for each process; `processes` bounds how many there are."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one run.

    wall_s         seconds on the clock, for all tests of a program together; then everything is killed
    cpu_s          processor seconds of one process (whole seconds, rounded up)
    memory_bytes   address space of one process; memory in all is at most `processes` times this, plus scratch
    scratch_bytes  size of the private scratch directory, and of the largest file in it
    output_bytes   stdout and stderr together; a program that writes more is killed
    open_files     descriptors of one process
    threads        threads of all processes together, the main ones included
    processes      1: the program may not start others

    Without namespaces (see `Isolation.walled`) there is neither scratch, nor a second thread or process.
    """

    wall_s: float = 10.0
    cpu_s: float = 10.0
    memory_bytes: int = 512 << 20
    scratch_bytes: int = 16 << 20
    output_bytes: int = 1 << 20
    open_files: int = 64
    threads: int = 32
    processes: int = 1

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"Limits.{f.name} must be a finite number above zero, got {value!r}")
        if self.memory_bytes < 64 << 20:
            raise ValueError(f"Limits.memory_bytes must be at least 64 MiB for Python itself, got {self.memory_bytes}")
        if self.open_files < 16:
            raise ValueError(f"Limits.open_files must be at least 16, got {self.open_files}")
