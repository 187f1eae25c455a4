"""What the placement rules look for: one function per rule.

The first paragraph of its docstring is the rule as users read it; it yields what breaks the rule.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from hybridnet.partition.frames import Count, Frames, Opaque
from hybridnet.partition.operations import Operation, classify, is_random
from hybridnet.partition.reading import Blocked, Reading, Trouble
from hybridnet.partition.streams import chains, stream_names
from hybridnet.partition.synapse import why_no_synapse


@dataclass(frozen=True, eq=False)
class TracedModel:
    """A model that was traced and read, with the inputs it was shown."""

    model: nn.Module
    inputs: Mapping[str, Tensor]
    reading: Reading

    @property
    def graph(self) -> fx.Graph:
        """All operations, in order."""
        return self.reading.graph.graph

    def blocked(self, *kinds: Operation) -> Iterator[Violation]:
        """Spiking layers that are fed by an operation of one of these kinds."""
        for case in self.reading.blocked:
            if classify(case, self.reading.graph) in kinds:
                yield _violation(case)


@dataclass(frozen=True)
class Violation:
    """Where a rule is broken and by what."""

    where: str
    found: str


def has_a_spiking_stack(model: TracedModel) -> Iterator[Violation]:
    """The model has at least one spiking layer: a SpikingStack, a ConvLIF, or a convolution and a known neuron."""
    if not model.reading.layers:
        yield Violation("model", "no spiking layer was found")


def stack_reads_a_model_input(model: TracedModel) -> Iterator[Violation]:
    """The first layer of a spiking stack reads an input of the model, never the result of an ANN layer."""
    yield from model.blocked(Operation.ANN_BEFORE)


def stack_input_fits(model: TracedModel) -> Iterator[Violation]:
    """The input of a spiking stack has shape (B, T, C, H, W), batch first, with the stack's own C, H and W."""
    yield from _violations(model.reading.misfits)
    for case in model.reading.blocked:
        if case.value.by.op == "placeholder":
            shape = tuple(model.inputs[str(case.value.by.target)].shape)
            yield Violation(case.node.name, f"its input {case.value.by.name} is {shape}")


def stacks_share_their_steps(model: TracedModel) -> Iterator[Violation]:
    """All spiking stacks run the same number of steps T."""
    steps = {layer.path: layer.source.steps for layer in model.reading.layers.values()}
    if len(set(steps.values())) > 1:
        yield Violation(", ".join(steps), f"they run {steps}")


def potentials_leave_by_index(model: TracedModel) -> Iterator[Violation]:
    """What a spiking stack or neuron returns is taken apart by constant indices or names, as `stack(x)[0]`."""
    yield from _violations(model.reading.unopened)


def stack_names_differ(model: TracedModel) -> Iterator[Violation]:
    """Spiking stacks have names of their own, made from their module paths, and each runs once per window."""
    yield from _violations(model.reading.repeated)
    names = stream_names(chains(model.reading))
    for name in sorted({n for n in names if names.count(n) > 1}):
        yield Violation(name, f"{names.count(name)} stacks have this name")


def control_flow_is_fixed(model: TracedModel) -> Iterator[Violation]:
    """Control flow in `forward` depends on shapes and settings, never on data, so that torch.fx can trace it.

    Checked while tracing: there is no graph to look at when it is broken.
    """
    yield from ()


def time_is_encoded_by_spikes(model: TracedModel) -> Iterator[Violation]:
    """What reads a model input step by step are spiking layers, not recurrent modules (LSTM, GRU, ConvLSTM, …)."""
    earlier: dict[fx.Node, frozenset[object]] = {}
    for node in model.graph.nodes:
        seen = frozenset().union(*(earlier[before] for before in node.all_input_nodes))
        earlier[node] = seen | ({node.target} if node.op == "call_module" else frozenset())
        value = model.reading.values[node]
        if node.op != "call_module" or not isinstance(value, Opaque) or value.spiking or not value.timed:
            continue
        module = model.model.get_submodule(str(node.target))
        if isinstance(module, nn.RNNBase | nn.RNNCellBase):
            yield Violation(node.name, f"{node.target} is a {type(module).__name__} over a model input")
        elif node.target in seen and any(True for _ in module.parameters()):
            owner, _, _ = str(node.target).rpartition(".")
            kind = type(model.model.get_submodule(owner)).__name__
            yield Violation(node.name, f"{owner or 'the model'} ({kind}) feeds {node.target} with its own result")


def no_pooling_between_layers(model: TracedModel) -> Iterator[Violation]:
    """There is no pooling or resizing between spiking layers, nor between a convolution and its neurons."""
    yield from model.blocked(Operation.POOLING)


def no_activation_between_layers(model: TracedModel) -> Iterator[Violation]:
    """There is no activation and no arithmetic between spiking layers, nor between a convolution and its neurons."""
    yield from model.blocked(Operation.ACTIVATION)


def norms_fold_into_convolutions(model: TracedModel) -> Iterator[Violation]:
    """A norm between spiking layers is a batch norm right behind a convolution, so that it folds into its weights."""
    yield from model.blocked(Operation.NORM)


def layers_form_a_chain(model: TracedModel) -> Iterator[Violation]:
    """Spiking layers form chains: no addition or concatenation joins them, and spikes feed one spiking layer only."""
    yield from model.blocked(Operation.JOIN)
    readers = [layer.source.name for layer in model.reading.layers.values() if layer.source.kind == "spikes"]
    for name in sorted({n for n in readers if readers.count(n) > 1}):
        yield Violation(name, f"{readers.count(name)} spiking layers read its spikes")


def data_flows_one_way(model: TracedModel) -> Iterator[Violation]:
    """Nothing that the ANN half makes of spikes or potentials goes back to a spiking layer."""
    yield from model.blocked(Operation.ANN_BEHIND)


def synapses_are_plain_convolutions(model: TracedModel) -> Iterator[Violation]:
    """The synapses of a spiking layer are one nn.Conv2d, padded evenly with zeros, or one nn.Linear on flattened maps.

    They read an input or spikes.
    """
    yield from _violations(model.reading.synapses)
    for case in model.reading.blocked:
        if classify(case, model.reading.graph) is Operation.SYNAPSE:
            module = model.reading.graph.get_submodule(str(case.value.by.target))
            reason = why_no_synapse(module) or "it reads neither an input nor spikes (nn.Linear: flattened ones)"
            yield Violation(case.value.by.name, f"{case.node.name} needs it, but {reason}")


def neurons_have_an_exact_equation(model: TracedModel) -> Iterator[Violation]:
    """A neuron of another library can be written in the program's equation exactly, reset and comparison included."""
    yield from _violations(model.reading.inexpressible)


def parameters_are_float32(model: TracedModel) -> Iterator[Violation]:
    """All parameters and buffers that hold fractions are float32 and finite, and so are the inputs."""
    for kind, tensors in (("parameter", model.model.named_parameters()), ("buffer", model.model.named_buffers())):
        for name, tensor in tensors:
            if (tensor.is_floating_point() or tensor.is_complex()) and tensor.dtype != torch.float32:
                yield Violation(name, f"this {kind} is {tensor.dtype}")
            elif tensor.is_quantized:
                yield Violation(name, f"this {kind} is quantised")
            elif tensor.is_floating_point() and tensor.numel() and not _is_finite(tensor):
                yield Violation(name, f"this {kind} holds numbers that are not finite")
    for name, tensor in model.inputs.items():
        if tensor.dtype != torch.float32:
            yield Violation(name, f"this input is {tensor.dtype}")


def steps_run_in_order_from_rest(model: TracedModel) -> Iterator[Violation]:
    """A spiking layer starts each window at rest and runs its steps 0 … T−1 once, in order, on all of the batch."""
    yield from _violations(model.reading.disordered)


def only_last_potentials_leave(model: TracedModel) -> Iterator[Violation]:
    """The ANN half reads potentials of the last step only; spikes and their number it may read of all steps."""
    yield from _violations(model.reading.stranded)


def nothing_is_random(model: TracedModel) -> Iterator[Violation]:
    """Nothing is random, and nothing behaves as in training: no dropout that stays on, no batch statistics."""
    for node in model.graph.nodes:
        if node.op == "call_module":
            module = model.model.get_submodule(str(node.target))
            if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
                yield Violation(node.name, f"{node.target} normalises by the statistics of the batch")
            elif module.training:
                yield Violation(node.name, f"{node.target} stays in training mode")
        elif is_random(node):
            yield Violation(node.name, f"{getattr(node.target, '__name__', node.target)} draws random numbers")


def outputs_are_tensors(model: TracedModel) -> Iterator[Violation]:
    """The model returns a tensor (B, …), batch first, or a tuple, list or dictionary of such tensors.

    That the batch comes first is checked by running the ANN half on tensors without data, for batches of two sizes.
    """
    output = next(iter(reversed(model.graph.nodes)))
    result = output.args[0]
    parts = (
        list(result.values()) if isinstance(result, dict) else result if isinstance(result, tuple | list) else [result]
    )
    for part in parts:
        value = model.reading.values.get(part) if isinstance(part, fx.Node) else None
        if not isinstance(value, Frames | Count | Opaque | Tensor):
            yield Violation("output", f"it holds {part!r}")


def shapes_are_fixed_but_the_batch(model: TracedModel) -> Iterator[Violation]:
    """All shapes follow from the inputs' shapes, and the batch may have any size.

    Checked also by running the ANN half on tensors without data, for batches of two sizes.
    """
    yield from _violations(model.reading.fixed)


def _is_finite(tensor: Tensor) -> bool:
    least, most = tensor.aminmax()
    return bool(torch.isfinite(least) and torch.isfinite(most))


def _violations(troubles: list[Trouble]) -> Iterator[Violation]:
    return (Violation(trouble.node.name, trouble.found) for trouble in troubles)


def _violation(case: Blocked) -> Violation:
    by = case.value.by
    what = by.target if by.op in ("call_module", "call_method") else getattr(by.target, "__name__", by.target)
    return Violation(by.name, f"{case.node.name} reads the result of {what}")
