"""vm: build virtual machines, and take them apart again.

A guest is built by make_volume, make_config, write_image and start, each of which finds done what
was done before, and leaves nothing when it fails. Guests run on under the node by themselves.
"""

import time
from typing import Any, NoReturn

from vm_guests import Guest, Guests, check_cpus, check_memory
from vm_hosts import Host, has_ended, host_of, kill, start
from vm_records import claimed
from vm_settings import read_settings
from vm_volumes import MIB, Volume, Volumes, find_file, find_image

from fleetjobs.agent import INVALID_DATA, Agent, action, main

NO_CONFIG = {  #: what is told of a guest that is not there
    **dict.fromkeys(("volume", "kernel", "initrd", "append", "network"), ""),
    **dict.fromkeys(("memory_mib", "cpus"), 0),
}
LOOK_S = 0.2  #: seconds between two looks at a console


class Vm(Agent):
    """Actions on the virtual machines of the node."""

    @action
    def make_volume(self, name: str, size_mib: int, format: str = "qcow2") -> None:  # noqa: A002  the input's name
        """Make an empty disk."""
        if size_mib < 1:
            self.fail(f"size_mib is {size_mib}; a volume has 1 at least", INVALID_DATA)
        volume = self._volumes().make(name, size=int(size_mib) * MIB, form=format, job=self._job())
        self.reply.update(name=name, path=str(volume.disk), bytes=volume.bytes)
        self.reply.update(format=volume.format, made=volume.record["job"] == self._job())

    @action
    def destroy_volume(self, name: str) -> None:
        """Remove a disk, with all that is on it."""
        self.reply["name"] = name
        users = [guest.name for guest in self._guests().using(name)]
        if users:
            self._refuse(f"volume {name} belongs to {', '.join(users)}; remove_config goes first")
        self.reply["changed"] = self._volumes().destroy(name)

    @action
    def make_config(self, name: str, volume: str, **config: Any) -> None:
        """Say what a guest is made of."""
        self._volumes().get(volume)
        check_memory(config["memory_mib"])
        check_cpus(config["cpus"])
        for file in ("kernel", "initrd"):
            if config[file]:
                config[file] = str(find_file(config[file], read_settings().images))
        guest = self._guests().make(name, {"volume": volume, **config}, self._job())
        self.reply.update(name=name, path=str(guest.directory))
        self.reply["made"] = guest.record["job"] == self._job()

    @action
    def remove_config(self, name: str) -> None:
        """Forget what a guest is made of; its volume stays."""
        self.reply["name"] = name
        guest = self._guests().find(name)
        if guest is None:
            self.reply.update(changed=False, **NO_CONFIG)
            return
        if host_of(guest, read_settings()):
            self._refuse(f"{name} runs; stop goes first")
        self._guests().remove(guest)
        self.reply.update(changed=True, **guest.config)

    @action
    def write_image(self, volume: str, image: str, overwrite: bool = False) -> None:  # noqa: FBT001, FBT002  as inputs come
        """Fill a disk with an image."""
        source = find_image(image, read_settings().images)
        found = self._volumes().get(volume)
        with claimed(found.directory):
            found = self._volumes().get(volume)
            self.reply.update(volume=volume, image=image, bytes=source.bytes, changed=False)
            if found.record["image"] == source.mark and not self._is_new_order(found, overwrite):
                return
            if found.record["image"] and not overwrite:
                self._refuse(f"volume {volume} holds {found.record['image'][0]} already")
            for guest in self._guests().using(volume):
                if host_of(guest, read_settings()):
                    self._refuse(f"volume {volume} is at work in {guest.name}; stop goes first")
            source.write(found, self._job())
            self.reply["changed"] = True

    @action
    def start(self, name: str, expect: str = "", within_s: float = 120) -> None:
        """Have a guest run, and wait until it says what is expected."""
        guest = self._guests().get(name)
        settings = read_settings()
        volume = self._volumes().get(guest.config["volume"])
        host = start(guest, volume, settings, self._job())
        started = guest.run().get("job") == self._job()
        self.reply.update(name=name, provider=host.name, accelerator=guest.run()["accelerator"])
        self.reply.update(pid=host.pid(guest), console=str(guest.console_log), started=started)
        if expect:
            self._await(guest, host, expect, within_s)
        self.reply["state"] = "running" if host.is_running(guest) else "stopped"

    @action
    def stop(self, name: str, within_s: float = 60, force: bool = False) -> None:  # noqa: FBT001, FBT002  as inputs come
        """Have a guest shut down; end it if it does not."""
        self.reply.update(name=name, state="absent", how="", changed=False)
        guest = self._guests().find(name)
        if guest is None:
            return
        self.reply["state"] = "stopped"
        with claimed(guest.directory):
            host = host_of(guest, read_settings())
            if host is None:
                return
            self.reply.update(state="running", how="killed")
            if not force:
                host.press_power(guest)
            if not force and has_ended(guest, host, within_s):
                self.reply["how"] = "shutdown"
            else:
                kill(guest, host)
            self.reply.update(state="stopped", changed=True)

    @action
    def status(self, name: str) -> None:
        """Reply whether a guest runs, and what it said last."""
        self.reply.update(name=name, state="absent", pid=None, provider="", started_at=None)
        self.reply.update(console="", volume="", memory_mib=None, cpus=None)
        guest = self._guests().find(name)
        if guest is None:
            return
        host = host_of(guest, read_settings())
        config = guest.config
        self.reply.update(state="running" if host else "stopped", console=guest.console())
        self.reply.update({key: config[key] for key in ("volume", "memory_mib", "cpus")})
        if host:
            run = guest.run()
            self.reply.update(pid=host.pid(guest), provider=host.name)
            self.reply["started_at"] = run.get("started_at")

    def _await(self, guest: Guest, host: Host, expect: str, within_s: float) -> None:
        """Wait until it says that. What was started here and does not say it is ended."""
        deadline = time.monotonic() + within_s
        try:
            while not guest.has_said(expect):
                if not host.is_running(guest) and not guest.has_said(expect):
                    self.fail(f"{guest.name} ended, and never said {expect!r}")
                if time.monotonic() > deadline:
                    self.fail(f"{guest.name} has not said {expect!r} within {within_s:g} s")
                time.sleep(LOOK_S)
        except BaseException:  # also SIGTERM: who cancels a start wants no guest
            print(guest.console())
            if self.reply["started"]:
                kill(guest, host)
                self.reply.update(started=False, pid=None)
            raise

    def _is_new_order(self, volume: Volume, overwrite: bool) -> bool:  # noqa: FBT001  an input
        """Whether the same image is to be written once more: a guest may have changed it."""
        return overwrite and volume.record.get("writer") != self._job()

    def _refuse(self, why: str) -> NoReturn:
        """What was asked cannot be: trying it again would not help."""
        self.fail(why, INVALID_DATA)

    def _job(self) -> str:
        """Who asks; an attempt knows by it what an earlier one did."""
        return str(self.request.get("job", ""))

    def _volumes(self) -> Volumes:
        return Volumes(read_settings().volumes)

    def _guests(self) -> Guests:
        return Guests(read_settings().guests)


if __name__ == "__main__":
    main()
