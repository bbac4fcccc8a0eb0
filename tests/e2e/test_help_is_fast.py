import resource
import subprocess
import sys

HEAVY = ("numpy", "rich", "httpx", "matplotlib", "sympy", "math_verify", "xllamacpp", "torch", "sqlite3", "asyncio")


def test_help_takes_less_than_a_third_of_a_second(nlrl):
    def once() -> float:
        """Processor seconds: on a machine shared with others the clock on the wall says little."""
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert nlrl("--help").code == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(once() for _ in range(5)) < 0.3


def test_help_and_the_package_import_nothing_heavy():
    code = "import sys, nlrl; from nlrl.cli import main; sys.argv=['nlrl', '--help']; main(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert not loaded & set(HEAVY)
