"""The text of the shipped profiles of prices, for tests that change it."""

from pathlib import Path


def shipped_text(name: str) -> str:
    import hybridnet.report.pricing.profiles

    return (Path(hybridnet.report.pricing.profiles.__path__[0]) / f"{name}.yaml").read_text()
