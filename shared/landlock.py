"""Whether the kernel has Landlock. Source: the kernel's ``userspace-api/landlock``."""

import ctypes

_CREATE_RULESET = 444
_CREATE_RULESET_VERSION = 1


def landlock_abi() -> int:
    """Return the kernel's Landlock ABI, 0 when it has none or it is switched off."""
    libc = ctypes.CDLL(None)
    return max(
        0, int(libc.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _CREATE_RULESET_VERSION))
    )
