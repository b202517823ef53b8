"""A thousand workers: started in slices, so that everybody else is answered meanwhile, and stopped."""
import resource

from harness import call, children_of, in_background, monotonic_usec, rpc, steps

WORKERS = 1000


def test_a_thousand_workers(handover, record_property):
    h = handover()
    port = h.socket("web")
    h.pool("rpc", rpc(), sockets="web")
    h.start()
    h.pool("idle", steps("exit-on:TERM:0"), workers=WORKERS, ready="delay:0", stdout="null", max_processes=2 * WORKERS)
    h.supervisor(log_level="warning")
    h.write()
    slowest, looks, begin = 0, 0, monotonic_usec()
    reload = in_background(h.good_reload, changed=True)
    while not reload.done():
        asked = monotonic_usec()
        assert h.status()["state"] == "running"
        slowest, looks = max(slowest, monotonic_usec() - asked), looks + 1
        assert call(port, "add", a=1, b=2)["sum"] == 3
    assert "pool idle: generation 1 serves with 1000 workers" in reload.result()["message"]
    started = monotonic_usec() - begin
    assert looks > 1, "there was no moment to ask in"
    assert len(children_of(h.pid)) == WORKERS + 1
    assert h.cli("status").stdout.count("\nidle ") == WORKERS
    begin = monotonic_usec()
    h.stop()
    record_property("load", f"{WORKERS} workers started in {started / 1e6:.2f} s, the slowest of {looks} status answers meanwhile took "
                            f"{slowest / 1000:.0f} ms; stopped in {(monotonic_usec() - begin) / 1e6:.2f} s")


def test_a_thousand_workers_from_the_beginning(handover):
    h = handover()
    h.pool("idle", steps("exit-on:TERM:0", "ready"), workers=WORKERS, max_processes=2 * WORKERS)
    h.launch()
    h.wait_log("pid \\d+ started")
    assert h.cli("status").returncode == 0
    h.wait_log(f"is ready: {WORKERS} workers serve")
    assert h.pool_status("idle")["serving"] == WORKERS
    h.stop()


def test_a_stop_in_the_middle_of_the_start(handover):
    h = handover()
    h.pool("idle", steps("exit-on:TERM:0"), workers=WORKERS, ready="delay:4min", start_timeout="5min", max_processes=2 * WORKERS)
    h.launch()
    h.wait_log("pid \\d+ started", count=10)
    h.stop()
    assert h.count_log("pid \\d+ started") <= WORKERS


def test_more_workers_than_descriptors_allow(handover):
    h = handover()
    h.pool("idle", steps("ready"), workers=100)
    h.launch(preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)))
    assert h.process.wait(30) in (1, 78)
    h.expected_exit = h.process.returncode
    assert "descriptors" in h.log and "256" in h.log and "pid" not in h.log
