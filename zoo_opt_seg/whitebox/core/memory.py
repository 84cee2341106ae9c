"""The greatest memory that a training took, where the system lets it be known."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import sys
from pathlib import Path

import torch

ALLOCATED = "GPU memory allocated by torch at its peak, the model included"
RESIDENT = "growth of the process's resident memory at its peak, the model not included"
GREATEST = "growth of the process's greatest resident memory so far, a lower bound"


class PeakMemory:
    """What was used at most since this was made.

    On a GPU it is what torch had allocated (``torch.cuda.max_memory_allocated``), with model and data that are there.
    On a CPU it is how far the resident set of the whole process rose above what it was at the start, when free memory
    has been given back; libraries that are loaded meanwhile count too. Linux lets that mark be set back; elsewhere only
    the greatest of the process's life is known (``ru_maxrss``), and if the process was larger before, growth is too
    small or 0. `kind` says which of the three it is.

    Parameters
    ----------
    device : torch.device

    Attributes
    ----------
    kind : str
        `ALLOCATED`, `RESIDENT` or `GREATEST`.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._before = 0
        if device.type == "cuda":
            self.kind = ALLOCATED
            torch.cuda.reset_peak_memory_stats(device)
            return
        _give_back()
        if _set_back():
            self.kind, self._before = RESIDENT, _of_status("VmRSS")
        else:
            self.kind, self._before = GREATEST, _greatest()

    def bytes(self) -> int:
        """Return the peak so far."""
        if self.kind == ALLOCATED:
            return int(torch.cuda.max_memory_allocated(self._device))
        now = _of_status("VmHWM") if self.kind == RESIDENT else _greatest()
        return max(0, now - self._before)


def _give_back() -> None:
    """Let the allocator return what is free to the system: kept, it would hide what is allocated later."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # of glibc alone
        ctypes.CDLL(None).malloc_trim(0)


def _set_back() -> bool:
    """Set the mark of the greatest resident set back to the present one; return whether the system has done so."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        # Where the file takes anything and does nothing, the mark stays above a process that has shrunk.
        return _of_status("VmHWM") <= _of_status("VmRSS") + 2**24
    except (OSError, ValueError):
        return False


def _of_status(field: str) -> int:
    """Return a field of the process's status in bytes."""
    for line in Path(f"/proc/{os.getpid()}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"no {field} in the process's status")


def _greatest() -> int:
    try:
        import resource
    except ImportError:  # not a Unix
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
