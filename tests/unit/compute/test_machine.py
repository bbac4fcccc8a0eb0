"""What a process takes is measured, and nothing that is missing on a machine makes it fail."""

from __future__ import annotations

import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from nlrl.compute import machine
from nlrl.compute.machine import Gpu, MachineUse, gpus, in_words, memory_bytes, peak_memory_bytes, processor_seconds


class Driver:
    """Stands in for NVIDIA's library, which is the machine's: two GPUs, the second of which tells no utilisation."""

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        self.used, self.works = [3_000_000_000, 500_000_000], True

    def nvmlDeviceGetCount(self) -> int:
        if not self.works:
            raise self.NVMLError("the driver is gone")
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, device: int) -> str | bytes:
        return (b"NVIDIA A100", "NVIDIA A100 MIG")[device]  # older ones tell bytes

    def nvmlDeviceGetMemoryInfo(self, device: int) -> SimpleNamespace:
        return SimpleNamespace(used=self.used[device], total=80_000_000_000)

    def nvmlDeviceGetUtilizationRates(self, device: int) -> SimpleNamespace:
        if device:
            raise self.NVMLError("Not Supported")
        return SimpleNamespace(gpu=75)


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> Driver:
    found = Driver()
    monkeypatch.setattr(machine, "_nvml", lambda: found)
    return found


def spin(seconds: float) -> None:
    end = time.process_time() + seconds
    while time.process_time() < end:
        pass


def test_work_is_counted_and_waiting_is_not() -> None:
    use = MachineUse()
    spin(0.2)
    worked = use.taken()["processor_s"]
    time.sleep(0.3)
    taken = use.taken()
    assert worked >= 0.15 and taken["processor_s"] - worked < 0.25
    assert taken["seconds"] >= 0.5


def test_work_of_children_that_ended_is_counted() -> None:
    before = processor_seconds()
    program = "import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert processor_seconds() - before >= 0.25


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="read from /proc")
def test_the_peak_stays_when_memory_is_given_back() -> None:
    program = (
        "from nlrl.compute.machine import memory_bytes, peak_memory_bytes\n"
        "block = b'x' * 120_000_000\ndel block\nprint(memory_bytes(), peak_memory_bytes())"
    )
    told = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    now, peak = map(int, told.split())
    assert peak - now > 100_000_000
    assert memory_bytes() <= peak_memory_bytes()


def test_gpus_as_the_driver_tells_them(driver: Driver) -> None:
    assert gpus() == [
        Gpu(0, "NVIDIA A100", 3_000_000_000, 80_000_000_000, 0.75),
        Gpu(1, "NVIDIA A100 MIG", 500_000_000, 80_000_000_000, None),
    ]


def test_peak_and_mean_are_of_the_moments_looked_at(driver: Driver) -> None:
    use = MachineUse()
    for used in (1, 9, 4):
        driver.used[0] = used * 1_000_000_000
        use.look()
    first, second = use.taken()["gpus"]
    assert (first["peak_bytes"], first["busy"]) == (9_000_000_000, 0.75)
    assert second["busy"] is None
    assert "GPU 0 (NVIDIA A100) at most 9,000 of 80,000 MB, busy 75%" in str(use)


def test_a_driver_that_fails_later_is_no_failure(driver: Driver) -> None:
    use = MachineUse()
    driver.works = False
    use.look()
    assert gpus() == [] and "gpus" not in use.taken()


@pytest.mark.parametrize("broken", [None, SimpleNamespace(nvmlInit=lambda: 1 / 0)])
def test_without_a_driver_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch, broken: object) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", broken)  # None: the package is not installed
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    machine._nvml.cache_clear()
    assert gpus() == []
    machine._nvml.cache_clear()


def test_without_a_driver_torch_is_asked_where_it_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    about = SimpleNamespace(name="NVIDIA H100", total_memory=80)
    cuda = SimpleNamespace(
        device_count=lambda: 1, get_device_properties=lambda index: about, memory_allocated=lambda index: 7
    )
    monkeypatch.setattr(machine, "_nvml", lambda: None)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert gpus() == [Gpu(0, "NVIDIA H100", 7, 80, None)]
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace())  # half-imported
    assert gpus() == []


def test_what_is_not_known_is_left_out() -> None:
    told = in_words({"seconds": 2.0, "processor_s": 3.0, "peak_memory_bytes": None})
    assert told == "3.0 processor seconds in 2.0 s (1.50 cores)"
    assert in_words({"seconds": 0.0, "processor_s": 0.0}) == "0.0 processor seconds in 0.0 s"
