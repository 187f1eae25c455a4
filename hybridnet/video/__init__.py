"""Compressed video: reading, accumulation, views, and a synthetic motion set."""

from hybridnet.video.accumulate import BackTrace, mv_grid
from hybridnet.video.gop import View
from hybridnet.video.reader import Clip, VideoInfo, open_clip
from hybridnet.video.synthetic import MOTIONS, make_clip
from hybridnet.video.views import ViewTensors, prepare_view, stack_views

__all__ = [
    "MOTIONS",
    "BackTrace",
    "Clip",
    "VideoInfo",
    "View",
    "ViewTensors",
    "make_clip",
    "mv_grid",
    "open_clip",
    "prepare_view",
    "stack_views",
]
