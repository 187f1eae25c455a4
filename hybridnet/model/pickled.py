"""What a pickle would do, told from its operations, none of which runs."""

from __future__ import annotations

import pickletools

from hybridnet.errors import CheckpointError

STORAGES = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
DTYPES = ("float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool")
ORDERED = "collections OrderedDict"
GLOBALS = {
    ORDERED,
    "torch device",
    "torch._utils _rebuild_tensor_v2",
    "torch._utils _rebuild_parameter",
    *(f"torch {kind}Storage" for kind in STORAGES),
    *(f"torch {dtype}" for dtype in DTYPES),
}
"""What a pickle may name: dicts, what describes tensors, and tensors that lie in the file. Others ask for more."""

OTHER_TENSORS = {
    "torch._utils _rebuild_qtensor": "quantised tensors",
    "torch._utils _rebuild_sparse_tensor": "sparse tensors",
    "torch._utils _rebuild_nested_tensor": "nested tensors",
    "torch._utils _rebuild_meta_tensor_no_storage": "tensors without numbers (meta)",
    "torch._utils _rebuild_tensor_v3": "tensors of a type that is not read here, such as float8",
    "torch._utils _rebuild_wrapper_subclass": "tensors of a class of their own",
    "torch._tensor _rebuild_from_type_v2": "tensors of a class of their own",
    "torch ComplexFloatStorage": "complex tensors",
    "torch ComplexDoubleStorage": "complex tensors",
}
"""Tensors that are refused, by what the pickle names for them."""

MAX_OPERATIONS = 2**21
"""Most operations of a pickle: forty for each of fifty thousand tensors."""

MAX_STATES = 32
"""Most OrderedDicts that are given attributes, as each state dict is; any of them may be given the same large ones."""

MAX_TUPLES = 100
"""Most tuples within tuples. Python has no limit of its own where one is the key of a dict, and crashes."""

CODE_REMEDY = (
    "If you trust it, load it with torch.load(…, weights_only=False), and write its state dict alone with"
    ' torch.save(…, "weights.pt")'
)


_NAMING = ("GLOBAL", "INST")
_FOREIGN = ("STACK_GLOBAL", "LONG4")
_NESTING = ("TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "DUP")
_MARK = pickletools.markobject
_DICT, _NOTHING = -1, -2
"""On the stack of `_Depths`: the class OrderedDict, and an empty tuple."""


def check_pickle(pickle: bytes) -> None:
    """Refuse what is more than plain values and dense tensors.

    Raises:
        CheckpointError: If it names anything else, is very long, or has tuples within tuples without end.
        Exception: One of any kind, if it is no pickle.
    """
    depths, states = _Depths(), 0
    for count, (operation, argument, _) in enumerate(pickletools.genops(pickle)):
        if count == MAX_OPERATIONS:
            raise CheckpointError(f"describes its tensors in more than {MAX_OPERATIONS} steps")
        if operation.name in _NAMING and argument not in GLOBALS:
            if argument in OTHER_TENSORS:
                remedy = "Write them as dense tensors, in float32"
                raise CheckpointError(f"holds {OTHER_TENSORS[str(argument)]}", remedy=remedy)
            name = str(argument)[:80].replace(" ", ".")
            what = f"holds an object of class {name}" if _is_class(name) else f"asks for {name}"
            raise CheckpointError(f"{what}, and not weights alone", remedy=CODE_REMEDY)
        if operation.name in _FOREIGN:
            raise CheckpointError("is pickled in another way than torch.save does, or holds a very long number")
        states += operation.name == "BUILD"
        if states > MAX_STATES:
            raise CheckpointError(f"has more than {MAX_STATES} state dicts")
        if depths.after(operation, argument) > MAX_TUPLES:
            raise CheckpointError("has tuples within tuples without end")


def _is_class(name: str) -> bool:
    """Whether it is called as classes are; nothing is looked up."""
    return name.rpartition(".")[2][:1].isupper()


class _Depths:
    """How deep the tuples are of what would lie on the stack and in the memo; None is a mark."""

    def __init__(self) -> None:
        self._stack: list[int | None] = []
        self._memo: dict[object, int] = {}

    def after(self, operation: pickletools.OpcodeInfo, argument: object) -> int:
        """Follow one operation; returns the depth of what it gives.

        Raises:
            CheckpointError: If an OrderedDict is made of something, which may be anything a thousand times.
        """
        stack, name = self._stack, operation.name
        if name.endswith("PUT"):
            self._memo[argument] = stack[-1] or 0
            return 0
        if name == "REDUCE" and stack[-2] == _DICT and stack[-1] != _NOTHING:
            raise CheckpointError("copies dicts, which torch.save never does")
        deepest = self._popped(operation.stack_before)
        if name.endswith("GET"):
            deepest = self._memo.get(argument, 0)
        elif name in _NESTING:
            deepest += 1
        else:
            deepest = _NOTHING if name == "EMPTY_TUPLE" else _DICT if name == "GLOBAL" and argument == ORDERED else 0
        stack += [None if kind is _MARK else deepest for kind in operation.stack_after]
        return deepest

    def _popped(self, before: list[pickletools.StackObject]) -> int:
        """Take what an operation takes; returns the depth of the deepest."""
        deepest, pops = 0, len(before)
        if _MARK in before:
            pops = before.index(_MARK)
            while (depth := self._stack.pop()) is not None:
                deepest = max(deepest, depth)
        for _ in range(pops):
            deepest = max(deepest, self._stack.pop() or 0)
        return deepest
