"""A system for apt: a root directory with states of its own, beside the machine's."""

import hashlib
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agent_programs import PATH, ROOT, Called, call, command_of, prepare

AGENT = ROOT / "agents" / "package"


@dataclass(frozen=True)
class System:
    """A root directory with apt and dpkg states of its own, and a repository beside it."""

    root: Path
    repository: Path
    work: Path

    @property
    def env(self) -> dict[str, str]:
        """What makes apt and dpkg work on this root."""
        return {
            "APT_CONFIG": str(self.root / "apt.conf"),
            "DPKG_ADMINDIR": str(self.root / "var/lib/dpkg"),
            "PATH": PATH,
        }

    def offer(self, name: str, version: str, *, depends: str = "", **scripts: str) -> None:
        """Build a package into the repository; scripts are maintainer scripts by name."""
        tree = self.repository / "trees" / f"{name}_{version}"
        control = (
            f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody\n"
            + (f"Depends: {depends}\n" if depends else "")
            + "Description: a test\n"
        )
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(control)
        (tree / "DEBIAN/conffiles").write_text(f"/etc/{name}.conf\n")
        for script, content in scripts.items():
            (tree / "DEBIAN" / script).write_text(f"#!/bin/sh\n{content}\n")
            (tree / "DEBIAN" / script).chmod(0o755)
        (tree / "etc").mkdir()
        (tree / f"etc/{name}.conf").write_text(f"made by {version}\n")
        package = self.repository / f"{name}_{version}_all.deb"
        run("dpkg-deb", "-Zgzip", "--root-owner-group", "--build", str(tree), str(package))
        content = package.read_bytes()
        index = (
            f"{control}Filename: ./{package.name}\nSize: {len(content)}\n"
            f"SHA256: {hashlib.sha256(content).hexdigest()}\n\n"
        )
        with (self.repository / "Packages").open("a") as file:
            file.write(index)

    def call(self, action: str, **data: Any) -> Called:
        """Call an action with this root as its system."""
        return call(AGENT, self.work, action, data, env=self.env)

    def do(self, action: str, **data: Any) -> list[tuple[str, str | None, str | None]]:
        """Call what has to go well; the changes it tells: name, old, new."""
        done = self.call(action, **data)
        assert done.reply is not None, done.stderr
        assert done.reply["statuscode"] == 0, done.reply
        assert done.data["changed"] is bool(done.data["changes"])
        return [(told["name"], told["old"], told["new"]) for told in done.data["changes"]]

    def start(self, action: str, output: Path, **data: Any) -> subprocess.Popen[bytes]:
        """Call without waiting; both streams go to a file."""
        env = prepare(AGENT, self.work, action, data, env=self.env)
        with output.open("wb") as file:
            return subprocess.Popen(
                command_of(AGENT), cwd=self.work, env=env, stdout=file, stderr=file
            )


def run(*argv: str) -> None:
    subprocess.run(argv, check=True, capture_output=True)


def make_system(place: Path, repository: Path | None = None) -> System:
    """An empty system in that directory, with that repository or one of its own."""
    root, repository = place / "root", repository or place / "repository"
    for name in (
        "var/lib/dpkg/info",
        "var/lib/dpkg/updates",
        "var/lib/dpkg/triggers",
        "var/lib/apt/lists/partial",
        "var/cache/apt/archives/partial",
        "var/log/apt",
        "etc/apt/apt.conf.d",
        "etc/apt/preferences.d",
        "etc/apt/trusted.gpg.d",
        "etc",
    ):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("var/lib/dpkg/status", "var/lib/dpkg/available"):
        (root / name).touch()
    repository.mkdir(exist_ok=True)
    (repository / "Packages").touch()
    (root / "etc/apt/sources.list").write_text(f"deb [trusted=yes] file:{repository} ./\n")
    (root / "apt.conf").write_text(
        f'Dir "{root}";\n'
        f'Dir::State "{root}/var/lib/apt";\n'
        f'Dir::State::status "{root}/var/lib/dpkg/status";\n'
        f'Dir::Cache "{root}/var/cache/apt";\n'
        f'Dir::Etc "{root}/etc/apt";\n'
        f'Dir::Log "{root}/var/log/apt";\n'
        'Dir::Bin::methods "/usr/lib/apt/methods";\n'
        'Dir::Bin::dpkg "/usr/bin/dpkg";\n'
        f'DPkg::Options {{ "--root={root}"; "--log={root}/var/log/dpkg.log"; }};\n'
        'DPkg::Options { "--force-script-chrootless"; };\n'
        'DPkg::Path "/usr/sbin:/usr/bin:/sbin:/bin";\n'
        'APT::Sandbox::User "root";\n'
    )
    return System(root, repository, place / "work")
