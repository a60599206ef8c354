"""hello_python: greets, and counts. Needs nothing but `fleetjobs.agent`, one file."""

import time

from fleetjobs.agent import INVALID_DATA, Agent, action, main

MOST = 5  #: times that somebody is greeted


class Hello(Agent):
    """The actions that the interface declares."""

    @action
    def greet(self, name: str, times: int) -> None:
        """Greet somebody."""
        if not 1 <= times <= MOST:
            # the caller's mistake; not tried again
            self.fail(f"times is 1 to {MOST}, not {times}", INVALID_DATA)
        self.reply["text"] = " ".join([f"Hello {name}!"] * times)

    @action
    def count(self, to: int) -> None:
        """Count slowly. If it is stopped, what `reply` holds by then is sent all the same."""
        for number in range(1, to + 1):
            time.sleep(0.1)
            self.reply["counted"] = number
            print(number, flush=True)  # goes to the run's log, as does standard error
            self.progress(100 * number / to, f"at {number}")


if __name__ == "__main__":
    main()
