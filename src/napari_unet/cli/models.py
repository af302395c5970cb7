"""``napari-unet models``."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from napari_unet.cli.common import UsageError, find_model, given, note, say, table
from napari_unet.models.library import FOLDER_VARIABLE, model_folder, model_name
from napari_unet.models.library_changes import (
    delete_model,
    duplicate_model,
    export_anew,
    export_model,
    import_model,
    rename_model,
)
from napari_unet.models.library_entries import (
    LibraryEntry,
    entries,
    find,
    read_note,
    size_text,
    sort_entries,
    write_note,
)
from napari_unet.models.library_settings import choose_folder


def run(options: argparse.Namespace) -> int:
    """Do what was asked with the library."""
    actions = {
        "list": _list,
        "show": _show,
        "import": _import,
        "export": _export,
        "rename": _rename,
        "duplicate": _duplicate,
        "delete": _delete,
        "note": _note,
        "folder": _folder,
    }
    actions[options.action](options)
    return 0


def _list(options: argparse.Namespace) -> None:
    found = sort_entries(find(entries(), options.find), options.sort)
    if options.json:
        say(json.dumps([_plain(e) for e in found], indent=1))
        return
    if not found:
        what = f"with {options.find!r} " if options.find else ""
        note(f"There is no model {what}in {model_folder()}.")
        return
    rows = [["name", "task", "images", "score", "size", "date"]]
    say(table(rows + [_row(e) for e in found]))
    for entry in found:
        if entry.problem:
            note(f"{entry.name}: {entry.problem}")


def _row(entry: LibraryEntry) -> list[str]:
    info = entry.info
    score = "" if entry.score is None else f"{entry.score:.3f}"
    what = "" if info is None else f"{info.ndim}D, {info.n_channels} ch"
    task = "cannot be read" if info is None else info.task
    date = f"{entry.created:%Y-%m-%d}"
    return [entry.name, task, what, score, size_text(entry.size), date]


def _plain(entry: LibraryEntry) -> dict[str, object]:
    return {
        "name": entry.name,
        "path": str(entry.path),
        "size": entry.size,
        "note": entry.note,
        "problem": entry.problem,
        "info": None if entry.info is None else entry.info.model_dump(mode="json"),
    }


def _show(options: argparse.Namespace) -> None:
    from napari_unet.cli import info

    info.run(options)
    text = "" if options.json else read_note(find_model(options.model))
    if text:
        say(f"{'note':<12}  {text}")


def _import(options: argparse.Namespace) -> None:
    for source in options.files:
        path, new = import_model(source.expanduser())
        state = "imported" if new else "there already"
        say(f"{model_name(path)}: {state}")


def _export(options: argparse.Namespace) -> None:
    target, source = options.target.expanduser(), find_model(options.model)
    card = given(license=options.license, authors=options.author)
    if options.onnx or card:
        path = export_anew(
            source, target, card, onnx=options.onnx, overwrite=options.overwrite
        )
    else:
        path = export_model(source, target, overwrite=options.overwrite)
    say(f"Model: {path}")


def _rename(options: argparse.Namespace) -> None:
    path = _own(options.model)
    say(f"{model_name(path)} is now {model_name(rename_model(path, options.name))}")


def _duplicate(options: argparse.Namespace) -> None:
    say(f"Copy: {model_name(duplicate_model(_own(options.model), options.name))}")


def _delete(options: argparse.Namespace) -> None:
    paths = [_own(name) for name in options.model]
    for path in paths:
        delete_model(path)
        say(f"{model_name(path)} is in the trash")


def _note(options: argparse.Namespace) -> None:
    path = _own(options.model)
    if options.text is None:
        say(read_note(path))
    else:
        write_note(path, options.text)


def _folder(options: argparse.Namespace) -> None:
    if options.usual and options.folder is not None:
        raise UsageError("Give either a folder or --usual.")
    if options.usual or options.folder is not None:
        choose_folder(None if options.usual else options.folder)
    say(str(model_folder()))
    if os.environ.get(FOLDER_VARIABLE):
        note(f"The environment variable {FOLDER_VARIABLE} says so.")


def _own(name: str) -> Path:
    """A model of the library, or a model file."""
    path = find_model(name)
    if not path.is_file():
        raise UsageError(
            f"There is no model {name!r} in {model_folder()}: `napari-unet models "
            "list` names those that are there."
        )
    return path
