"""Programs run beside a test: started with their output in a file or a pipe, always ended."""
import os
import pty
import select
import signal
import socket
import subprocess
import time


class Failed(AssertionError):
    pass


def run(argv, stdin=None, ok=True, timeout=60, env=None):
    """Runs to the end; returns (stdout, stderr, status). With ok, a status other than 0 raises."""
    try:
        result = subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=timeout,
                                env=env, **({} if stdin is not None else {"stdin": subprocess.DEVNULL}))
    except subprocess.TimeoutExpired as error:
        raise Failed("%s: still running after %d s: %s" %
                     (" ".join(argv), timeout, (error.stdout or b"")[-500:])) from error
    if ok and result.returncode != 0:
        raise Failed("%s: status %d\n%s%s" % (" ".join(argv), result.returncode,
                                              result.stdout[-1500:], result.stderr[-1500:]))
    return result.stdout, result.stderr, result.returncode


def stop(process, seconds=20, with_signal=signal.SIGTERM):
    """Asks it to end, insists after a while, and returns its status."""
    if process.poll() is None:
        process.send_signal(with_signal)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise Failed("%s: did not end %d s after a signal" % (process.args[0], seconds)) from None
    return process.returncode


class Notifications:
    """The socket that a service manager listens on: sd_notify(3)."""

    def __init__(self, path):
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        os.unlink(self.path)

    def expect(self, text, sender, seconds=60):
        """False if the sender ended, or time is up."""
        end, pidfd = time.monotonic() + seconds, os.pidfd_open(sender.pid)
        try:
            while time.monotonic() < end:
                ready, _, _ = select.select([self.socket, pidfd], [], [], end - time.monotonic())
                if self.socket in ready:
                    if text in self.socket.recv(4096).decode():
                        return True
                elif ready:
                    return False
            return False
        finally:
            os.close(pidfd)


class Terminal:
    """A program on a terminal of its own: what a person sees and types."""

    def __init__(self, argv, env=None):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                os.execvpe(argv[0], argv, env or os.environ)
            finally:
                os._exit(127)

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, text, seconds=20):
        """Waits until `text` has been shown; returns what came before it and forgets both."""
        end = time.monotonic() + seconds
        while text not in self.text:
            if not self._read(end - time.monotonic()):
                raise Failed("terminal: no %r within %d s, but %r" % (text, seconds, self.text[-800:]))
        before, self.text = self.text.split(text, 1)
        return before

    def wait(self, seconds=20):
        """Its exit status, once it has ended."""
        end = time.monotonic() + seconds
        while self._read(end - time.monotonic()):
            pass
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.pid = 0
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.02)
        raise Failed("terminal: still running after %d s, shows %r" % (seconds, self.text[-800:]))

    def close(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0
        os.close(self.fd)

    def _read(self, seconds):
        """False at the end of its output, or when time is up."""
        if seconds <= 0 or not select.select([self.fd], [], [], seconds)[0]:
            return False
        try:
            data = os.read(self.fd, 65536)
        except OSError:  # EIO: nobody holds the other side
            return False
        self.text += data.decode(errors="replace")
        return bool(data)
