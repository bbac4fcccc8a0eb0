"""Known vulnerabilities of the installed packages, and how many of them were looked up at all.

`pip-audit` leaves out what its service does not know or what it cannot ask, and then says "no known vulnerabilities
found": of nothing, that is true. Here only a package that was looked up counts as one without vulnerabilities.
"""

import json
import subprocess
from typing import NamedTuple

import bootstrap

FOUND, NOT_ALL = 1, 3  # exit codes; 0 says that all were looked up and nothing was found


class Audit(NamedTuple):
    """What was looked up; `found` has a line for each vulnerability, `left_out` (package, reason)."""

    looked_up: "list[str]"
    found: "list[str]"
    left_out: "list[tuple[str, str]]"

    @property
    def code(self) -> int:
        """The exit code. What was found weighs more than what was left out."""
        if self.found:
            return FOUND
        return 0 if self.looked_up and not self.left_out else NOT_ALL


def read(text: str) -> Audit:
    """What pip-audit's JSON says. ValueError where it is not what it should be."""
    rows = json.loads(text)["dependencies"]
    left_out = [(row["name"], row["skip_reason"]) for row in rows if "skip_reason" in row]
    looked_up = [f"{row['name']} {row['version']}" for row in rows if "skip_reason" not in row]
    found = [
        f"{row['name']} {row['version']}: {one['id']}"
        + (f" ({', '.join(one['aliases'])})" if one.get("aliases") else "")
        + (f", mended in {', '.join(one['fix_versions'])}" if one.get("fix_versions") else ", not mended yet")
        for row in rows
        for one in row.get("vulns", ())
    ]
    return Audit(looked_up, found, left_out)


def look_up(python: str, options: "tuple[str, ...]" = ()) -> int:
    """Ask for every package in the environment of `python`, say what came of it; the exit code."""
    bootstrap.say("Looking for known vulnerabilities")
    # the project itself is not on any list; it is the only editable package
    command = [python, "-m", "pip_audit", "--format", "json", "--skip-editable", "--progress-spinner", "off", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    try:
        audit = read(done.stdout)
    except (ValueError, KeyError, TypeError):
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        print(f"NOT AUDITED: pip-audit ended with code {done.returncode} before it had looked up all: {last[:300]}")
        print("Connect to a network that reaches the list of vulnerabilities, and run ./test --audit again.")
        return NOT_ALL
    skipped = [(name, why) for name, why in audit.left_out if "editable" not in why]
    audit = audit._replace(left_out=skipped)
    for line in audit.found:
        print(f"  VULNERABLE  {line}")
    for name, why in skipped[:5]:
        print(f"  not looked up  {name}: {why}")
    if len(skipped) > 5:
        print(f"  not looked up  {len(skipped) - 5} more")
    all_of_them = len(audit.looked_up) + len(skipped)
    print(f"{len(audit.looked_up)} of {all_of_them} packages were looked up; {len(audit.found)} vulnerabilities known.")
    if not audit.looked_up:
        print("NOT AUDITED: nothing was looked up. Without a network that reaches the list, nothing can be said.")
    elif skipped:
        print("NOT ALL AUDITED: see above what was not looked up; nothing can be said of it.")
    return audit.code
