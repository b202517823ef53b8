"""Sockets that .socket units open for us."""
import re

from harness import Call, call, is_refused, rpc, steps


def test_the_first_connection_starts_the_service_and_is_answered(service):
    h = service()
    h.socket("web", "systemd:front")
    h.pool("api", rpc(), sockets="web", workers=2)
    port = h.socket_unit("front")
    h.write()
    assert h.state == "inactive"
    assert call(port, "add", a=1, b=2)["sum"] == 3
    h.wait_state("active")


def test_two_names_beside_a_socket_of_our_own(service):
    h = service()
    h.socket("web", "systemd:front")
    h.socket("admin", "systemd:back")
    own = h.socket("own")
    h.pool("api", rpc(), sockets="web own admin")
    front, back = h.socket_unit("front"), h.socket_unit("back")
    h.start()
    assert [sorted(call(port, "info")["sockets"].split()) for port in (front, back, own)] == [["admin", "own", "web"]] * 3
    assert h.systemctl("reload").returncode == 0
    assert call(back, "info")["generation"] == 2


def fails_to_start(h, *said):
    h.may_fail = True
    h.write()
    assert h.systemctl("start").returncode != 0
    h.wait(lambda: all(re.search(pattern, h.log) for pattern in said), f"the journal to say {said}")
    # it is tried again, and may be right by then
    assert h.show("ActiveState") == "activating" or h.show("NRestarts") != "0"


def test_a_name_that_is_missing(service):
    h = service()
    h.socket("web", "systemd:nowhere")
    h.pool("api", rpc(), sockets="web")
    h.socket_unit("front")
    h.socket_unit("back")
    fails_to_start(h, r"socket web: no socket named 'nowhere' was passed to us by the service manager; "
                      r"what was passed: '(front', 'back|back', 'front)'")


def test_a_service_without_its_socket_units(service):
    h = service()
    h.socket("web", "systemd:front")
    h.pool("api", rpc(), sockets="web")
    fails_to_start(h, r"no socket named 'front' was passed to us by the service manager; none was passed")
    h.systemctl("stop")
    port = h.socket_unit("front")
    h.systemctl("start", check=True)
    assert call(port, "add", a=1, b=2)["sum"] == 3


def test_a_name_that_was_given_twice(service):
    h = service()
    h.socket("web", "systemd:front")
    h.pool("api", rpc(), sockets="web")
    h.socket_unit("front")
    h.socket_unit("front")
    fails_to_start(h, r"socket web: 2 sockets named 'front' were passed to us by the service manager "
                      r"\(descriptor 3, descriptor 4\): which one is meant\?")


def test_what_is_no_listening_socket(service):
    h = service()
    h.socket("web", "systemd:front")
    h.pool("api", rpc(), sockets="web")
    h.socket_unit("front", ListenFIFO=f"/run/{h.name}.fifo", RemoveOnStop="yes")
    fails_to_start(h, r"socket web: cannot use descriptor 3, 'front', of the service manager: it is no socket")


def test_a_socket_of_another_type(service):
    h = service()
    h.socket("web", "systemd:front")
    h.pool("api", rpc(), sockets="web")
    h.socket_unit("front", ListenSequentialPacket=f"/run/{h.name}.sock", RemoveOnStop="yes")
    fails_to_start(h, r"socket web: cannot use descriptor 3, 'front', .*: it is no stream and no datagram socket")


def test_a_name_that_nobody_uses(service):
    h = service()
    h.socket("web", "systemd:front")
    h.pool("api", rpc(), sockets="web")
    front, spare = h.socket_unit("front"), h.socket_unit("spare")
    h.start()
    assert re.search(r"socket 'spare' was passed to us by the service manager, and no \[socket:\] section has", h.log)
    # a reload takes it into use
    waiting = Call(spare, "info")
    h.socket("more", "systemd:spare")
    h.pool("api", rpc(), sockets="web more")
    h.write()
    assert h.systemctl("reload").returncode == 0, h.tell()
    assert waiting.answer()["generation"] == 2 and call(front, "info")["generation"] == 2


def test_stop_and_start_refuse_nobody(service):
    h = service()
    h.socket("web", "systemd:front")
    h.pool("api", rpc(), sockets="web", workers=2, drain_timeout="3s")
    port = h.socket_unit("front")
    h.start()
    load = h.load("--new", 100, "--keepalive", "50,4", "--slow", "5,100,300", target=f"127.0.0.1:{port}")
    load.wait_answered(100)
    for _ in range(5):
        h.systemctl("stop", check=True)
        h.systemctl("start", check=True)
        load.wait_answered(50)
    code, summary, printed = load.finish()
    assert code == 0 and summary["total"]["failed"] == 0, printed + h.tell()


def test_clients_wait_while_it_is_stopped(service):
    h = service()
    h.socket("web", "systemd:front")
    h.pool("api", steps("ready"), sockets="web")  # accepts nothing
    port = h.socket_unit("front")
    h.start()
    waiting = Call(port, "info")
    h.pool("api", rpc())
    h.write()
    h.systemctl("stop", check=True)
    assert not is_refused(port)
    assert waiting.answer()["generation"] == 1
def test_a_socket_that_was_let_go_is_taken_again(service):
    h = service()
    h.socket("web", "systemd:front")
    h.socket("more", "systemd:spare")
    h.pool("api", rpc(), sockets="web more")
    h.socket_unit("front")
    spare = h.socket_unit("spare")
    h.start()
    h.section("socket:more", listen=f"tcp://127.0.0.1:{h.ports.take()}")
    h.write()
    assert h.systemctl("reload").returncode == 0, h.tell()
    h.wait_log("socket more .*is no longer configured: leaving it to the service manager")
    waiting = Call(spare, "info")
    h.section("socket:more", listen="systemd:spare")
    h.write()
    assert h.systemctl("reload").returncode == 0, h.tell()
    assert waiting.answer()["generation"] == 3


