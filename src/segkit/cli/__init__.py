"""The commands.

They make a few hundred classes before they do anything: collecting garbage after each 700 new objects, as Python does,
would be a tenth of their start.
"""

import gc

gc.set_threshold(10_000)
