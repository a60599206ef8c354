"""Dnf: packages of Fedora and its relatives, by dnf and rpm."""

from package_commands import ask, change

from fleetjobs.agent import Fail

DNF = ("dnf", "-y", "-q")
SOME = 100  #: exit status of `check-update` when there are some


class Dnf:
    """The package manager of Fedora."""

    name = "dnf"

    def installed(self) -> dict[str, str]:
        """Every installed package's version; several, as of a kernel, are joined by spaces."""
        listed = ask("rpm", "-qa", "--qf", "%{NAME}.%{ARCH}\t%{EVR}\n")
        if listed.returncode:
            raise Fail(f"rpm: {listed.stderr.strip()}")
        found: dict[str, str] = {}
        for line in sorted(listed.stdout.splitlines()):
            package, version = line.split("\t")
            found[package] = f"{found[package]} {version}" if package in found else version
        return found

    def version(self, name: str) -> str | None:
        """The installed version, the last one if there are several; None if it is not."""
        listed = ask("rpm", "-q", "--qf", "%{EVR}\n", "--", name)
        return listed.stdout.split()[-1] if listed.returncode == 0 else None

    def candidate(self, name: str) -> str | None:
        """The version that would be installed; None if there is none."""
        listed = ask(*DNF, "repoquery", "--latest-limit=1", "--qf", "%{evr}\n", name)
        if listed.returncode:
            raise Fail(f"dnf: {listed.stderr.strip()}")
        return listed.stdout.split()[-1] if listed.stdout.split() else None

    def refresh(self) -> None:
        """Fetch the package lists."""
        change(*DNF, "--refresh", "makecache")

    def updates(self) -> list[dict[str, str]]:
        """What could be updated, as the names, old and new versions."""
        listed = ask(*DNF, "check-update")
        if listed.returncode not in (0, SOME):
            raise Fail(f"dnf: {listed.stderr.strip()}")
        current, _, _ = listed.stdout.partition("Obsoleting Packages")
        rows = (line.split() for line in current.splitlines())
        found = sorted((row[0], row[1]) for row in rows if len(row) == 3)  # noqa: PLR2004  name version repository
        old = self.installed()
        return [{"name": name, "old": old.get(name, ""), "new": new} for name, new in found]

    def install(self, name: str, version: str | None, *, downgrade: bool) -> None:
        """Install a package, or another version of it."""
        wanted = f"{name}-{version}" if version else name
        if downgrade and version and self.version(name):
            change(*DNF, "downgrade", wanted)
        else:
            change(*DNF, "install", wanted)

    def update(self, name: str | None) -> None:
        """Update one installed package, or all."""
        change(*DNF, "upgrade", *([name] if name else []))

    def remove(self, name: str, *, purge: bool) -> None:  # noqa: ARG002  rpm knows no purge
        """Remove a package and what depends on it."""
        change(*DNF, "remove", name)
