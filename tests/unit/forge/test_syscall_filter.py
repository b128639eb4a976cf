"""The seccomp program, run by a small model of the kernel's interpreter."""

from __future__ import annotations

import errno
import struct

import pytest

from clockwork_nb.forge.syscall_filter import ARCHITECTURES, filter_program

ALLOW, DENY, ABSENT = 0x7FFF0000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS


def answer(machine: str, number: int, *arguments: int, audit: int = 0) -> int:
    data = struct.pack("=IIQ", number, audit or ARCHITECTURES[machine][0], 0)
    data += b"".join(struct.pack("=Q", a) for a in (*arguments, 0, 0, 0, 0, 0, 0)[:6])
    program = list(struct.iter_unpack("=HBBI", filter_program(machine)))
    at, register = 0, 0
    while True:
        code, yes, no, value = program[at]
        at += 1
        if code == 0x20:
            (register,) = struct.unpack_from("=I", data, value)
        elif code == 0x15:
            at += yes if register == value else no
        elif code == 0x45:
            at += yes if register & value else no
        else:
            assert code == 0x06
            return int(value)


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_what_is_listed_is_denied_and_nothing_beside_it(machine: str) -> None:
    denied = ARCHITECTURES[machine][3]
    newer = {425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442}
    for number in range(460):
        if number in denied.values() or number in newer:
            assert answer(machine, number) == DENY, number
        elif number == 435:
            assert answer(machine, number) == ABSENT
        else:
            assert answer(machine, number) == ALLOW, number
    assert {"mount", "ptrace", "unshare", "setns", "bpf", "keyctl", "userfaultfd", "open_by_handle_at"} <= denied.keys()


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_clone_may_make_processes_and_threads_but_no_namespaces(machine: str) -> None:
    clone = ARCHITECTURES[machine][1]
    assert answer(machine, clone, 0x11) == ALLOW  # SIGCHLD: fork
    assert answer(machine, clone, 0x3D0F00) == ALLOW  # a thread
    for namespace in (0x10000000, 0x20000000, 0x40000000, 0x00020000, 0x08000000, 0x04000000, 0x02000000, 0x80):
        assert answer(machine, clone, namespace | 0x11) == DENY, hex(namespace)


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_nothing_may_be_typed_for_the_person_at_the_terminal(machine: str) -> None:
    ioctl = ARCHITECTURES[machine][2]
    assert answer(machine, ioctl, 0, 0x5412) == DENY
    assert answer(machine, ioctl, 0, 0x541C) == DENY
    assert answer(machine, ioctl, 0, 0x5401) == ALLOW  # TCGETS


@pytest.mark.parametrize("machine", ARCHITECTURES)
def test_calls_of_another_architecture_are_denied(machine: str) -> None:
    assert answer(machine, 1, audit=0x40000003) == DENY  # i386
    assert answer(machine, 0x40000001) == DENY  # x32
