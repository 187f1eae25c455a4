"""Which step of which window a process of a graph program is at. Imports no Lava."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timing:
    """A population's time.

    Attributes:
        steps: T of a window.
        windows: N, back to back.
        period: F, Lava's steps per step of the program.
        lag: L, Lava's steps that the population is behind the inputs.
    """

    steps: int
    windows: int
    period: int
    lag: int

    def frame(self, time_step: int) -> int | None:
        """The step of the program, counted over all windows from 0; None where the population has nothing to do.

        Args:
            time_step: Time step of Lava, counted from 1.
        """
        frame, rest = divmod(time_step - 1 - self.lag, self.period)
        return frame if rest == 0 and 0 <= frame < self.steps * self.windows else None

    def step(self, time_step: int) -> int | None:
        """The step of its window, from 0; None likewise."""
        frame = self.frame(time_step)
        return None if frame is None else frame % self.steps
