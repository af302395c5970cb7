"""Objects of all blocks of a prediction, put together."""

from __future__ import annotations

from collections.abc import Sequence

from napari_unet.segmentation.stitching import (
    FinalLabels,
    Found,
    Matches,
    match,
    stitch,
)
from napari_unet.stopping import Stop, Stopped, never
from napari_unet.workflows.block_job import BlockJob


def match_blocks(job: BlockJob, axis: int, first: int, second: int) -> Matches:
    """Compare two neighbours."""
    one, other = job.grid[first], job.grid[second]
    found = match(job.sink.view(one, axis, 1), job.sink.view(other, axis, 0))
    return found.linked(job.sink.found(one), job.sink.found(other), axis)


def stitch_blocks(job: BlockJob, stop: Stop = never) -> int:
    """Put the objects of all blocks together, sample by sample.

    Returns
    -------
    int
        The largest number of objects in a sample.

    Raises
    ------
    Stopped
        If `stop` said so; going on later does the rest.
    """
    most = 0
    for position in range(len(job.grid.samples)):
        numbers = range(
            position * job.grid.per_sample, (position + 1) * job.grid.per_sample
        )
        matches = {}
        for axis, a, b in job.grid.pairs(numbers):
            if stop():
                raise Stopped
            # After a stop, blocks in memory may be missing.
            if job.sink.is_done(job.grid[a]) and job.sink.is_done(job.grid[b]):
                found = match_blocks(job, axis, a, b)
                matches[a - numbers.start, b - numbers.start] = found
        tables, count = final_tables(job, numbers, matches)
        most = max(most, count)
        for number, table in zip(numbers, tables, strict=True):
            if stop():
                raise Stopped
            job.sink.relabel(job.grid[number], table)
    return most


def final_tables(
    job: BlockJob, numbers: Sequence[int], matches: dict[tuple[int, int], Matches]
) -> tuple[list[FinalLabels], int]:
    """Final labels of the blocks of one sample, and how many objects it has."""
    blocks: list[Found] = [job.sink.found(job.grid[n]) for n in numbers]
    stitched = stitch(blocks, matches, job.settings)
    return stitched.tables, stitched.count
