"""Completion of the command line, typed into bash, zsh and fish: they know the instances that run, their pools and slots."""
import os
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

from cli_tools import shared_places
from harness import BUILD, ROOT, steps, wait_until

COMPLETIONS = os.path.join(ROOT, "packaging/completions")


class Terminal:
    """A shell that somebody types into."""

    def __init__(self, argv, env, setup):
        pid, self.fd = pty.fork()
        if pid == 0:
            os.execvpe(argv[0], argv, env)
        self.pid, self.text = pid, ""
        for line in setup:
            self.type(line + "\n")
        self.type("PS1='NO''W> '\n")  # split, so that what is typed is not taken for the prompt
        self.wait(lambda: "NOW> " in self.text, "the prompt")

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self, condition, what):
        def look():
            if select.select([self.fd], [], [], 0.05)[0]:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
            return condition()
        wait_until(look, f"{what} in {self.text!r}", 20, lambda: self.text)

    def close(self):
        os.close(self.fd)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


class Typed:
    """bash or zsh: what they offer is read off the screen."""

    def __init__(self, argv, env, setup):
        self.terminal = Terminal(argv, env, setup)

    def offers(self, line, expected):
        terminal = self.terminal
        terminal.text = ""
        terminal.type(line + "\t\t\t")  # the first may add what all have in common
        terminal.wait(lambda: all(re.search(rf"(?<![\w/-]){re.escape(word)}(?![\w-])", terminal.text[len(line):]) for word in expected),
                      f"{expected} behind {line!r}")
        terminal.type("\x15\n")  # clears the line
        time.sleep(0.1)  # what is still to come belongs to it
        return terminal.text

    def close(self):
        self.terminal.close()


class Fish:
    def __init__(self, env):
        self.env = env

    def offers(self, line, expected):
        done = subprocess.run(["fish", "--no-config", "-c", f"source {COMPLETIONS}/handover.fish; complete -C '{line}'"],
                              env=self.env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
        words = [row.split("\t")[0] for row in done.stdout.splitlines()]
        assert set(expected) <= set(words), f"{expected} behind {line!r}: {done}"
        return done.stdout

    def close(self):
        pass


@pytest.fixture(name="alone")
def fixture_alone():
    with shared_places(exclusive=True):
        yield


@pytest.fixture(name="shell", params=["bash", "zsh", "fish"])
def fixture_shell(request, alone, handover):
    if shutil.which(request.param) is None:
        pytest.skip(f"NOT RUN: {request.param} is not installed")
    h = handover("completed")
    h.runtime_dir = f"/run/handover/{h.name}" if os.geteuid() == 0 else h.path(f"xdg/handover/{h.name}")
    h.runtime_options = ["--runtime-dir", h.runtime_dir]
    h.control = h.api.address = f"{h.runtime_dir}/control.sock"
    h.pool("front", steps("ready"), workers=2)
    h.pool("back", steps("ready"))
    h.start()
    env = h.environment(XDG_RUNTIME_DIR=h.path("xdg"), TERM="dumb", HOME=h.place, COLUMNS="200")
    env["PATH"] = f"{BUILD}:{env['PATH']}"
    if request.param == "bash":
        shell = Typed(["bash", "--norc", "--noprofile", "-i"], env,
                      [f"source {COMPLETIONS}/handover.bash", "bind 'set bell-style none'"])
    elif request.param == "zsh":
        shell = Typed(["zsh", "-f", "-i"], env,
                      [f"fpath=({COMPLETIONS} $fpath); autoload -Uz compinit; compinit -u -D; unsetopt beep; stty cols 200"])
    else:
        shell = Fish(env)
    yield h, shell
    shell.close()


def test_commands_options_instances_pools_and_slots(shell):
    h, shell = shell
    shell.offers("handover ", ["status", "reload", "restart", "scale", "logs", "stop", "check"])
    shell.offers("handover reload --", ["--changed", "--abort-on-disconnect"])
    chosen = f"handover -i {h.name}"
    shell.offers("handover -i ", [h.name])
    said = shell.offers(f"{chosen} reload ", ["front", "back"])
    assert "front/0" not in said, "a reload takes pools"
    shell.offers(f"{chosen} restart ", ["front", "front/0", "front/1", "back/0"])


def test_every_command_is_known(shell):
    """What `handover help` lists, the shells offer."""
    _, shell = shell
    text = subprocess.run([os.path.join(BUILD, "handover"), "help"], capture_output=True, text=True, check=True).stdout
    commands = re.findall(r"^  ([a-z-]+)(?: |$)", text.partition("Options of")[0], re.M)
    assert {"status", "reload", "check"} <= set(commands), text
    shell.offers("handover ", commands)
