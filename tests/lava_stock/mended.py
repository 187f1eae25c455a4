"""A plugin of pytest: mend Lava before its own tests import it."""

from hybridnet.simulators.lava.compat import import_lava

import_lava()
