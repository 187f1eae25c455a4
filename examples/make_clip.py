"""Make a clip of the motion set, as its encoder would: python examples/make_clip.py MOTION FILE."""

import sys
from pathlib import Path

from hybridnet.video.synthetic import make_clip

if __name__ == "__main__":
    motion, file = sys.argv[1:]
    make_clip(Path(file), motion, seed=4_000_000, frames=96)
