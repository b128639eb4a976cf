"""The system calls that no step needs, as the seccomp program that the tier ``strict`` loads.

A deny list in classic BPF: a denied call answers EPERM (``clone3`` ENOSYS, so that libraries fall back to ``clone``, whose
flags can be looked at). Made of numbers alone; nothing here calls the kernel. Sources: Linux, include/uapi/linux/
{bpf_common,seccomp,audit,sched}.h and arch/*/entry/syscalls; Documentation/userspace-api/seccomp_filter.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Mapping
from typing import Final

__all__ = ["ARCHITECTURES", "filter_program"]

_LOAD, _EQUALS, _BITS, _RETURN = 0x20, 0x15, 0x45, 0x06  # BPF_LD|W|ABS, BPF_JMP|JEQ|K, BPF_JMP|JSET|K, BPF_RET|K
_NUMBER, _ARCH, _ARGUMENT_0, _ARGUMENT_1 = 0, 4, 16, 24  # offsets in struct seccomp_data; the low words
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_X32_BIT: Final = 0x40000000
_NEW_NAMESPACES: Final = 0x7E020080  # CLONE_NEW{USER,PID,NET,IPC,UTS,CGROUP,NS,TIME}
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # both can type for the person at the terminal

# What is the same number everywhere: calls newer than the common table (Linux 5.0).
_COMMON: Final[Mapping[str, int]] = {
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
}
_CLONE3: Final = 435

_X86_64: Final[Mapping[str, int]] = {
    "ptrace": 101,
    "syslog": 103,
    "vhangup": 153,
    "modify_ldt": 154,
    "pivot_root": 155,
    "adjtimex": 159,
    "chroot": 161,
    "acct": 163,
    "settimeofday": 164,
    "mount": 165,
    "umount2": 166,
    "swapon": 167,
    "swapoff": 168,
    "reboot": 169,
    "sethostname": 170,
    "setdomainname": 171,
    "iopl": 172,
    "ioperm": 173,
    "init_module": 175,
    "delete_module": 176,
    "quotactl": 179,
    "clock_settime": 227,
    "kexec_load": 246,
    "add_key": 248,
    "request_key": 249,
    "keyctl": 250,
    "unshare": 272,
    "perf_event_open": 298,
    "fanotify_init": 300,
    "open_by_handle_at": 304,
    "clock_adjtime": 305,
    "setns": 308,
    "process_vm_readv": 310,
    "process_vm_writev": 311,
    "kcmp": 312,
    "finit_module": 313,
    "kexec_file_load": 320,
    "bpf": 321,
    "userfaultfd": 323,
}
_AARCH64: Final[Mapping[str, int]] = {
    "umount2": 39,
    "mount": 40,
    "pivot_root": 41,
    "chroot": 51,
    "vhangup": 58,
    "quotactl": 60,
    "acct": 89,
    "unshare": 97,
    "kexec_load": 104,
    "init_module": 105,
    "delete_module": 106,
    "clock_settime": 112,
    "syslog": 116,
    "ptrace": 117,
    "reboot": 142,
    "sethostname": 161,
    "setdomainname": 162,
    "settimeofday": 170,
    "adjtimex": 171,
    "add_key": 217,
    "request_key": 218,
    "keyctl": 219,
    "swapon": 224,
    "swapoff": 225,
    "perf_event_open": 241,
    "fanotify_init": 262,
    "open_by_handle_at": 265,
    "clock_adjtime": 266,
    "setns": 268,
    "process_vm_readv": 270,
    "process_vm_writev": 271,
    "kcmp": 272,
    "finit_module": 273,
    "bpf": 280,
    "userfaultfd": 282,
    "kexec_file_load": 294,
}

# machine → audit number, numbers of clone and ioctl, denied calls
ARCHITECTURES: Final[Mapping[str, tuple[int, int, int, Mapping[str, int]]]] = {
    "x86_64": (0xC000003E, 56, 16, _X86_64),
    "aarch64": (0xC00000B7, 220, 29, _AARCH64),
}
"""What `filter_program` knows, by the name that ``uname -m`` gives."""


def filter_program(machine: str) -> bytes:
    """Return the program for *machine* as an array of ``struct sock_filter``; KeyError for an unknown machine.

    Calls of another architecture (32-bit programs, x32) are all denied.
    """
    audit, clone, ioctl, denied = ARCHITECTURES[machine]
    deny = _ERRNO | errno.EPERM
    code = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUALS, 1, 0, audit),
        (_RETURN, 0, 0, deny),
        (_LOAD, 0, 0, _NUMBER),
        (_BITS, 0, 1, _X32_BIT),
        (_RETURN, 0, 0, deny),
        (_EQUALS, 0, 1, _CLONE3),
        (_RETURN, 0, 0, _ERRNO | errno.ENOSYS),
    ]
    for number in sorted({*denied.values(), *_COMMON.values()}):
        code += [(_EQUALS, 0, 1, number), (_RETURN, 0, 0, deny)]
    code += [
        (_EQUALS, 0, 4, clone),
        (_LOAD, 0, 0, _ARGUMENT_0),
        (_BITS, 0, 1, _NEW_NAMESPACES),
        (_RETURN, 0, 0, deny),
        (_RETURN, 0, 0, _ALLOW),
        (_EQUALS, 0, 4, ioctl),
        (_LOAD, 0, 0, _ARGUMENT_1),
        (_EQUALS, 1, 0, _TIOCSTI),
        (_EQUALS, 0, 1, _TIOCLINUX),
        (_RETURN, 0, 0, deny),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
