# SPDX-License-Identifier: MIT
"""A terminal, as tmux is one, with a shell in it: what it shows, and what is typed."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile

from harness import end_process, wait_until


class Terminal:
    """A tmux server of its own. The shell's prompt is "$ "."""

    def __init__(self, width, height, **environment):
        self._folder = tempfile.mkdtemp(prefix="execd-tmux-")
        self._socket = os.path.join(self._folder, "socket")
        self._environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm", "HOME": self._folder, **environment}
        shell = ["env", "-i", *(f"{k}={v}" for k, v in {**self._environment, "TERM": "screen", "PS1": "$ "}.items()), "bash", "--norc", "--noprofile"]
        # setpriv: ends with us, even if we are killed.
        self._server = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", "tmux", "-D", "-S", self._socket, "-f", "/dev/null"],
                                        env=self._environment, stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            wait_until(self._listens, what="a tmux server")
            self._tmux("new-session", "-d", "-x", str(width), "-y", str(height), *shell)
            self.wait("$")
        except BaseException:
            self.close()
            raise

    def _listens(self):
        with socket.socket(socket.AF_UNIX) as s:
            return s.connect_ex(self._socket) == 0

    def _tmux(self, *arguments):
        return subprocess.run(["tmux", "-S", self._socket, *arguments], env=self._environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=30, check=True).stdout

    def screen(self, colours=False):
        """The lines, without the empty ones at the end."""
        return self._tmux("capture-pane", "-p", *(["-e"] if colours else [])).rstrip("\n")

    def state(self):
        """(whether there is a cursor, whether it is the other screen)"""
        cursor, other = self._tmux("display-message", "-p", "#{cursor_flag} #{alternate_on}").split()
        return cursor == "1", other == "1"

    def type(self, *keys):
        """Keys as tmux names them."""
        self._tmux("send-keys", *keys)

    def run(self, command):
        self._tmux("send-keys", "-l", command)
        self.type("Enter")

    def resize(self, width, height):
        """Returns when a program that begins now has the new size."""
        self._tmux("resize-window", "-x", str(width), "-y", str(height))
        tty = os.open(self._tmux("display-message", "-p", "#{pane_tty}").strip(), os.O_RDONLY | os.O_NOCTTY)
        try:
            wait_until(lambda: tuple(os.get_terminal_size(tty)) == (width, height), what="the new size")
        finally:
            os.close(tty)

    def wait(self, *texts):
        """Until all of them are shown; returns the screen."""
        def look():
            text = self.screen()
            return text if all(t in text for t in texts) else None
        try:
            return wait_until(look, what=f"a screen with {texts}", interval=0.1)
        except AssertionError as e:
            raise AssertionError(f"{e}; the screen:\n{self.screen()}") from None

    def close(self):
        end_process(self._server, signal.SIGTERM, timeout=15)
        shutil.rmtree(self._folder, ignore_errors=True)
