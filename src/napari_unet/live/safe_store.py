"""A zarr store whose files are complete or not there; slow to import."""

from __future__ import annotations

from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from napari_unet.files import atomic_file


class SafeStore(LocalStore):  # type: ignore[misc]
    """Files that appear under their name only when they are on the disk."""

    async def set(self, key: str, value: Buffer) -> None:
        with atomic_file(self.root / key) as file:
            file.write(value.to_bytes())
