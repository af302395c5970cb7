"""Errors whose message is one sentence for the person in front of the screen.

Whoever catches a :class:`UserError` (widget, command line, engine) shows its text as
it is; every other exception is a defect of ours and is reported as one.
"""

from __future__ import annotations


class UserError(Exception):
    """Something the user can mend; the message says what is wrong and what to do."""


class DataError(UserError):
    """An image that cannot be used as it is: axes, shape, dtype, missing file."""


class AnnotationError(UserError):
    """An annotation that nothing can be learnt from."""


class ConfigError(UserError):
    """A setting out of its range, or settings that contradict each other."""


class ModelFileError(UserError):
    """A model file that is damaged, foreign, or newer than this program."""


class TrainingDivergedError(UserError):
    """The loss became NaN or infinite; the last good weights were kept."""


class EngineError(UserError):
    """The engine process could not be started, crashed, or does not answer."""
