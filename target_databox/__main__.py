"""`target-databox`: starts the command, and looks for no garbage while nothing but code is read.

That would cost a tenth of the start; what is alive then stays so, and is never looked at again.
"""

from __future__ import annotations

import gc
import os
import signal

from target_databox.outputs import standard_error


def main() -> None:
    """Run `target-databox`."""
    for number in (signal.SIGTERM, signal.SIGINT):
        # Until the target takes signals itself nothing is read or written.
        signal.signal(number, lambda number, _frame: os._exit(128 + number))
    standard_error.install()
    gc.disable()
    from target_databox import command

    gc.freeze()
    gc.enable()
    command.main()


if __name__ == "__main__":
    main()
