"""Bar: a live line on the terminal about how far a call has come.

It appears only if the call takes a moment: quick calls neither flicker nor pay for it.
"""

from collections.abc import Callable
from time import monotonic
from typing import Any

from fleetjobs.cli.screen import Screen, stderr

LATE_S = 0.3  #: a call that is over sooner shows no bar
BESIDE = 48  #: columns for what stands beside the bar, and for the ^C a terminal may write there
SHORT, LONG = 10, 40  #: columns of the bar itself; where it cannot have as many it is left out


class Bar:
    """Progress on stderr, where stderr is a terminal; replies are printed above it."""

    def __init__(
        self,
        screen: Screen,
        total: int,
        *,
        is_wanted: bool = True,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        """Nothing is shown yet. `screen`: where replies go."""
        self._screen = screen
        self._err = stderr()
        self._total = total
        self._ticks = ticks
        self._show_at = ticks() + LATE_S
        self._is_wanted = is_wanted and self._err.is_terminal
        self._progress: Any = None  # of rich, imported when it is shown
        self._task: Any = None
        self._counts = (0, 0)
        self._percent: float | None = None

    @property
    def patience(self) -> float:
        """For how many seconds the caller may do without telling us anything."""
        return 0.1 if self._is_wanted and self._progress is None else 1.0

    def advance(self, good: int, bad: int, percent: float | None = None) -> None:
        """So many replies have come by now; `percent` of all is done, with what is at work."""
        self._counts, self._percent = (good, bad), percent
        if self._progress is not None:
            self._progress.update(self._task, completed=self._completed(), counts=self._text())
        elif self._is_wanted and self._ticks() >= self._show_at:
            self._show()

    def print(self, text: str) -> None:
        """Lines for the output, above the bar if there is one."""
        if self._progress is not None and self._screen.is_terminal:
            from rich.text import Text

            self._progress.console.print(Text.from_ansi(text), soft_wrap=True)
            return
        self._screen.write(text)
        self._screen.flush()

    def close(self) -> None:
        """Leave nothing of it on the terminal."""
        self._is_wanted = False
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def _completed(self) -> float:
        """How far the bar has come, in replies."""
        return max(sum(self._counts), self._total * (self._percent or 0.0) / 100)

    def _text(self) -> str:
        good, bad = self._counts
        words = [f"{good + bad}/{self._total}", f"{good} ok"]
        if bad:
            words.append(f"· [red]{bad} failed[/]")
        if self._completed() > good + bad:
            words.append(f"· {int(self._percent or 0)} %")  # never 100 before the end
        return " ".join(words)

    def _show(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        # Both being the same terminal, the bar has to go where the replies go, or they would
        # be written over it.
        both = self._screen.is_terminal
        screen = self._screen if both else self._err
        console = Console(
            file=screen.file, no_color=not screen.has_colour, highlight=False, markup=True
        )
        room = min(console.width - BESIDE, LONG)
        bar = [BarColumn(room, complete_style="cyan", finished_style="green")]
        self._progress = Progress(
            SpinnerColumn(),
            *(bar if room >= SHORT else ()),
            TextColumn("{task.fields[counts]}"),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task = self._progress.add_task(
            "", total=self._total, completed=self._completed(), counts=self._text()
        )
        self._progress.start()
