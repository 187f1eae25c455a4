"""Write the table of sizes in docs/model.md from the shipped configs."""

import re
from pathlib import Path

from hybridnet.model.size import size_table

PAGE = Path(__file__).with_name("model.md")
BETWEEN = re.compile(r"(?<=<!-- sizes -->\n).*?(?=<!-- end of sizes -->)", re.DOTALL)

PAGE.write_text(BETWEEN.sub(size_table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8")
