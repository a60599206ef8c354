"""Wild programs: agents on the public Python library, and in Ruby and shell on the plain protocol.

Written here, as their users write them; none of them knows fleetjobs.
"""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

from fleetjobs.layouts import goarch, goos
from tests.conftest import refuse_or_skip
from tests.wild import ddl, put, put_external, put_script

CHATTER = f"""#!{sys.executable}
import os

from choria_external.dispatcher import dispatch
from mco_agent import Agent, action, register_actions


@register_actions
class Chatter(Agent):
    @staticmethod
    def should_activate():
        return not os.path.exists(os.path.join(os.path.dirname(__file__), "chatter.off"))

    @action
    def say(self):
        if self.request.data["msg"] == "fail":
            raise RuntimeError("as told")
        self.logger.warning("saying it to %s", self.request.callerid)
        self.reply.data["result"] = self.config.get("prefix", "") + self.request.data["msg"]
        self.reply.data["asked_by"] = self.request.callerid
        print("said it")


if __name__ == "__main__":
    dispatch(Chatter)
"""
RUBY = """#!/usr/bin/env ruby
require "json"

request = JSON.parse(File.read(ENV["CHORIA_EXTERNAL_REQUEST"]))
reply =
  if ENV["CHORIA_EXTERNAL_PROTOCOL"] == "io.choria.mcorpc.external.v1.activation_request"
    { "activate" => true }
  else
    facts = JSON.parse(File.read(ENV["CHORIA_EXTERNAL_FACTS"]))
    puts "answering #{request["requestid"]}"
    warn "to #{request["callerid"]}"
    { "statuscode" => 0, "statusmsg" => "OK",
      "data" => { "result" => request["data"]["msg"].reverse, "role" => facts["role"] } }
  end
File.write(ENV["CHORIA_EXTERNAL_REPLY"], JSON.generate(reply))
"""
SHELL = """#!/bin/sh
case $CHORIA_EXTERNAL_PROTOCOL in
*activation_request) echo '{"activate": true}' >"$2" ;;
*rpc_request)
    message=$(sed -n 's/.*"msg": *"\\([^"]*\\)".*/\\1/p' "$1")
    echo "asked to say $message"
    printf '{"statuscode": 0, "statusmsg": "OK", "data": {"result": "%s!"}}' "$message" >"$2"
    ;;
esac
"""
SCRIPT = """#!/bin/sh
message=$(sed -n 's/.*"msg": *"\\([^"]*\\)".*/\\1/p' "$1")
echo "asked to say $message"
if [ "$message" = fail ]; then
    echo "as told" >&2
    exit 17
fi
printf '{"msg": "%s?"}' "$message" >"$MCOLLECTIVE_REPLY_FILE"
"""


def put_chatter(place: Path, **metadata: Any) -> None:
    """The Python agent, flat."""
    put_external(place, "chatter", CHATTER, ddl("chatter", **metadata))


def put_all(place: Path) -> None:
    """All of them in a directory of agents, each in another layout."""
    put_chatter(place)
    if shutil.which("ruby") is None:
        refuse_or_skip("ruby is not installed")
    put_external(place / "rubychat", "rubychat", RUBY, ddl("rubychat"))
    put(place / "shellchat.json", json.dumps(ddl("shellchat")))
    put(place / "shellchat" / f"shellchat-{goos()}_{goarch()}", SHELL, mode=0o755)


def put_lab(libdir: Path) -> None:
    """The MCollective agent whose action is a script."""
    put_script(libdir, "lab", SCRIPT)
