#!/usr/bin/env python3
"""A Netroxy v0.3 server in 80 lines, with a bug that docs/conformance.md finds. Not for production."""

import socket
import sys
import threading

HOST, PORT, USER, PASSWORD, TIMEOUT = sys.argv[1:6]
TOKEN = "0123456789abcdef"
ports = {}  # remote port: users that wait for a data connection


def lines(stream, count):
    """Reads the next lines of a connection as text. None at its end."""
    found = [stream.readline() for _ in range(count)]
    return [line[:-1].decode() for line in found] if all(found) else None


def send(connection, *texts):
    connection.sendall("".join(f"{text}\n" for text in texts).encode())


def copy(source, sink):
    """Copies bytes from source to sink until source ends."""
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def users(listener, port, control):
    try:
        while True:
            user, _ = listener.accept()
            ports[port].append(user)
            send(control, "TRQ", port)
    except OSError:
        pass


def control_connection(control, stream):
    name, user, password = lines(stream, 3)
    if (user, password) != (USER, PASSWORD):
        send(control, "ARS", "false", "0", "")
        return
    send(control, "ARS", "true", TIMEOUT, TOKEN)
    mapped = []
    while word := lines(stream, 1):
        if word == ["SRQ"]:
            send(control, "SRS")
        elif word == ["MAP"]:
            port, target, is_open = lines(stream, 3)
            try:
                mapped.append(socket.create_server((HOST, int(port))))
                ports[port] = []
                threading.Thread(target=users, args=(mapped[-1], port, control), daemon=True).start()
                send(control, "MRS", port, "true")
            except OSError:
                send(control, "MRS", port, "false")
    for listener in mapped:
        listener.shutdown(socket.SHUT_RDWR)


def serve(connection):
    stream = connection.makefile("rb")
    word = lines(stream, 1)
    if word == ["ATH"]:
        control_connection(connection, stream)
    elif word == ["TRS"]:
        token, port = lines(stream, 2)
        user = ports[port].pop(0)
        threading.Thread(target=copy, args=(user, connection), daemon=True).start()
        copy(connection, user)
    connection.close()


server = socket.create_server((HOST, int(PORT)))
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
