"""A model that breaks each rule R2xx, as docs/placement-rules.md shows it; each is read when the page is made."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from hybridnet.errors import PartitionError
from hybridnet.partition.arithmetic.read import read
from hybridnet.partition.arithmetic.split import place
from hybridnet.partition.arithmetic.telling import placement

PLAIN = "v = 0.8 * v * (1 - s) + current\ns = (v > 0.5).float()"
DENSE = "v = 0.8 * v * (1 - s) + self.dense(x.flatten(1))\ns = (v > 0.5).float()"


def behind(current: str, first: str = PLAIN) -> str:
    """Two layers, of which the second reads `current`."""
    return f"{first}\nw = 0.8 * w * (1 - r) + {current}\nr = (w > 0.5).float()"


EXAMPLES = {
    "R201": "v = 0.8 * v + current\ns = torch.sigmoid(v - 0.5)",
    "R202": "v = 0.8 * v * (1 - s) + current\ns = (v > 0.5 * current).float()",
    "R203": behind("current").replace("(1 - r)", "(1 - r) * (1 - s)"),
    "R204": "v = (0.8 * v + current) * (1 - s)\ns = (v > 0.5).float()",
    "R205": behind("v", "v = 0.8 * v * (1 - s) + current + 0.1 * w\ns = (v > 0.5).float()"),
    "R206": "v = 0.8 * v * (1 - s) + self.conv(events[:, -1 - t])\ns = (v > 0.5).float()",
    "R208": "v = 0.8 * v * (1 - s) + (current if t % 2 == 0 else 0)\ns = (v > 0.5).float()",
    "R209": "v = (0.9 - 0.1 * t) * v * (1 - s) + current\ns = (v > 0.5).float()",
    "R210": "a = 0.5 * a + current\nw = 0.9 * w + a\nv = 0.8 * v * (1 - s) + w\ns = (v > 0.5).float()",
    "R211": "v = 0.8 * v * (1 - s) + current + 0.1 * t\ns = (v > 0.5).float()",
    "R212": "v = 0.8 * v * (1 - 0.5 * s) + current\ns = (v > 0.5).float()",
    "R213": "v = 0.8 * v + current\ns = (v > 0.5).float()\nv = torch.where(s > 0, -0.2, v)",
    "R214": "v = 0.8 * v * (1 - s) + current\ns = (v > 0.5).float() + (v > 1).float()",
    "R215": "v = 0.8 * v * (1 - s) + current\ns = (v > -0.1).float()",
    "R216": "v = 1.2 * v * (1 - s) + current\ns = (v > 0.5).float()",
    "R217": f"{PLAIN}\nif t < 3:\n    w = 0.8 * w * (1 - r) + self.next(s)\n    r = (w > 0.5).float()",
    "R218": "v = 0.8 * v * (1 - s) + (current + 1e6 - 1e6)\ns = (v > 0.5).float()",
    "R219": behind("self.next(nn.functional.max_pool2d(s, 3, dilation=2))"),
    "R221": behind("self.next(s) * s"),
    "R222": behind("self.next(v)"),
    "R223": "v = 0.8 * v * (1 - s) + torch.stack((current, current.flip(3)), 2)\ns = (v > 0.5).float()",
    "R224": behind("self.next(s.flip(3))"),
    "R225": behind("self.next(s[..., None, None].repeat(1, 1, 8, 10))", DENSE),
    "R226": "v = 0.8 * v * (1 - s) + current\ns = (v > self.per_position).float()",
    "R227": "v = 0.8 * v * (1 - s) + nn.functional.avg_pool2d(current, 3, 1, 1, count_include_pad=False)\n"
            "s = (v > 0.5).float()",
    "R228": "v = 0.8 * v * (1 - s) + nn.functional.conv2d(x, self.conv.weight / 0)\ns = (v > 0.5).float()",
    "R229": behind("nn.functional.max_pool2d(self.next(s), 2)"),
    "R230": behind("self.next(s.mean((2, 3), keepdim=True).exp() * s)"),
    "R231": behind("self.next(s).exp()") + "\na = 0.8 * a * (1 - b) + self.last(r)\nb = (a > 0.5).float()",
    "R232": behind("self.next(s)"),
    "R233": f"{PLAIN}\na = 0.8 * a + self.next(s)\nread_by_nothing = (a > 0.5).float()",
    "R234": "v = 0.8 * v * (1 - s) + current\ns = (v.tanh() > 0.5).float()",
    "R235": "a = 0.9 * a + 0.1 * s\nv = 0.8 * v * (1 - s) + current\ns = (v > 0.5 + a).float()",
    "R236": "v = 0.8 * v + current\ns = (v > 0.5).float() - (v < -0.5).float()\nv = v - 0.5 * s",
    "R237": "v = 0.8 * v * (1 - s) + current\ns = (torch.sign(v - 0.5) + 1) / 2",
    "R238": "v = 0.8 * v + current\ns = v.clamp(0, 4).round()\nv = v - s",
    "R239": "v = 0.8 * v * (1 - s) + current\ns = ((v > 0.5) & (v == v.amax(1, keepdim=True))).float()",
    "R240": behind("self.next(s)") + "\na = 0.8 * a * (1 - b) + self.last(nn.functional.max_pool2d(s + r, 2))\n"
            "b = (a > 0.5).float()",
    "R241": behind("self.next(s / (1 + events.std(1)[:, :1]))"),
    "R242": "v = 0.8 * v.tanh() * (1 - s) + current\ns = (v > 0.5).float()",
}  # fmt: skip
"""Per rule what stands in a loop over the steps t, behind `x = events[:, t]` and `current = self.conv(x)`."""

KEPT = {"R232": ("next",)}
"""What an example keeps on the host by `--keep-on-host`."""


class Example(nn.Module):
    """Neurons that an example writes, on events (B, T, 2, 8, 10)."""

    def __init__(self, body: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.next, self.last = (nn.Conv2d(channels, 4, 3, 1, 1) for channels in (2, 4, 4))
        self.dense = nn.Linear(160, 4)
        for conv in (self.conv, self.next, self.last):
            conv.weight.data *= 4  # so that neurons fire
        self.per_position = 0.5 + 0.1 * torch.rand(8, 10)
        self.body = compile(body, "<example>", "exec")

    def forward(self, events: Tensor) -> tuple[Tensor, ...]:
        """How often each neuron fires whose spikes are named s, r or b."""
        zero = torch.zeros(())
        names: dict[str, Any] = {"self": self, "torch": torch, "nn": nn, "events": events} | dict.fromkeys(
            "vwasrb", zero
        )
        counts = dict.fromkeys("srb", zero)
        for t, x in enumerate(events.unbind(1)):
            names |= {"x": x, "current": self.conv(x), "t": t}
            exec(self.body, names)
            counts = {name: count + names[name] for name, count in counts.items()}
        return tuple(count for count in counts.values() if count.ndim)


def told(rule: str) -> str:
    """What an export tells of the example of a rule; it raises StopIteration if the example breaks another."""
    model = Example(EXAMPLES[rule]).eval()
    events = (torch.rand(2, 4, 2, 8, 10, generator=torch.Generator().manual_seed(1)) < 0.3).float()
    try:
        found = place(model, {"events": events}, KEPT.get(rule, ())).placement
    except PartitionError:  # nothing is placed
        found = placement(read(model, {"events": events}))
    return next(line for line in found.lines() if f": {rule} " in line)
