"""A program in a pseudo terminal, and a small terminal that shows what its user sees."""
import fcntl
import os
import re
import select
import signal
import struct
import termios
import time

SEQUENCE = re.compile(r"\x1b\[(\??[0-9;]*)([A-Za-z])")


class Screen:
    """Understands what the command line uses: newlines, carriage returns, cursor up, erase, colours."""

    def __init__(self, columns=80, rows=24):
        self.columns, self.rows = columns, rows
        self.lines, self.row, self.column = [""], 0, 0
        self.wrapped = self.coloured = False
        self.strange = []
        self.rest = b""

    def feed(self, data):
        data = self.rest + data
        # half a character or half a sequence waits for its other half
        for cut in range(len(data), max(len(data) - 16, -1), -1):
            try:
                text = data[:cut].decode()
            except UnicodeDecodeError:
                continue
            if not re.search(r"\x1b(\[[0-9;?]*)?$", text):
                self.rest = data[cut:]
                break
        else:
            raise AssertionError(f"no text: {data!r}")
        self.show(text)

    def show(self, text):
        at = 0
        while at < len(text):
            match = SEQUENCE.match(text, at)
            if match:
                self.sequence(match.group(2), match.group(1))
                at = match.end()
            else:
                self.char(text[at])
                at += 1

    def char(self, char):
        if char == "\n":
            self.row += 1
            if self.row == len(self.lines):
                self.lines.append("")
        elif char == "\r":
            self.column = 0
        elif ord(char) < 32 or 0x7f <= ord(char) < 0xa0:
            self.strange.append(char)
        else:
            if self.column >= self.columns:
                self.wrapped = True
                self.char("\n")
                self.column = 0
            line = self.lines[self.row].ljust(self.column)
            self.lines[self.row] = line[:self.column] + char + line[self.column + 1:]
            self.column += 1

    def sequence(self, kind, argument):
        if kind == "A":
            up = int(argument or 1)
            assert up < self.rows, "the cursor cannot go up beyond the top of the screen"
            self.row -= up
            assert self.row >= 0, "the cursor went above the first line"
        elif kind == "K":
            self.lines[self.row] = self.lines[self.row][:self.column]
        elif kind == "J":
            self.lines[self.row] = self.lines[self.row][:self.column]
            del self.lines[self.row + 1:]
        elif kind == "m":
            self.coloured = True
        else:
            self.strange.append(kind)

    def text(self):
        return "\n".join(line.rstrip() for line in self.lines)


class Terminal:
    """Runs a program in a pseudo terminal of a given size."""

    def __init__(self, argv, env, columns=80, rows=24):
        self.screen = Screen(columns, rows)
        self.raw = b""
        self.fd, side = os.openpty()
        # before the program begins, which may ask at once
        fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                fcntl.ioctl(side, termios.TIOCSCTTY, 0)
                for fd in range(3):
                    os.dup2(side, fd)
                os.execve(argv[0], argv, env)
            finally:
                os._exit(126)
        os.close(side)
        self.code = None

    def read(self, timeout):
        """Takes over what comes within the time; False at the end."""
        if not select.select([self.fd], [], [], timeout)[0]:
            return True
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: the last holder has closed the other side
            return False
        self.raw += data
        self.screen.feed(data)
        return data != b""

    def wait_for(self, *words, timeout=15):
        """Waits until all these words are on the screen at once."""
        end = time.monotonic() + timeout
        while not all(word in self.screen.text() for word in words):
            more = self.read(0.1)
            assert time.monotonic() < end and more, f"no {words} on:\n{self.screen.text()}"
        return self.screen.text()

    def type(self, keys):
        os.write(self.fd, keys)

    def finish(self, timeout=15):
        """Waits for the end; the exit code, as subprocess has it."""
        end = time.monotonic() + timeout
        while self.read(0.1):
            assert time.monotonic() < end, f"still runs:\n{self.screen.text()}"
        self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        os.close(self.fd)
        return self.code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.fd)
