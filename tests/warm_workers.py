"""Workers of pytest-xdist, forked from a process that has done the imports: a cold one takes more than a second.

``start()`` serves workers from a fork of this process, and gives a program that stands for the Python interpreter: as a
worker it hands its pipes, environment and folder to the server, which forks the worker; as anything else it is Python.
A cold worker is what ``tests/process`` starts.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

WORKER = ["-u", "-c", "import sys;exec(eval(sys.stdin.readline()))"]
"""What execnet starts, pytest-xdist's own library."""
MOST = 1 << 20
"""Bytes of an environment."""


def start(folder: str) -> tuple[str, int]:
    """The program, written into ``folder``, and the server's process id."""
    address = f"{folder}/workers"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen(16)
    server = os.fork()
    if server == 0:
        serve(listener)
    listener.close()
    program = Path(folder, "python")
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "{__file__}" "{address}" "{sys.executable}" "$@"\n')
    program.chmod(0o700)
    return str(program), server


def serve(listener: socket.socket) -> None:
    """Fork a worker for each connection; never returns in this process."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for workers
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            listener.close()
            become_worker(connection)
        connection.close()


def become_worker(connection: socket.socket) -> None:
    """What the interpreter would do; never returns. The connection ends with the process."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    said, pipes, _, _ = socket.recv_fds(connection, MOST, 3)
    for number, pipe in enumerate(pipes):
        os.dup2(pipe, number)
        os.close(pipe)
    request = json.loads(said)
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.path[0] = ""
    sys.argv = ["-c"]
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115
    exec(WORKER[-1], {"__name__": "__main__"})  # noqa: S102
    sys.exit()


def hand_over(address: str) -> None:
    """Be a worker in another process, until that ends."""
    request = {"env": dict(os.environ), "cwd": str(Path.cwd())}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(address)
        socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
        os.close(0)
        os.close(1)
        connection.recv(1)
    os._exit(0)


if __name__ == "__main__":
    _, address, interpreter, *arguments = sys.argv
    if arguments == WORKER:
        hand_over(address)
    os.execv(interpreter, [interpreter, *arguments])  # noqa: S606
