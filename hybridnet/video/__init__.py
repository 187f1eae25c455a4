"""Compressed video: reading, accumulation, views, and a synthetic motion set."""

from hybridnet.video.accumulate import References
from hybridnet.video.frames import Gop, PFrame
from hybridnet.video.gop import View
from hybridnet.video.grid import mv_grid
from hybridnet.video.live import LiveClip, open_live
from hybridnet.video.plan import VideoInfo
from hybridnet.video.policy import TranscodePolicy
from hybridnet.video.reader import Clip, open_clip
from hybridnet.video.synthetic import MOTIONS, make_clip
from hybridnet.video.views import ViewArrays, prepare_view, stack_views, to_int8

__all__ = [
    "MOTIONS",
    "Clip",
    "Gop",
    "LiveClip",
    "PFrame",
    "References",
    "TranscodePolicy",
    "VideoInfo",
    "View",
    "ViewArrays",
    "make_clip",
    "mv_grid",
    "open_clip",
    "open_live",
    "prepare_view",
    "stack_views",
    "to_int8",
]
