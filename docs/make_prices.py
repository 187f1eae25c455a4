"""Write docs/prices.md from the energy profiles that ship: `make docs`."""

from pathlib import Path

from hybridnet.report.render.prices_page import prices_page

if __name__ == "__main__":
    Path(__file__).with_name("prices.md").write_text(prices_page(), encoding="utf-8")
