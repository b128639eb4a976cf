"""``free_port("name")``: the same answer until it is applied, and after."""

from __future__ import annotations

import socket

from clockwork_nb.session.free_ports import FreePorts, is_free


def test_two_plans_in_a_row_agree_and_names_differ() -> None:
    first, second = FreePorts("seed", {}), FreePorts("seed", {})
    assert [first(n) for n in "abc"] == [second(n) for n in "abc"]
    assert len(set(first.answers.values())) == 3


def test_recorded_port_is_kept_although_it_is_taken_now() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert not is_free(taken)
        assert FreePorts("seed", {"web": taken})("web") == taken


def test_port_of_somebody_else_is_passed_over() -> None:
    wanted = FreePorts("seed", {})("web")
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", wanted))
        holder.listen()
        assert FreePorts("seed", {})("web") != wanted


def test_recorded_port_of_another_name_is_never_given_away() -> None:
    wanted = FreePorts("seed", {})("web")
    assert FreePorts("seed", {"api": wanted})("web") != wanted
