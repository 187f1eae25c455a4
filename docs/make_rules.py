"""Write docs/placement-rules.md from the rules themselves."""

from pathlib import Path

from hybridnet.partition.arithmetic.bounds import bound_table
from hybridnet.partition.rules import rule_table

HEADING = """# Placement rules

What keeps spiking layers off the chip. These tables are made from the code (`make docs`); a test compares them.

## Models that are read by what they compute

A layer that breaks one stays with the host, and the export tells the rule, what was found, and the remedy.

"""

MODULES = """
## The reader by modules

A model that keeps all of these is cut along its modules, to the last bit; one that breaks any is read by what
it computes.

"""

PAGE = HEADING + bound_table() + MODULES + rule_table()

Path(__file__).with_name("placement-rules.md").write_text(PAGE, encoding="utf-8")
