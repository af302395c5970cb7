"""What options choose from, and what the choices mean.

Spelled out, so that ``--help`` need not load the modules that know; a test compares
them.
"""

from __future__ import annotations

TASKS = ("classes", "objects", "regression")
COMPARED_TASKS = ("classes", "objects")
RULES = ("complete", "sparse")
PRESETS = ("fast", "balanced", "thorough")
DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
LOSSES = (
    "auto",
    "cross-entropy+dice",
    "cross-entropy",
    "focal",
    "weighted-cross-entropy",
    "tversky",
    "boundary",
    "mse",
    "huber",
)
AUGMENTATIONS = ("none", "gentle", "standard", "strong")
SORT_KEYS = ("date", "name", "score", "size", "task")
MEANINGS = ("objects", "classes")

RULE_HELP = """what the values in the labels mean
  complete  0 is background, 1, 2, … are classes or objects
  sparse    0 is not annotated, 1 is background,
            2, 3, … are classes, or one number per complete object"""

TASK_HELP = """what to learn
  classes   the kind of every pixel (semantic segmentation)
  objects   one object after another, also where they touch
            (instance segmentation)"""

TRAIN_TASK_HELP = f"""{TASK_HELP}
  regression  a value for every pixel, such as a distance or a density;
            --labels then holds images, NaN where nothing is known"""
