"""Apt: packages of Debian and its children, by apt-get and dpkg-query."""

import re

from package_commands import LOCK_WAIT, ask, change

from fleetjobs.agent import Fail

APT = (
    "apt-get",
    "-q",
    "-y",
    "-o",
    "Dpkg::Options::=--force-confdef",
    "-o",
    "Dpkg::Options::=--force-confold",
    "-o",
    f"DPkg::Lock::Timeout={LOCK_WAIT}",
    "-o",
    "Dpkg::Use-Pty=0",
    "-o",
    "APT::Cmd::Pattern-Only=true",  # a name is a name, not a regular expression
    "-o",
    "APT::Update::Error-Mode=any",  # lists that could not be fetched are an error
)
UPDATE = re.compile(r"^Inst (\S+) \[([^\]]+)\] \((\S+) ", re.MULTILINE)
CANDIDATE = re.compile(r"^(\S+):\n  Installed: .*\n  Candidate: (\S+)$", re.MULTILINE)
NONE = "(none)"


class Apt:
    """The package manager of Debian."""

    name = "apt"

    def installed(self) -> dict[str, str]:
        """Every installed package's version."""
        listed = ask(
            "dpkg-query", "-W", "-f", "${db:Status-Status}\t${binary:Package}\t${Version}\n"
        )
        if listed.returncode:
            raise Fail(f"dpkg-query: {listed.stderr.strip()}")
        rows = (line.split("\t") for line in listed.stdout.splitlines())
        return {package: version for state, package, version in rows if state == "installed"}

    def version(self, name: str) -> str | None:
        """The installed version; None if it is not."""
        listed = ask("dpkg-query", "-W", "-f", "${db:Status-Status}\t${Version}\n", name)
        rows = (line.split("\t") for line in listed.stdout.splitlines())
        return next((version for state, version in rows if state == "installed"), None)

    def candidate(self, name: str) -> str | None:
        """The version that would be installed; None if there is none."""
        # apt-cache takes a name it does not know for a pattern, and tells of others
        found = dict(CANDIDATE.findall(ask("apt-cache", "policy", name).stdout))
        candidate = found.get(name) or found.get(name.partition(":")[0])
        return candidate if candidate != NONE else None

    def refresh(self) -> None:
        """Fetch the package lists."""
        change(*APT, "update")

    def updates(self) -> list[dict[str, str]]:
        """What could be updated, as the names, old and new versions."""
        simulated = ask(*APT, "-s", "dist-upgrade")
        if simulated.returncode:
            raise Fail(f"apt-get: {simulated.stderr.strip()}")
        found = UPDATE.findall(simulated.stdout)
        return [{"name": name, "old": old, "new": new} for name, old, new in sorted(found)]

    def install(self, name: str, version: str | None, *, downgrade: bool) -> None:
        """Install a package, or another version of it."""
        flags = ["--allow-downgrades"] if downgrade else []
        change(*APT, "install", *flags, "--", f"{name}={version}" if version else name)

    def update(self, name: str | None) -> None:
        """Update one installed package, or all."""
        if name:
            change(*APT, "install", "--only-upgrade", "--", name)
        else:
            change(*APT, "upgrade", "--with-new-pkgs")

    def remove(self, name: str, *, purge: bool) -> None:
        """Remove a package and what depends on it."""
        change(*APT, "purge" if purge else "remove", "--", name)
