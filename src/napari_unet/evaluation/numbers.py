"""What a user types to say which class is which: ``2=1, 3=2``."""

from __future__ import annotations

import re

from napari_unet.errors import ConfigError


def parse_numbers(text: str) -> dict[int, int]:
    """Read ``2=1, 3=2``.

    Raises
    ------
    ConfigError
        If it is not of that form or a number comes twice.
    """
    numbers: dict[int, int] = {}
    for word in re.sub(r"\s*=\s*", "=", text).replace(",", " ").split():
        match = re.fullmatch(r"(\d+)=(\d+)", word)
        if match is None or int(match[1]) in numbers:
            raise ConfigError(
                f"Renumber cannot be read at {word!r}: write the number in the "
                "prediction, =, and that in the reference, such as 2=1, 3=2."
            )
        numbers[int(match[1])] = int(match[2])
    return numbers
