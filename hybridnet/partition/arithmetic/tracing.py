"""Tracing a model to a tape: it runs once, on the example inputs, and each elementary operation is noted.

Loops are unrolled and modules inlined by the mere running; custom autograd functions and scripted functions are gone;
in-place operations become plain ones. What does not depend on the inputs is computed and not noted. A branch that
depends on the inputs' data cannot be traced, and is refused with the module that asks for it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map
from torch.utils.weak import WeakTensorKeyDictionary

from hybridnet.errors import ModelError, PartitionError
from hybridnet.model.neuron import ConvLIF
from hybridnet.partition.arithmetic.aliases import Memory
from hybridnet.partition.arithmetic.tape import Const, Operation, Ref, Tape, leaves
from hybridnet.partition.arithmetic.untouched import untouched
from hybridnet.support.text import told

FILLED = (
    "zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty",
    "new_empty_strided",
)  # fmt: skip
"""Operations that take of a tensor its shape alone."""

UNFILLED = ("empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided")
"""Operations that leave what memory held before; a trace has zeros there, so that each run gives the same."""

RANDOM = ("rand_like", "randn_like", "randint_like", "bernoulli", "native_dropout", "normal_functional", "multinomial")
"""Operations that draw anew at each run."""

RESHAPING = ("transpose_", "t_", "squeeze_", "unsqueeze_", "swapaxes_", "swapdims_", "detach_")
"""In-place operations that change no element."""

SHAPED_BY_DATA = ("nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount", "histc")
"""Operations whose results have a size that depends on data."""


def failed(error: BaseException, inputs: Mapping[str, Tensor], where: str) -> ModelError:
    """What a forward raised, where, and on which inputs."""
    given = ", ".join(f"{name} {tuple(x.shape)}" for name, x in inputs.items())
    remedy = "Compare the example inputs with what forward takes"
    return ModelError(f"forward fails on {given} ({told(error)})", where=where, remedy=remedy)


def at_rest(_model: nn.Module) -> None:
    """Leave a model as it is: it puts its neurons at rest by itself."""


def trace(model: nn.Module, inputs: Mapping[str, Tensor], rest: Callable[[nn.Module], object] = at_rest) -> Tape:
    """The tape of `model` for these inputs; the model itself is not changed, `rest` puts its neurons at rest.

    Raises:
        ModelError: If the model raises an error of its own.
        PartitionError: If what it does depends on the data of its inputs, or is random.
    """
    recorder = _Recorder(model)
    try:
        with torch.no_grad(), untouched(model), recorder.following_modules(), _plain_operations():
            starts = {name: x.detach().clone() for name, x in inputs.items()}
            refs = {name: recorder.start(x) for name, x in starts.items()}
            rest(model)
            for module in model.modules():
                if isinstance(module, ConvLIF):
                    module.stepped = True
            with recorder:
                output = model(**starts)
    except PartitionError:
        raise
    except (Exception, SystemExit) as error:  # the user's own code runs here: it may raise anything
        if _runs(model, inputs, rest):
            raise PartitionError(
                f"what it does cannot be traced ({told(error)})",
                where=recorder.where,
                remedy="If it is a neuron, state what it computes with hybridnet.neuron(…)",
            ) from error
        raise failed(error, inputs, recorder.where) from error
    returned = tree_map(recorder.noted, output)
    shapes = {name: tuple(x.shape) for name, x in inputs.items()}
    return Tape(refs, shapes, tuple(recorder.operations), returned)


def _runs(model: nn.Module, inputs: Mapping[str, Tensor], rest: Callable[[nn.Module], object]) -> bool:
    """Whether a model runs on its inputs if nobody watches."""
    try:
        with torch.no_grad(), untouched(model):
            rest(model)
            model(**{name: x.detach().clone() for name, x in inputs.items()})
    except (Exception, SystemExit):
        return False
    return True


@contextmanager
def _plain_operations() -> Iterator[None]:
    """Attention and LSTMs as their plain operations, which torch otherwise puts into one that nothing else knows."""
    before, one_dnn = torch.backends.mha.get_fastpath_enabled(), torch._C._get_mkldnn_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    torch._C._set_mkldnn_enabled(False)  # `mkldnn.flags` warns of Intel GPUs
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
        torch._C._set_mkldnn_enabled(one_dnn)


class _Recorder(TorchDispatchMode):
    """Notes each operation on what depends on the inputs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []
        self._modules = {id(module): path for path, module in model.named_modules()}
        self._names = {id(tensor): name for name, tensor in [*model.named_parameters(), *model.named_buffers()]}
        self._views = {(p.data_ptr(), p.numel()): name for name, p in model.named_parameters()}
        self._path: list[str] = []
        self._model = type(model).__name__
        self._refs: Any = WeakTensorKeyDictionary()
        self._memory = Memory()
        self._constants: dict[tuple[Any, ...], tuple[Const, Tensor]] = {}
        self._count = 0

    @property
    def path(self) -> str:
        """The module that runs now, or ran last when an error came."""
        return self._path[-1] if self._path else ""

    @property
    def where(self) -> str:
        """The same for refusals, which call the model's own `forward` by the model's class."""
        return self.path or self._model

    def start(self, x: Tensor) -> Ref:
        """Take `x` as an input of the model."""
        self._memory.add(x)
        return self._named(x)

    @contextmanager
    def following_modules(self) -> Iterator[None]:
        """Keep the path of the module that runs."""

        def enter(module: nn.Module, _args: Any) -> None:
            self._path.append(self._modules.get(id(module), self.path))

        def leave(_module: nn.Module, _args: Any, _output: Any) -> None:
            self._path.pop()

        hooks = register_module_forward_pre_hook(enter), register_module_forward_hook(leave)
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation and note it, if it depends on the inputs."""
        func, args, kwargs = self._filled_by_mask(func, args, kwargs or {})
        base = func.overloadpacket.__name__
        noted_args, noted_kwargs = tree_map(self.noted, (args, kwargs))
        output = func(*args, **kwargs)
        if base in UNFILLED:
            output.zero_()
        for value in leaves((args, kwargs, output)):
            if isinstance(value, Tensor):
                self._memory.add(value)
        if base.rstrip("_") in RANDOM:
            raise PartitionError(
                f"{base} draws anew at each run",
                where=self.where,
                remedy="Draw outside of the model, or while it is training alone (dropout with training=self.training)",
            )
        if base in FILLED or not any(isinstance(v, Ref) for v in leaves((noted_args, noted_kwargs))):
            return output
        by_mask = base == "index" and any(
            isinstance(noted, Ref) and given.dtype == torch.bool
            for noted, given in zip(leaves(noted_args[1]), leaves(args[1]), strict=True)
        )
        if base in SHAPED_BY_DATA or by_mask or not any(isinstance(r, Tensor) for r in leaves(output)):
            what = {"_local_scalar_dense": "item"}.get(base, base)
            raise PartitionError(
                f"a number or a branch depends on the data of the inputs ({what})",
                where=self.where, remedy="Let it depend on shapes and settings alone; use torch.where for a choice",
            )  # fmt: skip
        if func._schema.is_mutable:
            self._change(func, args[0], noted_args, noted_kwargs)
        else:
            self._note(func, noted_args, noted_kwargs, leaves(output))
        return output

    def _filled_by_mask(self, func: Any, args: Any, kwargs: Any) -> tuple[Any, Any, Any]:
        """`x[mask] = number` as what it is, a masked fill."""
        aten = torch.ops.aten
        if func.overloadpacket in (aten.index_put, aten.index_put_) and len(args) == 3 and not kwargs:
            x, indices, value = args
            mask = indices[0]
            alike = len(indices) == 1 and mask is not None and mask.dtype == torch.bool and mask.shape == x.shape
            if alike and value.numel() == 1 and value not in self._refs:
                changing = func.overloadpacket is aten.index_put_
                fill = aten.masked_fill_.Scalar if changing else aten.masked_fill.Scalar
                return fill, (x, mask, value.item()), {}
        return func, args, kwargs

    def _change(self, func: Any, changed: Tensor, args: Any, kwargs: Any) -> None:
        """Note an in-place operation in its plain form, and what else it changes."""
        name = func.overloadpacket.__name__
        packet = getattr(torch.ops.aten, name.removesuffix("_"), None)
        plain = getattr(packet, func._overloadname, getattr(packet, "int", None))
        if plain is None or not name.endswith("_") or plain._schema.is_mutable:
            raise PartitionError(
                f"{name} writes into a tensor in a way that cannot be followed",
                where=self.where, remedy="Use what the plain operation returns",
            )  # fmt: skip
        overlaps = [] if name in RESHAPING else list(self._memory.overlaps(changed))
        before = [self.noted(overlap.tensor) for overlap in overlaps]
        self._note(plain, args, kwargs, [changed])
        aten = torch.ops.aten
        for overlap, old in zip(overlaps, before, strict=True):
            held = changed.dtype
            parts = [self._made(aten.reshape.default, (part, [-1]), held) for part in (old, self._refs[changed])]
            both = self._made(aten.cat.default, (parts,), held)
            picked = self._made(aten.index_select.default, (both, 0, self._constant(overlap.picks)), held)
            shape = list(overlap.tensor.shape)
            self._note(aten.reshape.default, (picked, shape), {}, [overlap.tensor])

    def _made(self, func: Any, args: Any, dtype: torch.dtype) -> Ref:
        """Note an operation whose result is no tensor of the model's own."""
        ref = self._next()
        self.operations.append(Operation(func, args, {}, (ref,), self.path, ((),), (dtype,)))
        return ref

    def _note(self, func: Any, args: Any, kwargs: Any, results: list[Any]) -> None:
        shapes = tuple(tuple(r.shape) if isinstance(r, Tensor) else () for r in results)
        names = tuple(self._named(r) if isinstance(r, Tensor) else None for r in results)
        dtypes = tuple(r.dtype if isinstance(r, Tensor) else None for r in results)
        self.operations.append(Operation(func, args, kwargs, names, self.path, shapes, dtypes))

    def noted(self, value: Any) -> Any:
        """How a tape speaks of `value`."""
        if not isinstance(value, Tensor):
            return value
        return self._refs[value] if value in self._refs else self._constant(value)

    def _named(self, value: Tensor) -> Ref:
        self._refs[value] = self._next()
        return self._refs[value]

    def _next(self) -> Ref:
        self._count += 1
        return Ref(self._count)

    def _constant(self, value: Tensor) -> Const:
        if isinstance(value, FakeTensor):
            raise RuntimeError("it computes with tensors of another tracer")
        where = (value.data_ptr(), value._version, value.dtype, tuple(value.shape), value.stride())
        if where not in self._constants:
            name = self._names.get(id(value), "")
            held = value.detach() if name else value.detach().clone()
            if not name and (of := self._views.get((value.data_ptr(), value.numel()))):
                name, held = f"{of}_moved", nn.Parameter(held, requires_grad=False)
            digest = hashlib.blake2b(held.contiguous().numpy().tobytes(), digest_size=12).hexdigest()
            constant = Const(held, f"{digest} {value.dtype} {tuple(value.shape)}", name)
            self._constants[where] = constant, value  # which stays alive, so that nothing else comes to lie there
        return self._constants[where][0]
