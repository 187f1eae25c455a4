"""Export a checkpoint, run it on a clip, and use the numbers: python examples/classify_clip.py CKPT VIDEO DIR."""

import sys
from pathlib import Path

import hybridnet


def main(checkpoint: str, video: str, folder: str) -> None:
    """Print the best class, the share of energy of the spiking half, and its busiest layer."""
    bundle = hybridnet.export(checkpoint, Path(folder) / "bundle", hybridnet.ExportOptions(calibrate=video))
    result = hybridnet.simulate(video, bundle, hybridnet.SimulateOptions(snn="emulator", ann="onnxruntime"))

    if result.record.prediction is not None:  # a model without labels predicts nothing; see result.run.outputs
        best = result.record.prediction.top_k[0]
        print(f"{best.label} ({best.score:.1%}), the mean over {len(result.run.logits)} views")

    for partition in result.record.partitions:
        if partition.energy_pj is not None and partition.share is not None:
            print(
                f"{partition.name:8} {partition.energy_pj.reference / 1e6:10.2f} µJ (modelled)  {partition.share:6.1%}"
            )

    rates = {row.name: row.spike_rate for row in result.record.layers if row.spike_rate is not None}
    busiest = max(rates, key=lambda name: rates[name])
    print(f"busiest spiking layer: {busiest}, {rates[busiest]:.2%} of neuron-steps spike")

    # The arrays behind the record: membrane potentials u[T] as they crossed the bridge, in model units.
    for name, potential in result.run.crossing.values.items():
        print(f"{name}: {potential.shape}, {potential.min():.2f} to {potential.max():.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
