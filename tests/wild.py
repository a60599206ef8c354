"""Wild agents: interfaces and programs as they are written for Choria and MCollective."""

import json
import os
from pathlib import Path
from typing import Any

OLD_S = 60.0  #: how long ago the files were written; younger ones are not looked at

MESSAGE: dict[str, Any] = {
    "prompt": "Message",
    "description": "what to say",
    "type": "string",
    "optional": True,
    "validation": "^[a-z ]*$",
    "maxlength": 40,
    "default": "hello",
}
RESULT: dict[str, Any] = {"description": "what was said", "display_as": "Result", "default": ""}


def ddl(name: str, **metadata: Any) -> dict[str, Any]:
    """An interface with an action `say`, as Choria's tools write it."""
    return {
        "$schema": "https://choria.io/schemas/mcorpc/ddl/v1/agent.json",
        "metadata": {
            "name": name,
            "description": "Says something",
            "author": "Somebody <somebody@example.net>",
            "license": "Apache-2.0",
            "version": "1.2.3",
            "url": "https://example.net/",
            "timeout": 20,
            "provider": "external",
            **metadata,
        },
        "actions": [
            {
                "action": "say",
                "description": "Says it",
                "input": {"msg": dict(MESSAGE)},
                "output": {
                    "result": dict(RESULT),
                    "tone": {"description": "how", "display_as": "Tone", "default": "calm"},
                    "note": {"description": "more", "display_as": "Note", "default": None},
                },
                "display": "always",
                "aggregate": [{"function": "summary", "args": ["result"]}],
            }
        ],
    }


RUBY = """\
metadata :name        => "{name}",
         :description => "Says something",
         :author      => "Somebody",
         :license     => "Apache-2.0",
         :version     => "1.2.3",
         :url         => "https://example.net/",
         :timeout     => 20

requires :mcollective => "2.2.1"

action "say", :description => "Says it" do
    display :always

    input :msg,
          :prompt      => "Message",
          :description => "what to say",
          :type        => :string,
          :validation  => '^[a-z ]*$',
          :optional    => true,
          :default     => "hello",
          :maxlength   => 40

    output :msg,
           :description => "what was said",
           :display_as  => "Message"

    output :tone,
           :description => "how",
           :display_as  => "Tone",
           :default     => "calm"

    summarize do
        aggregate summary(:msg)
    end
end
"""
AGENT = """\
module MCollective
  module Agent
    class {title}<RPC::Agent
      action "say" do
        implemented_by "{script}"
      end
    end
  end
end
"""


def put(path: Path, text: str, *, mode: int = 0o644, age_s: float = OLD_S) -> Path:
    """A file that was written so long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    at = path.stat().st_mtime - age_s
    os.utime(path, (at, at))
    return path


def put_external(
    place: Path, name: str, program: str, document: dict[str, Any] | None = None
) -> None:
    """An external agent, flat: its interface beside its program."""
    put(place / f"{name}.json", json.dumps(document or ddl(name)))
    put(place / name, program, mode=0o755)


def put_script(libdir: Path, name: str, program: str, *, script: str = "say.sh") -> Path:
    """An MCollective agent in Ruby, with one action that is a script; where the script lies."""
    place = libdir / "mcollective" / "agent"
    put(place / f"{name}.ddl", RUBY.format(name=name))
    put(place / f"{name}.rb", AGENT.format(title=name.title(), script=script))
    return put(place / name / script, program, mode=0o755)
