"""package: install, update, remove and list packages with apt or dnf."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from package_apt import Apt
from package_dnf import Dnf

from fleetjobs.agent import INVALID_DATA, MISSING_DATA, Agent, action, main


class Package(Agent):
    """Actions on the node's packages; whatever came of one, its reply tells what it changed."""

    @action
    def status(self, name: str) -> None:
        """Reply with what is installed of it and what could be."""
        packages = self._packages()
        version = packages.version(name)
        self.reply.update(
            name=name,
            installed=version is not None,
            version=version,
            candidate=packages.candidate(name),
        )

    @action
    def checkupdates(self, *, refresh: bool = False) -> None:
        """Reply with what could be updated."""
        updates = self._packages(refresh=refresh).updates()
        self.reply.update(count=len(updates), updates=updates)

    @action
    def install(
        self,
        name: str,
        *,
        version: str | None = None,
        downgrade: bool = False,
        refresh: bool = False,
    ) -> None:
        """Install it, unless that version, or any if none is asked for, is there."""
        packages = self._packages(refresh=refresh)
        with self._telling(packages, name):
            now = packages.version(name)
            if now is None and packages.candidate(name) is None:
                self.fail(f"there is no package {name}")
            if now is None or version not in (None, now):
                packages.install(name, version, downgrade=downgrade)
        now = self.reply["version"]
        if now is None or version not in (None, now):
            self.fail(f"{packages.name} was content, but of {name} this is installed: {now}")

    @action("update")
    def bring_up_to_date(
        self, *, name: str | None = None, refresh: bool = False, **more: bool
    ) -> None:
        """Update one installed package, or with `all` every one."""
        if not name and not more.get("all"):
            self.fail("name a package, or say all=true", MISSING_DATA)
        if name and more.get("all"):
            self.fail("a name and all=true contradict each other", INVALID_DATA)
        packages = self._packages(refresh=refresh)
        if name and packages.version(name) is None:
            self.fail(f"{name} is not installed")
        with self._telling(packages, name):
            packages.update(name)

    @action
    def remove(self, name: str, *, purge: bool = False) -> None:
        """Remove it, and of a removed one with `purge` its configuration files."""
        packages = self._packages()
        with self._telling(packages, name):
            if purge or packages.version(name) is not None:
                packages.remove(name, purge=purge)
        if self.reply["version"] is not None:
            self.fail(f"{packages.name} was content, but {name} is still installed")

    def _packages(self, *, refresh: bool = False) -> Apt | Dnf:
        """The package manager of this node, with fresh lists if they are wanted."""
        packages: Apt | Dnf
        if shutil.which("apt-get"):
            packages = Apt()
        elif shutil.which("dnf"):
            packages = Dnf()
        else:
            self.fail("this node has neither apt nor dnf")
        self.reply["provider"] = packages.name
        if refresh:
            packages.refresh()
        return packages

    @contextmanager
    def _telling(self, packages: Apt | Dnf, name: str | None) -> Iterator[None]:
        """Put into the reply what changes meanwhile, also if the change then fails."""
        before = packages.installed()
        try:
            yield
        finally:
            changes = differences(before, packages.installed())
            self.reply.update(changes=changes, changed=bool(changes))
            if name:
                self.reply.update(name=name, version=packages.version(name))


def differences(before: Mapping[str, str], after: Mapping[str, str]) -> list[dict[str, Any]]:
    """What was installed, updated or removed; an old or new version of None says there is none."""
    return [
        {"name": name, "old": before.get(name), "new": after.get(name)}
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    ]


if __name__ == "__main__":
    main()
