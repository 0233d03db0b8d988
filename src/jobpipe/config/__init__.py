"""Settings: declared once, read from flags, environment and files, refused when they are wrong."""

from jobpipe.config.document import SettingRow, describe
from jobpipe.config.load import Effective, load_effective, load_settings
from jobpipe.config.mask import mask_url
from jobpipe.config.settings import QueueSlots, Settings
from jobpipe.config.sources import Origin, OriginKind

__all__ = [
    "Effective",
    "Origin",
    "OriginKind",
    "QueueSlots",
    "SettingRow",
    "Settings",
    "describe",
    "load_effective",
    "load_settings",
    "mask_url",
]
