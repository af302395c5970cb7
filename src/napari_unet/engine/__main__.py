"""``python -P -m napari_unet.engine``: the engine process, started by the viewer.

Nothing but the standard library is imported before the pipes are safe.
"""

import os
import signal
import sys


def take_pipes() -> tuple[int, int]:
    """Private descriptors for messages in and out; 0 and 1 become harmless.

    What a library prints, in whatever language, goes to the log. On Windows a pending
    read of descriptor 0 would also block whatever library is loaded meanwhile.
    """
    incoming, outgoing = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(incoming, os.O_BINARY)
        msvcrt.setmode(outgoing, os.O_BINARY)
    return incoming, outgoing


if __name__ == "__main__":
    # Ctrl-C in a terminal reaches this process, too; the viewer decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    incoming, outgoing = take_pipes()

    from napari_unet.engine.worker import main

    main(incoming, outgoing)
