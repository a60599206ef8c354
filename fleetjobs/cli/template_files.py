"""`fj template apply`, `export` and `import`: templates as files, such as in git."""

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from fleetjobs.cli.commands import command
from fleetjobs.cli.complete import template_labels
from fleetjobs.cli.documents import in_json
from fleetjobs.cli.exits import EPILOG, Exit
from fleetjobs.cli.options import json_option
from fleetjobs.cli.screen import Screen, line, read_text, stdout
from fleetjobs.cli.session import fleet
from fleetjobs.cli.templates import FILE, FLEET, all_templates, show_diff
from fleetjobs.client.replies import Document
from fleetjobs.client.templates import apply_files
from fleetjobs.templates.documents import Duplicates, File, Ids, Level

SUFFIXES = (".yaml", ".yml", ".json")

_DRY = click.option("--dry-run", is_flag=True, help="Only show what would change.")
_DUPLICATES = click.option(
    "--duplicates",
    type=click.Choice([each.value for each in Duplicates]),
    default=Duplicates.UPDATE.value,
    help="What is there already gets a new version (update), stays (skip), or the other one gets "
    "a label of its own (create).",
)

APPLY = """\
Take all templates of a directory: what is new is made, what reads otherwise gets a new version.

All files are taken, or none. Again, it changes nothing. Templates that have no file stay.

[bold]Examples[/]

\b
  fj template apply templates/ --dry-run
  git pull && fj template apply templates/
"""


@command("apply", help=APPLY, epilog=EPILOG)
@click.argument("places", metavar="DIRECTORY|FILE...", nargs=-1, required=True)
@_DUPLICATES
@FLEET
@_DRY
@json_option
def apply_(places: tuple[str, ...], *, as_json: bool, **given: Any) -> int:
    """Take all templates of a directory."""
    files = [file for place in places for file in _read(Path(place))]
    if not files:
        raise click.ClickException(
            f"{places[0]}: there is no template in it, which is a file {' or '.join(SUFFIXES)}"
        )
    return _apply(files, given, Ids.STRIP, as_json=as_json)


def _read(place: Path) -> list[File]:
    """The files of a directory and below, in order; names as they lie in there."""
    if not place.is_dir():
        return [File(name=str(place), text=read_text(str(place)))]
    found = sorted(path for path in place.rglob("*") if path.suffix in SUFFIXES and path.is_file())
    hidden = [
        path for path in found if any(part[0] == "." for part in path.relative_to(place).parts)
    ]
    return [
        File(name=str(path.relative_to(place)), text=read_text(str(path)))
        for path in found
        if path not in hidden
    ]


@command("import", epilog=EPILOG)
@FILE
@_DUPLICATES
@click.option(
    "--ids",
    type=click.Choice([each.value for each in Ids]),
    default=Ids.STRIP.value,
    help="Whether they keep the ids that they were exported with (keep); no by default.",
)
@FLEET
@_DRY
@json_option
def import_(file: str, *, ids: str, as_json: bool, **given: Any) -> int:
    """Take the templates that `fj template export` has written as one document."""
    try:
        document = json.loads(read_text(file))
        files = [
            File(name=item["label"], label=item["label"], text=item["text"], id=item["id"])
            for item in document["templates"]
        ]
    except (ValueError, KeyError, TypeError):
        raise click.ClickException(
            f"{file}: not what `fj template export` writes; a directory is taken by"
            " `fj template apply`"
        ) from None
    return _apply(files, given, Ids(ids), as_json=as_json)


def _apply(files: list[File], given: dict[str, Any], ids: Ids, *, as_json: bool) -> int:
    found = apply_files(
        fleet(),
        files,
        level=Level.FLEET if given["is_fleet"] else Level.ORG,
        duplicates=Duplicates(given["duplicates"]),
        ids=ids,
        dry_run=given["dry_run"],
    )
    screen = stdout()
    if as_json:
        screen.write(in_json(found))
        return Exit.OK
    for item in found["items"]:
        _tell(screen, item)
    changed = sum(item["change"] in {"created", "updated"} for item in found["items"])
    would = "would change; nothing was" if found["dry_run"] else "changed"
    screen.write(f"{changed} of {len(found['items'])} templates {would}.")
    return Exit.OK


def _tell(screen: Screen, item: Document) -> None:
    screen.write(f"{item['change']:<9}  {line(item['label'])}  ({line(item['name'])})")
    show_diff(item["diff"].splitlines())


@command(epilog=EPILOG)
@click.argument("labels", nargs=-1, metavar="[LABEL]...", shell_complete=template_labels)
@click.option(
    "--to",
    "directory",
    metavar="DIRECTORY",
    type=click.Path(file_okay=False, path_type=Path),
    help="One file for each, as `fj template apply` takes them; else one document is printed.",
)
def export(labels: tuple[str, ...], *, directory: Path | None) -> int:
    """Write templates to files, or as one document; all of them, or those that are named.

    [bold]Examples[/]

    fj template export --to templates/
    """
    asked = fleet()
    if labels:
        found = [asked.transport.get("templates", label) for label in labels]
    else:
        found = [one for one in all_templates(asked) if not one["builtin"]]
    if directory is None:
        kept = ("id", "label", "level", "version", "text")
        items = [{name: one[name] for name in kept} for one in found]
        stdout().write(in_json({"templates": items}))
        return Exit.OK
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for one in found:
            text = _named(one)
            (directory / f"{one['label']}.yaml").write_text(text, "utf-8")
    except OSError as error:
        raise click.ClickException(f"{directory}: {error.strerror}") from None
    stdout().write(f"{len(found)} templates were written to {line(str(directory))}.")
    return Exit.OK


def _named(one: Document) -> str:
    """Its text, which says what it is called if its file's name does not."""
    from fleetjobs.templates.reading import read_template

    text = str(one["text"])
    if read_template(text, f"{one['label']}.yaml").label == one["label"]:
        return text
    document = msgspec.yaml.decode(text) | {"name": one["label"]}
    return msgspec.yaml.encode(document).decode()
