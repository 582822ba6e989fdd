"""A system clock that jumps, for the processes of a test: a library in front of the C library's own clocks.

Only the time of day jumps; the monotonic clock goes on as it does when somebody sets the real system clock.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

COMPILER = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc")
SOURCE = r"""
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long long none, *jump = &none;

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("CLOCK_JUMP");
    int file = path ? open(path, O_RDONLY) : -1;
    void *page = file < 0 ? MAP_FAILED : mmap(0, sizeof *jump, PROT_READ, MAP_SHARED, file, 0);
    if (page != MAP_FAILED) jump = page;
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *jump;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec exact;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *copy) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (copy) *copy = exact.tv_sec;
    return exact.tv_sec;
}
"""
# What a process sees: both clocks, before and after a wait for a lock, as the target's threads wait.
PROBE = """
import threading, time
lock = threading.Lock()
lock.acquire()
print(time.time(), time.monotonic(), flush=True)
lock.acquire(timeout=0.05)
print(time.time(), time.monotonic(), flush=True)
"""


class JumpingClock:
    """The system clock of the processes that are started with `env`.

    Args:
        folder: Where its library and its file go.
    """

    def __init__(self, folder: Path) -> None:
        assert COMPILER is not None
        source, library, offset = folder / "clock.c", folder / "clock.so", folder / "clock"
        source.write_text(SOURCE)
        subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, source], check=True)
        offset.write_bytes(bytes(8))
        with offset.open("r+b") as file:
            self._offset = mmap.mmap(file.fileno(), 8)
        self.env = {"LD_PRELOAD": str(library), "CLOCK_JUMP": str(offset)}

    def set(self, seconds: int) -> None:
        """Set the clock so much ahead of the true time, at once, for every process; negative is behind."""
        self._offset[:] = struct.pack("q", seconds)

    def seen(self) -> tuple[float, float]:
        """What a process of this Python sees: how far each of its clocks is ahead of the true ones, rounded.

        Raises:
            subprocess.TimeoutExpired: This Python's own locks wait by the system clock.
        """
        reported = subprocess.run(
            [sys.executable, "-c", PROBE],
            env={**os.environ, **self.env},
            capture_output=True,
            timeout=10,
            check=True,
        )
        wall, monotonic = (float(each) for each in reported.stdout.splitlines()[-1].split())
        return round((wall - time.time()) / 60) * 60, round((monotonic - time.monotonic()) / 60) * 60
