"""Admission: whether somebody who follows a stream may go on."""

from dataclasses import dataclass

import msgspec
from fastapi.sse import format_sse_event
from starlette.concurrency import run_in_threadpool

from fleetjobs.api.access import Acting
from fleetjobs.api.desk import Desk
from fleetjobs.errors import Unauthenticated

_WHY = "the token counts no longer, or the account is another than when the stream began"
#: the last message of a stream whose reader may not go on; who comes again is told why
REFUSED = format_sse_event(
    event="refused",
    data_str=msgspec.json.encode({"code": Unauthenticated.code, "detail": _WHY}).decode(),
)


@dataclass(frozen=True, slots=True)
class Admission:
    """Of one reader, as they were when they asked."""

    desk: Desk
    caller: Acting

    async def holds(self) -> bool:
        """Whether the token still counts, and for the same account in the same role.

        A query once in `tokens.KEEP`, whoever else has the same token. Raises DatabaseAway.
        """
        tokens, caller = self.desk.tokens, self.caller
        account = tokens.recall(caller.token)
        if account is None:
            try:
                account = await run_in_threadpool(tokens.account, caller.token)
            except Unauthenticated:
                return False
        return (account.name, account.org, account.role) == (caller.name, caller.home, caller.role)
