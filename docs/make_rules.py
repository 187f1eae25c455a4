"""Write docs/placement-rules.md from the rules themselves."""

from pathlib import Path

from hybridnet.partition.rules import rule_table

HEADING = """# Placement rules

What a model must be so that its spiking stacks can leave for the chip. A model that breaks one is refused with the
rule's id, the node, and the remedy. This table is made from the code (`make docs`); a test compares them.

"""

Path(__file__).with_name("placement-rules.md").write_text(HEADING + rule_table(), encoding="utf-8")
