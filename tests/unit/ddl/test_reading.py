"""Reading MCollective's interfaces in Ruby, as data."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleetjobs.ddl.reading import read_ddl, read_scripts
from fleetjobs.errors import InvalidInterface
from fleetjobs.interfaces import read_interface
from tests.wild import AGENT, RUBY

GOOD = RUBY.format(name="lab")


def action(lines: str) -> str:
    """A file with one action, of these lines."""
    return (
        f'metadata :name => "lab", :version => "1", :timeout => 5\naction "do" do\n{lines}\nend\n'
    )


def field(words: str) -> object:
    """The default of an input that is declared with these words."""
    read = read_ddl(action(f"input :it, :type => :string, :default => {words}"), "lab.ddl")
    return read["actions"][0]["input"]["it"]["default"]


@pytest.mark.spec("EA-14")
def test_a_ruby_interface_says_what_its_json_twin_would() -> None:
    read = read_ddl(GOOD, "lab.ddl")

    assert read["metadata"] == {
        "name": "lab",
        "description": "Says something",
        "author": "Somebody",
        "license": "Apache-2.0",
        "version": "1.2.3",
        "url": "https://example.net/",
        "timeout": 20,
        "provider": "implemented_by",
    }
    assert read["actions"] == [
        {
            "action": "say",
            "description": "Says it",
            "display": "always",
            "input": {
                "msg": {
                    "prompt": "Message",
                    "description": "what to say",
                    "type": "string",
                    "validation": "^[a-z ]*$",
                    "optional": True,
                    "default": "hello",
                    "maxlength": 40,
                }
            },
            "output": {
                "msg": {"description": "what was said", "display_as": "Message"},
                "tone": {"description": "how", "display_as": "Tone", "default": "calm"},
            },
            "aggregate": [{"function": "summary", "args": ["msg"]}],
        }
    ]
    assert read_interface(read).action("say").inputs["msg"].default == "hello"


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ('"a \\"b\\"\\n#"', 'a "b"\n#'),
        ("'a \\'b\\' \\n'", "a 'b' \\n"),
        (":sym", "sym"),
        (':"two words"', "two words"),
        ("12", 12),
        ("-1_000", -1000),
        ("2.5", 2.5),
        ("true", True),
        ("nil", None),
        ("[]", []),
        ('["a", :b,\n  3,\n]', ["a", "b", 3]),
        ("{}", {}),
        ('{:a => 1, "b" => [2], c: nil}', {"a": 1, "b": [2], "c": None}),
        ("%w[one two]", ["one", "two"]),
        ("/^a\\/b$/", "^a/b$"),
    ],
)
def test_plain_values_are_read(words: str, value: object) -> None:
    assert field(words) == value


def test_comments_brackets_and_both_kinds_of_hashes_are_read() -> None:
    text = """
=begin
action "no" do end
=end
# a comment
metadata(name: "lab", version: "1", # here too
         :timeout => 5)
action("do", :description => "x") do
  input(:it, :type => :boolean, :optional => true)
  summarize do
    aggregate average(:a, :format => "%d of them")
    aggregate sum(:b)
  end
end
"""
    read = read_ddl(text, "lab.ddl")

    assert read["metadata"]["timeout"] == 5
    assert read["actions"][0]["input"] == {"it": {"type": "boolean", "optional": True}}
    assert read["actions"][0]["aggregate"] == [
        {"function": "average", "args": ["a", {"format": "%d of them"}]},
        {"function": "sum", "args": ["b"]},
    ]


def test_a_ruby_pattern_becomes_one_of_re2() -> None:
    read = read_ddl(action("input :it, :type => :string, :validation => '\\A\\h+\\Z'"), "lab.ddl")

    assert read["actions"][0]["input"]["it"]["validation"] == r"\A[0-9a-fA-F]+\n?\z"


@pytest.mark.spec("EA-14")
@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('["start"].each do |act|\nend', "line 1: '.each do"),
        ('metadata :name => "x"\nif true\nend', "line 2: 'if'"),
        (action("display :always if x"), "line 3: 'if'"),
        (action("input act, :type => :string"), "line 3: 'act'"),
        (action('input :x, :default => "#{`id`}"'), "line 3: .*Ruby would compute"),
        (action("input :x, :default => `id`"), "line 3: .* cannot be read"),
        (action("input :x, :default => Time.now"), "line 3: '.now'"),
        (action("input :x, :default => <<EOT\nEOT"), "line 3: '<<EOT' cannot be read"),
        (action('input :x, "y"'), "line 3: .*=>"),
        (action("input :x, :default => [1 2]"), "line 3: '2' where \\] was expected"),
        (action("implemented_by 'x'"), "line 3: 'implemented_by' where display, input"),
        ('action "x" do', "ends where the end of an action"),
        ("dataquery :description => 'x' do\nend", "line 1: 'dataquery'"),
        (action("input :x, :default => " + "[" * 40 + "]" * 40), "nested less deep"),
    ],
)
def test_what_ruby_would_have_to_compute_is_refused_by_its_line(text: str, complaint: str) -> None:
    with pytest.raises(InvalidInterface, match=complaint):
        read_ddl(text, "lab.ddl")


@given(st.data())
def test_reading_any_text_ends_in_a_document_or_a_refusal(data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(GOOD)))
    length = data.draw(st.integers(0, 20))
    text = GOOD[:at] + data.draw(st.text(max_size=20)) + GOOD[at + length :]

    with contextlib.suppress(InvalidInterface):
        read_ddl(text, "lab.ddl")


@pytest.mark.parametrize("sign", ["'", '"', "(", "[", "{", "#", "\\", ":", "a", " ", "=begin\n"])
def test_long_rows_of_a_sign_are_read_in_no_time(sign: str) -> None:
    """A reader that goes back over what it has seen would take hours."""
    with contextlib.suppress(InvalidInterface):
        read_ddl(sign * 100_000, "lab.ddl")


def test_the_scripts_of_an_agent_are_found_in_its_ruby_file() -> None:
    text = (
        AGENT.format(title="Lab", script="say.sh")
        + """
      # action "old" do implemented_by "old.sh" end
      action :two do
        # why
        implemented_by('/opt/two', :json)
      end
      action "ruby" do
        reply[:x] = 1
      end
      action "computed" do implemented_by "#{x}.sh" end
"""
    )

    assert read_scripts(text) == {"say": "say.sh", "two": "/opt/two"}
