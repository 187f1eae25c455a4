"""The counts of `base` on one clip beside those that arXiv 2503.13724 prints: python benchmarks/paper_budget.py CLIP.

The model is not trained: its MACs are those of the trained one, its spikes are not. It runs in float, as the
paper's prices do. Takes a minute.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import torch

from hybridnet.configs import load_experiment
from hybridnet.model.checkpoint import Checkpoint, save_checkpoint
from hybridnet.model.network import HybridNet
from hybridnet.report.numbers import count, joules
from hybridnet.workflows.export import export
from hybridnet.workflows.options import ExportOptions, SimulateOptions
from hybridnet.workflows.simulate import simulate

PAPER_SPIKING_OPERATIONS, PAPER_ENERGY_J, PAPER_TERA_MAC = 3.99e9, 0.734, 0.15


def main() -> None:
    """Export, run 8 views, print both."""
    clip = Path(sys.argv[1])
    config = load_experiment("base").model
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = Path(folder) / "base.pt"
        labels = tuple(f"class {n}" for n in range(config.num_classes))
        save_checkpoint(checkpoint, Checkpoint(HybridNet(config).eval(), labels, {}))
        bundle = export(checkpoint, Path(folder) / "bundle", options=ExportOptions(calibrate=clip))
        record = simulate(clip, bundle, SimulateOptions(snn="torch", parity=False)).record
    snn, ann = (record.partition(name) for name in ("snn", "ann"))
    if snn.ops is None or ann.ops is None or snn.energy_pj is None or ann.energy_pj is None:
        raise RuntimeError("nothing was counted")
    spiking = snn.ops.macs + snn.ops.acs
    print(f"views            {record.views}")
    print(f"ANN half         {ann.ops.macs / 1e12:.4f} tera MAC      the paper prints {PAPER_TERA_MAC}")
    print(f"spiking half     {count(snn.ops.macs)} MAC + {count(snn.ops.acs)} AC = {count(spiking)} events"
          f"      the paper prints {count(round(PAPER_SPIKING_OPERATIONS))}")  # fmt: skip
    papers = ann.ops.macs * 4.6 + spiking * 0.9
    print(f"by the paper's method (4.6 pJ, 0.9 pJ)      {joules(papers)}      the paper prints {PAPER_ENERGY_J} J")
    print(f"by horowitz45, all its terms      {joules(record.totals.energy_pj.reference)}")
    for row in record.partitions:
        if row.energy_pj is not None:
            print(f"  {row.name:8} {joules(row.energy_pj.reference)}")
    for layer in record.layers:
        if layer.partition == "snn" and layer.spike_rate is not None:
            print(
                f"  {layer.name:8} rate {layer.spike_rate:.2%}, {count(layer.ops.macs)} MAC, {count(layer.ops.acs)} AC"
            )


if __name__ == "__main__":
    main()
