"""The options of each command: what ``--help`` says, and nothing that is heavy.

The module that does the work has the same name in `napari_unet.cli`, and is only
imported when its command was asked for.
"""
