"""Live training: a network learns while a person paints.

Imports neither napari nor Qt; what the viewer needs of it imports no torch either.
"""
