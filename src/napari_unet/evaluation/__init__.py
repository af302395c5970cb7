"""How well predictions agree with the truth, where they do not, and a report of it.

Nothing here needs torch or a viewer: :mod:`.run` compares, :mod:`.tables` and
:mod:`.report` write down.
"""
