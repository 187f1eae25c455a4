"""Models that break the rules R2xx, as docs/placement-rules.md shows them: each is read when the page is made."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.telling import placement

NEURON = {
    "R204": "v = (0.8 * v + current) * (1 - s)\ns = (v > 0.5).float()",
    "R209": "v = (0.9 - 0.1 * t) * v * (1 - s) + current\ns = (v > 0.5).float()",
    "R211": "v = 0.8 * v * (1 - s) + current + 0.1 * t\ns = (v > 0.5).float()",
    "R212": "v = 0.8 * v * (1 - 0.5 * s) + current\ns = (v > 0.5).float()",
    "R213": "v = 0.8 * v + current\ns = (v > 0.5).float()\nv = torch.where(s > 0, -0.2, v)",
    "R215": "v = 0.8 * v * (1 - s) + current\ns = (v > -0.1).float()",
    "R216": "v = 1.2 * v * (1 - s) + current\ns = (v > 0.5).float()",
    "R226": "v = 0.8 * v * (1 - s) + current\ns = (v > self.per_position).float()",
    "R234": "v = 0.8 * v * (1 - s) + current\ns = (v.tanh() > 0.5).float()",
    "R235": "a = 0.9 * a + 0.1 * s\nv = 0.8 * v * (1 - s) + current\ns = (v > 0.5 + a).float()",
    "R236": "v = 0.8 * v + current\ns = (v > 0.5).float() - (v < -0.5).float()\nv = v - 0.5 * s",
    "R237": "v = 0.8 * v * (1 - s) + current\ns = (torch.sign(v - 0.5) + 1) / 2",
    "R238": "v = 0.8 * v + current\ns = v.clamp(0, 4).round()\nv = v - s",
    "R239": "v = 0.8 * v * (1 - s) + current\ns = ((v > 0.5) & (v == v.amax(1, keepdim=True))).float()",
    "R242": "v = 0.8 * v.tanh() * (1 - s) + current\ns = (v > 0.5).float()",
}
"""Neurons: what stands in a loop over the steps t behind `current = self.conv(x)`."""

BETWEEN = {
    "R221": "self.next(spikes) * spikes",
    "R222": "self.next(v)",
    "R224": "self.next(spikes.flip(3))",
    "R229": "nn.functional.max_pool2d(self.next(spikes), 2)",
    "R230": "self.next(spikes.mean((2, 3), keepdim=True).exp() * spikes)",
}
"""What a second layer of neurons reads of the first one's spikes and potential."""


class Example(nn.Module):
    """Events (B, T, 2, 8, 10) through neurons that an example writes."""

    def __init__(self, first: str, between: str = "") -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.next = nn.Conv2d(2, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 1)
        self.per_position = 0.5 + 0.1 * torch.rand(8, 10)
        self.first, self.between = (
            compile(source, "<example>", "exec") for source in (first, f"current = {between or None}")
        )
        self.two = bool(between)

    def forward(self, events: Tensor) -> Tensor:
        """Spike counts."""
        zero = torch.zeros(())
        names = {"self": self, "torch": torch, "nn": nn, "v": zero, "s": zero, "a": zero}
        second, fired, count = zero, zero, zero
        for t, x in enumerate(events.unbind(1)):
            names |= {"current": 4 * self.conv(x), "t": t}
            exec(self.first, names)
            fired = names["s"]
            if self.two:
                names["spikes"] = fired
                exec(self.between, names)
                second = 0.8 * second + 8 * names["current"]
                fired = (second > 0.5).float()
                second = second * (1 - fired)
            count = count + fired
        return count


PLAIN = "v = 0.8 * v * (1 - s) + current\ns = (v > 0.5).float()"


def told(rule: str) -> str:
    """What an export tells of the example of a rule; it raises StopIteration if the example breaks another."""
    model = Example(PLAIN, BETWEEN[rule]) if rule in BETWEEN else Example(NEURON[rule])
    events = (torch.rand(2, 4, 2, 8, 10, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    reading = read(model.eval(), {"events": events})
    return next(line for line in placement(reading).lines() if f": {rule} " in line)
