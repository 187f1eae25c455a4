"""Measuring the parity chain: the model, its two halves, the exported ANN half, and the spiking half in integers.

model → cut model                     exact; ≤ 1e-4 where neurons are rewritten, or read by arithmetic
ANN half in torch → its back-ends      within their tolerance on every output
model's neurons → spiking program     ≤ 1e-10 in float64, spikes equal; of a model read by arithmetic, ties are counted
emulator → integer loop, and          equal bits, all layers and steps
  → every exact back-end
float → fixed point                   reported, per layer: fed by the float run (teacher-forced) and end to end
"""

from __future__ import annotations

import copy
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from hybridnet.calibration.fidelity import FidelityMeter
from hybridnet.calibration.views import Calibration
from hybridnet.deploy.bundle_parts import Parts
from hybridnet.errors import ModelError, PartitionError
from hybridnet.model.stm import SpikingStack, read
from hybridnet.partition.neurons import rest
from hybridnet.partition.split import Split
from hybridnet.partition.splitter import Partition
from hybridnet.program.outputs import LOGITS, named_outputs
from hybridnet.report.record.parity import Check, ParityReport, not_run, reported, within
from hybridnet.simulators.bridge import Bridge
from hybridnet.simulators.feed import Feed
from hybridnet.simulators.registry import ANN_ENTRIES, ANN_TOLERANCE, DEFAULT_ANN, ann_backend
from hybridnet.simulators.torch.graph_step import TorchGraph, trace_graph
from hybridnet.support.arrays import Array
from hybridnet.support.foreign import foreign_code
from hybridnet.support.progress import Progress, silent
from hybridnet.support.statistics import evenly, outputs_sqnr_db
from hybridnet.support.views import Views
from hybridnet.workflows.bits import check_bits

REWRITTEN_TOLERANCE = 1e-4
"""Largest difference allowed between a model with neurons of another library and its cut, on every output: their steps
are rewritten, and float32 rounds otherwise. A cut through neurons of ours is exact."""

FLOAT64_TOLERANCE = 1e-10
"""Largest difference allowed between the model's neurons and the spiking program, both in float64, on potentials."""

MAX_VIEWS = 16
"""Views that the chain is measured on, spread over the calibration views; checks of single neurons take the one of them
with the most spikes."""


TORCH_VIEWS = 4
"""Views among these that the model and its ANN half run on in torch too, which takes the most time."""


@dataclass(eq=False)
class _Outputs:
    """What the model returned on each view, by name.

    Attributes:
        whole: The model in torch.
        cut: Both halves in torch.
        promised: The spiking half in torch, the ANN half in each back-end that promises the same; of the same views.
        exported: The same in the default back-end, of all views.
        fixed: The spiking half in fixed point, the ANN half in the default back-end, of all views.
    """

    whole: list[dict[str, Array]] = field(default_factory=list)
    cut: list[dict[str, Array]] = field(default_factory=list)
    promised: dict[str, list[dict[str, Array]]] = field(default_factory=lambda: defaultdict(list))
    exported: list[dict[str, Array]] = field(default_factory=list)
    fixed: list[dict[str, Array]] = field(default_factory=list)


@torch.no_grad()
def measure_parity(
    model: nn.Module,
    split: Split,
    parts: Parts,
    calibration: Calibration,
    *,
    output: str = LOGITS,
    requested: str | None = None,
    progress: Progress = silent,
) -> ParityReport:
    """Run the chain, view by view, so that one view is in memory at a time.

    Args:
        parts: What was written of it.
        output: Name of the output, if the model returns a single tensor.
        requested: A back-end that is compared on request alone; see `hybridnet.simulators.registry.requestable`.
        progress: Told after each view.

    Raises:
        PartitionError: If the cut model does not equal the whole one to the last bit though all its neurons are ours:
            then the cut itself is wrong.
        ModelError: If an output is not finite.
    """
    views = evenly(len(calibration.views), MAX_VIEWS)
    in_torch = [views[place] for place in evenly(len(views), TORCH_VIEWS)]
    anns = {name: entry.open(parts) for name, entry in ANN_ENTRIES.items() if entry.tolerance is not None}
    meter, outputs, spikes = FidelityMeter(parts.fixed), _Outputs(), Counter[int]()
    bridge, feed, front_errors = Bridge(parts.bridge, parts.encodings), Feed(parts), [0.0]
    for done, n in enumerate(views):
        progress("measuring parity", done, len(views))
        inputs, view = calibration.views[n].arrays, calibration.views[n].tensors()
        states, fed = split.trace(view), feed(inputs).inputs
        front_errors += [float(np.abs(x.numpy() - fed[name]).max()) for name, x in split.fed(view).items()]
        spikes[n] = sum(int(state.o.count_nonzero()) for state in states.values())
        crossing = {t.name: read(states[t.layer], t.kind) for t in split.bridge}
        run = meter.add(states, fed, record_potentials=bridge.needs_all_potentials)
        crossed = bridge.cross(run.readouts, run.spikes, run.potentials, fixed_point=True)

        arriving = view | crossing
        returns = {
            name: ann.run(_arrays(arriving)) for name, ann in anns.items() if n in in_torch or name == DEFAULT_ANN
        }
        outputs.exported.append(returns[DEFAULT_ANN])
        outputs.fixed.append(anns[DEFAULT_ANN].run({**inputs, **crossed.values}))
        if n in in_torch:
            rest(model)
            outputs.whole.append(_arrays(named_outputs(_returned(model, split.taken(view)), output)))
            outputs.cut.append(
                _arrays(named_outputs(split.ann(*(arriving[name] for name in split.ann_inputs)), output))
            )
            for name, values in returns.items():
                outputs.promised[name].append(values)
        returned = (*outputs.exported[-1].values(), *(outputs.whole[-1].values() if n in in_torch else ()))
        if not all(np.isfinite(values).all() for values in returned):
            raise ModelError(f"returns values that are not finite on calibration view {n}", where=type(model).__name__)
    progress("measuring parity", len(views), len(views))
    busiest = calibration.views[max(spikes, key=lambda n: spikes[n])]
    fed_error = float(np.max(front_errors))  # NumPy's maximum keeps a NaN
    if not feed.has_front and fed_error != 0:
        raise PartitionError("the bundle feeds the spiking half otherwise than the model does", where="feeds")
    front = _front(fed_error, len(views)) if feed.has_front else ()
    single = (*_program(split, busiest), *check_bits(parts, feed(busiest.arrays).inputs, requested))
    return ParityReport(
        views=len(views),
        source=calibration.source,
        checks=(*_halves(outputs, split.exact), *front, *single, *_top1(outputs)),
        layers=meter.rows(),
        output_sqnr_db=outputs_sqnr_db(outputs.fixed, outputs.exported),
        clipped_inputs=dict(meter.clipped_inputs),
    )


@torch.no_grad()
def remeasure_parity(
    old: ParityReport,
    parts: Parts,
    calibration: Calibration,
    *,
    requested: str | None = None,
    progress: Progress = silent,
) -> ParityReport:
    """The chain of a bundle whose spiking half got other integers; what does not depend on them is taken over.

    Args:
        old: That of the bundle before.
        parts: What was written of the new one.
        calibration: What to measure on, at most MAX_VIEWS of it.
        requested: As in `measure_parity`.
        progress: Told after each view.
    """
    views = evenly(len(calibration.views), MAX_VIEWS)
    ann, bridge = ann_backend(DEFAULT_ANN, parts), Bridge(parts.bridge, parts.encodings)
    meter, outputs, spikes, feed = FidelityMeter(parts.fixed), _Outputs(), Counter[int](), Feed(parts)
    for done, n in enumerate(views):
        progress("measuring parity", done, len(views))
        inputs = calibration.views[n].arrays
        fed = feed(inputs).inputs
        states = trace_graph(parts.program, {name: torch.from_numpy(x) for name, x in fed.items()})
        spikes[n] = sum(int(state.o.count_nonzero()) for state in states.values())
        crossing = {t.name: read(states[t.layer], t.kind).numpy() for t in bridge.tensors}
        run = meter.add(states, fed, record_potentials=bridge.needs_all_potentials)
        crossed = bridge.cross(run.readouts, run.spikes, run.potentials, fixed_point=True)
        outputs.exported.append(ann.run({**inputs, **crossing}))
        outputs.fixed.append(ann.run({**inputs, **crossed.values}))
    progress("measuring parity", len(views), len(views))
    busiest = calibration.views[max(spikes, key=lambda n: spikes[n])]
    anew = (*check_bits(parts, feed(busiest.arrays).inputs, requested), *_top1(outputs))
    return ParityReport(
        views=len(views),
        source=calibration.source,
        checks=(
            *(check for check in old.checks if not check.name.startswith(("emulator_", "top1"))),
            *anew,
        ),
        layers=meter.rows(),
        output_sqnr_db=outputs_sqnr_db(outputs.fixed, outputs.exported),
        clipped_inputs=dict(meter.clipped_inputs),
    )


def _halves(outputs: _Outputs, exact: bool) -> Iterator[Check]:
    """The cut, and the ANN half on the float potentials that really crossed it."""
    views = len(outputs.cut)
    cut = _max_abs(outputs.cut, outputs.whole)
    if exact and cut != 0:  # true of NaN too
        raise PartitionError(f"the cut model differs from the whole one by {cut:g}", where="split")
    yield within("split", "model → cut model", cut, 0.0 if exact else REWRITTEN_TOLERANCE, views)
    for name, entry in ANN_ENTRIES.items():
        if entry.tolerance is not None:
            error = _max_abs(outputs.promised[name], outputs.cut)
            yield within(f"ann_{name}", f"ANN half, torch → {entry.title}", error, entry.tolerance, views)


def _front(error: float, views: int) -> Iterator[Check]:
    """The front in torch against its exported graph."""
    yield within("front_onnxruntime", "host before the chip, torch → ONNX Runtime", error, ANN_TOLERANCE, views)


def _program(split: Split, view: Views) -> Iterator[Check]:
    """The model's neurons against the program extracted from them, both in float64."""
    what = "model's neurons → spiking program, float64"
    if split.ties is not None:
        replayed = "model's neurons → spiking program, replayed: spikes that rounding decides"
        yield reported("program_ties", replayed, sum(split.ties.values()), 1, unit="ties")
        return
    if not isinstance(split, Partition) or not split.exact:
        why = "neurons of another library have no float64 twin here; the cut compares them in float32"
        yield not_run("program_potentials", f"{what}: u", why, unit="max abs")
        yield not_run("program_spikes", f"{what}: spikes", why, unit="differing")
        return
    program = TorchGraph(split.program, torch.float64).run(view.arrays, record_potentials=True)
    error, differing = 0.0, 0
    for stack in split.stacks:
        states = _in_float64(stack.module).trace(view.tensors()[stack.input_name].double())
        for name, state in zip(stack.populations, states, strict=True):
            error = max(error, float(np.abs(program.potentials[name] - state.u.numpy()).max()))
            differing += int(np.count_nonzero(program.spikes[name] != (state.o.numpy() > 0)))
    yield within("program_potentials", f"{what}: u", error, FLOAT64_TOLERANCE, 1)
    yield within("program_spikes", f"{what}: spikes", differing, 0, 1, unit="differing")


def _in_float64(stack: SpikingStack) -> SpikingStack:
    """A copy that computes in float64 with the very leak and threshold that the model has in float32."""
    twin = copy.deepcopy(stack).double()
    for layer, own in zip(twin.layers, stack.layers, strict=True):
        layer.leak_logit.copy_(torch.logit(own.leak.double()))
        layer.log_threshold.copy_(own.threshold.double().log())
    return twin


def _top1(outputs: _Outputs) -> Iterator[Check]:
    what = "spiking half, float → fixed point: views with the same top-1"
    if LOGITS not in outputs.fixed[0]:
        yield not_run("top1", what, "the model is no classifier with labels", unit="share")
        return
    fixed, in_float = (np.concatenate([view[LOGITS] for view in run]) for run in (outputs.fixed, outputs.exported))
    yield reported("top1", what, float((fixed.argmax(1) == in_float.argmax(1)).mean()), len(fixed), unit="share")


def _max_abs(some: list[dict[str, Array]], others: list[dict[str, Array]]) -> float:
    """Largest difference over all views and outputs; NaN if there is one."""
    differences = [
        np.abs(one[name] - other[name]).max() for one, other in zip(some, others, strict=True) for name in one
    ]
    return float(np.max(differences))


def _returned(model: nn.Module, view: Mapping[str, Tensor]) -> object:
    with foreign_code(ModelError, "cannot be run", where=type(model).__name__, remedy="--debug shows the traceback"):
        return model(**view)


def _arrays(tensors: Mapping[str, Tensor]) -> dict[str, Array]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}
