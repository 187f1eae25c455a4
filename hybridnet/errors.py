"""The errors of hybridnet.

    HybridNetError
    ├── ConfigError (ValueError)          a field of a config holds a value it may not hold
    ├── VideoError (ValueError)           a video cannot be read as compressed video
    ├── DataSetError (ValueError)         a data set is incomplete, or a list of it is damaged
    ├── CacheError (ValueError)           a cache of views is missing, unfinished, foreign or damaged
    ├── CheckpointError (ValueError)      a checkpoint is missing, foreign or damaged
    ├── ModelError (ValueError)           a model, or what it is fed, is not what it should be
    ├── BundleError (ValueError)          a bundle is missing, foreign or damaged
    ├── RecordError (ValueError)          a run record or an energy profile is missing, foreign or damaged
    ├── PartitionError (ValueError)       a model breaks a placement rule
    ├── RangeError (ArithmeticError)      a number does not fit the chip's registers
    ├── TrainingError (ArithmeticError)   training diverged
    ├── BackendError (RuntimeError)       a back-end failed
    │   └── MissingBackendError           a back-end is not installed
    └── OutputExistsError (FileExistsError)

Each carries what was wrong, where, and what to do; the command line prints exactly these three.
"""

from __future__ import annotations


class HybridNetError(Exception):
    """Base of all errors a user can correct.

    Attributes:
        what: What was wrong.
        where: The file, layer or field concerned; may be empty.
        remedy: What to do about it; may be empty.
    """

    def __init__(self, what: str, *, where: object = "", remedy: str = "") -> None:
        self.what, self.where, self.remedy = what, str(where), remedy
        super().__init__(f"{self.where}: {what}" if self.where else what)

    def __reduce__(self) -> tuple[object, ...]:
        """Errors cross from one process to another, whatever arguments their class takes."""
        return _rebuilt, (type(self), self.args, self.__dict__)

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}. {self.remedy}" if self.remedy else message


def _rebuilt(kind: type[HybridNetError], args: tuple[object, ...], values: dict[str, object]) -> HybridNetError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(values)
    return error


class ConfigError(HybridNetError, ValueError):
    """A field of a config holds a value it may not hold."""

    def __init__(self, field: str, value: object, allowed: str) -> None:
        super().__init__(f"{field} = {value!r} is not allowed", remedy=f"Allowed: {allowed}")


class VideoError(HybridNetError, ValueError):
    """A video cannot be read as compressed video."""


class DataSetError(HybridNetError, ValueError):
    """A data set is incomplete, or a list of it is damaged; `where` names the file and line."""


class CacheError(HybridNetError, ValueError):
    """A cache of views is missing, unfinished, foreign or damaged."""


class CheckpointError(HybridNetError, ValueError):
    """A checkpoint is missing, foreign or damaged."""


class ModelError(HybridNetError, ValueError):
    """A model, or what it is fed, is not what it should be."""


class BundleError(HybridNetError, ValueError):
    """A bundle is missing, foreign or damaged."""


class RecordError(HybridNetError, ValueError):
    """A run record or an energy profile is missing, foreign or damaged."""


class PartitionError(HybridNetError, ValueError):
    """A model breaks a placement rule; `where` names the node, the text the rule."""


class RangeError(HybridNetError, ArithmeticError):
    """A number does not fit the chip's registers."""


class TrainingError(HybridNetError, ArithmeticError):
    """Training diverged: a step has no finite gradient."""


class BackendError(HybridNetError, RuntimeError):
    """A back-end failed."""


class MissingBackendError(BackendError):
    """A back-end is not installed."""


class OutputExistsError(HybridNetError, FileExistsError):
    """An output exists and may not be overwritten, or is being written by another process."""

    def __init__(
        self, path: object, what: str = "exists already", remedy: str = "Choose another folder or pass --overwrite"
    ) -> None:
        super().__init__(what, where=path, remedy=remedy)
