import time
import promtext
import harness
from harness import steps, wait_until


def page(it):
    code, text = it.api.request("GET", "/metrics")
    assert code == 200
    return promtext.parse(text)


def test_figures(handover):
    it = handover()
    it.socket("s")
    it.pool("api", steps("ready", "notify:X_HANDOVER_INFLIGHT=7", "exit-on:TERM:0"), workers=2, sockets="s")
    it.pool("web", steps("ready", "ignore:TERM", "sleep:100000"), drain_timeout="700ms", dump_signal="SIGUSR2", dump_timeout="100ms", stop_timeout="100ms")
    it.start()
    wait_until(lambda: "handover_pool_in_flight" in page(it), "in-flight")
    f = page(it)
    assert f["handover_pool_in_flight"].value(pool="api") == 14
    assert ("", (("pool", "web"),)) not in f["handover_pool_in_flight"].samples
    assert "handover_last_reload_success" not in f
    it.good_reload(wait="drained")
    f = page(it)
    assert f["handover_pool_generation"].value(pool="web") == 2
    assert f["handover_reloads_total"].value(result="committed") == 1
    assert f["handover_last_reload_success"].value() == 1
    assert time.time() - 30 < f["handover_last_reload_timestamp_seconds"].value() <= time.time()
    assert f["handover_drain_seconds"].value("_count", pool="api") == 2
    assert f["handover_drain_seconds"].value("_bucket", pool="web", le="0.5") == 0
    assert f["handover_drain_seconds"].value("_bucket", pool="web", le="1") == 1
    assert f["handover_escalations_total"].value(pool="web", stage="dump") == 1
    assert f["handover_worker_starts_total"].value(pool="api") == 4
    pid = it.pids("api")[0]
    import os, signal
    os.kill(pid, signal.SIGKILL)
    it.wait_log("killed by SIGKILL")
    it.wait_serving("api", 2)
    assert page(it)["handover_worker_restarts_total"].value(pool="api", reason="crash") == 1
    it.pool("api", steps("exit:3"))
    it.write()
    it.bad_reload()
    f = page(it)
    assert f["handover_reloads_total"].value(result="failed") == 1
    assert f["handover_last_reload_success"].value() == 0
    assert [k for k in f["handover_socket_queue"].samples][0][1][1] == ("socket", "s")


def test_a_pool_that_comes_back_while_it_goes(handover):
    it = handover()
    it.pool("api", steps("ready", "exit-on:TERM:0"))
    it.pool("web", steps("ready", "ignore:TERM", "sleep:100000"), drain_timeout="20s", stop_timeout="100ms")
    it.start()
    web = it.sections.pop("pool:web")
    it.write()
    it.good_reload()
    f = page(it)
    assert f["handover_workers"].value(pool="web", state="draining") == 1
    assert it.pool_status("web")["state"] == "retiring"
    it.sections["pool:web"] = web
    it.write()
    it.good_reload()
    f = page(it)
    assert f["handover_workers"].value(pool="web", state="draining") == 1
    assert f["handover_workers"].value(pool="web", state="serving") == 1
    assert f["handover_pool_slots"].value(pool="web") == 1
    it.api.request("POST", "/v1/stop", {"now": True})
    it.wait_exit()
