"""What is still missing before learning can begin, in words."""

from __future__ import annotations

from napari_unet.live.strokes import StrokeBook

THEN = "then learning begins."


def what_is_missing(book: StrokeBook) -> str:
    """Why an annotation teaches nothing yet, and what to paint.

    Parameters
    ----------
    book : StrokeBook
        Cannot teach: it has strokes of one class at most.
    """
    where = "" if book.limit is None else " inside the box"
    painted = [n for n, count in enumerate(book.voxels().tolist()) if count]
    if book.task == "objects":
        return _missing_of_objects(book, painted, where)
    if not painted:
        return f"Paint a few strokes of two classes or more{where}: {THEN}"
    only = book.classes[painted[0]].name
    return f"Only {only!r} is painted{where}: paint another class, too; {THEN}"


def _missing_of_objects(book: StrokeBook, painted: list[int], where: str) -> str:
    background = f"background with label {book.annotation.background_value}"
    if not painted:
        return (
            f"Paint some whole objects{where}, each with a label of its own, and some "
            f"{background}: {THEN}"
        )
    if painted == [0]:
        return (
            f"Only background is painted{where}: paint some whole objects, too, each "
            f"with a label of its own; {THEN}"
        )
    return (
        f"No background is painted{where}: paint some {background}, between and "
        f"around the objects; {THEN}"
    )
