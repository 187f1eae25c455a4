"""What is kept of a tensor tells its range and percentiles, and adds up."""

import numpy as np
import pytest
import torch

from hybridnet.calibration.statistics import BINS, edges, statistics_of
from hybridnet.errors import RangeError
from hybridnet.support.statistics import spike_agreement, sqnr_db


def test_range_and_percentiles_are_those_of_the_values() -> None:
    x = torch.from_numpy(np.random.default_rng(0).normal(0.3, 2, 50_000).astype(np.float32))
    x[:1000] = 0
    s = statistics_of(x, "x")
    assert (s.count, s.zeros) == (50_000, 1000)
    assert (s.minimum, s.maximum) == (float(x.min()), float(x.max()))
    magnitudes = np.abs(x.numpy()[x.numpy() != 0])
    for share in (0.01, 0.5, 0.9, 0.999):
        assert s.percentile(share) == pytest.approx(np.quantile(magnitudes, share), rel=0.04)
    assert s.percentile(1.0) == s.largest


def test_bins_are_what_their_edges_say() -> None:
    values = edges()[[0, 8, 9, 200, BINS - 1]]
    counts = statistics_of(torch.from_numpy(np.concatenate([values, -values, [2.0**40, 2.0**-40]])), "x").histogram
    assert [i for i, count in enumerate(counts) if count] == [0, 8, 9, 200, BINS - 1]
    assert sum(counts) == 12


def test_statistics_of_parts_add_up() -> None:
    x = torch.from_numpy(np.random.default_rng(1).normal(size=999).astype(np.float32))
    whole, parts = statistics_of(x, "x"), statistics_of(x[:400], "x") + statistics_of(x[400:], "x")
    assert parts.histogram == whole.histogram
    assert (parts.minimum, parts.maximum, parts.count) == (whole.minimum, whole.maximum, whole.count)


def test_zeros_alone_have_no_percentiles_but_zero() -> None:
    s = statistics_of(torch.zeros(7), "x")
    assert (s.zeros, s.percentile(0.5), s.largest) == (7, 0.0, 0.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(RangeError, match="mv input: holds values that are not finite"):
        statistics_of(torch.tensor([0.0, value]), "mv input")


def test_sqnr_and_agreement() -> None:
    reference = np.array([3.0, -4.0])
    assert sqnr_db(reference, reference) is None
    assert sqnr_db(reference + 0.5, reference) == pytest.approx(10 * np.log10(25 / 0.5))
    assert spike_agreement(np.array([True, False]), np.array([True, True])) == 0.5
