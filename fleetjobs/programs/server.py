"""Server: the HTTP interface as a program.

    python -m fleetjobs.programs.server [--config FILE]

Settings: `programs.settings.ServerSettings`, from the file and variables
FLEETJOBS_SERVER_*.
"""

import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI
from sqlalchemy.exc import ProgrammingError

from fleetjobs.api.app import make_app
from fleetjobs.api.watch import Watch
from fleetjobs.clocks import now
from fleetjobs.control.acceptance import Acceptance
from fleetjobs.control.jobs import Control
from fleetjobs.control.limits import Limits
from fleetjobs.control.rights import Register
from fleetjobs.control.sowing import Sowing
from fleetjobs.errors import DatabaseAway, Fault
from fleetjobs.programs.arguments import Parser
from fleetjobs.programs.logs import set_up_logs
from fleetjobs.programs.settings import ServerSettings, load_settings
from fleetjobs.signing import SERVER, SigningKey
from fleetjobs.store.database import Database

logger = logging.getLogger(__name__)

GRACE_S = 4  #: what still runs that long after the signal to end is cut off


class Server(uvicorn.Server):
    """Uvicorn, which lets streams go at the signal: it would wait for them before it told them."""

    def __init__(self, config: uvicorn.Config, watch: Watch) -> None:
        """Serve; end the watch when it is time."""
        super().__init__(config)
        self._watch = watch

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002  uvicorn's
        """A signal to end came. Uvicorn's own would raise it again after all is done."""
        self._watch.end()
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def make_server(app: FastAPI, settings: ServerSettings) -> Server:
    """The app on its address; `run` serves until a signal."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=GRACE_S,
    )
    return Server(config, app.state.desk.watch)


def obey(settings: ServerSettings, database: Database) -> None:
    """Switch builtin schedules off, and on again, as the settings say. Raises InvalidSetting."""
    try:
        Sowing(database, now()).bar(settings.disabled_schedules)
    except (DatabaseAway, ProgrammingError) as wrong:  # it is away, or was not set up yet
        logger.warning("builtin schedules stay as they are: %s", wrong)


def serve(settings: ServerSettings) -> None:
    """Serve until SIGTERM or SIGINT. Raises InvalidSetting."""
    key = SigningKey.load(SERVER, settings.key)
    database = Database.open(settings.database)
    try:
        limits = Limits(runs_per_node=settings.runs_per_node, jobs_per_org=settings.jobs_per_org)
        control = Control(database, now, limits, Acceptance(Register()))
        obey(settings, database)
        app = make_app(database, control=control, clock=now, key=key)
        make_server(app, settings).run()
    finally:
        database.close()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the server; its exit status."""
    parser = Parser(prog="fj server", description="Serve the HTTP interface.")
    parser.add_argument("--config", type=Path, help="settings, TOML")
    options = parser.parse_args(arguments)
    try:
        settings = load_settings(ServerSettings, options.config, os.environ)
        set_up_logs(settings.log_level)
        serve(settings)
    except Fault as fault:
        sys.stderr.write(f"fj server: {fault}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
