#!/usr/bin/env python3
"""Packets of the tables of network features: servers that say who asks, and clients that tell what
they heard. Run in the network namespace in question, by harness/packets.py.

usage: probe.py serve NAME PROTOCOL/PORT...    answers "NAME ADDRESS", until its input ends
       probe.py ask                            JSON [[protocol, address, port], ...] in, answers out
       probe.py session|flow ADDRESS PORT

Questions of one call are asked at the same time. An answer is what the server said, or "refused",
"timeout", or another error's name. Of protocol "bulk" the question is a long one, over TCP; "http"
gives the status of GET /. A "session" asks over one TCP connection, and again after a line comes on
the input; a "flow" sends datagrams of one socket, each after a line.
"""
import concurrent.futures
import errno
import http.client
import json
import socket
import sys
import threading

KINDS = {"tcp": (socket.SOCK_STREAM, 0), "udp": (socket.SOCK_DGRAM, 0),
         "sctp": (socket.SOCK_STREAM, socket.IPPROTO_SCTP)}


def plain(address):
    return address[7:] if address.startswith("::ffff:") else address


def serve_stream(listener, name):
    def talk(connection, peer):
        with connection:
            while connection.recv(10000):
                connection.sendall(("%s %s " % (name, plain(peer[0]))).encode())
    while True:
        threading.Thread(target=talk, args=listener.accept(), daemon=True).start()


def serve_datagrams(endpoint, name):
    while True:
        _, peer = endpoint.recvfrom(100)
        endpoint.sendto(("%s %s" % (name, plain(peer[0]))).encode(), peer)


def serve(name, ports):
    for text in ports:
        protocol, port = text.split("/")
        kind, number = KINDS[protocol]
        # A datagram's answer must leave by the address it came to: a socket for each family does.
        endpoint = socket.socket(socket.AF_INET6, kind, number)
        endpoint.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        endpoint.bind(("::", int(port)))
        if kind == socket.SOCK_STREAM:
            endpoint.listen(64)
        work = serve_stream if kind == socket.SOCK_STREAM else serve_datagrams
        threading.Thread(target=work, args=(endpoint, name), daemon=True).start()
    print("serving", flush=True)
    sys.stdin.read()


def word(error):
    if isinstance(error, TimeoutError):
        return "timeout"
    return "refused" if error.errno == errno.ECONNREFUSED else errno.errorcode.get(error.errno, str(error))


def ask(protocol, address, port, timeout=1.0):
    try:
        if protocol == "http":
            connection = http.client.HTTPConnection(address, port, timeout=timeout)
            connection.request("GET", "/")
            return str(connection.getresponse().status)
        kind, number = KINDS["tcp" if protocol == "bulk" else protocol]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with socket.socket(family, kind, number) as endpoint:
            endpoint.settimeout(timeout)
            endpoint.connect((address, port))
            if protocol == "bulk":
                endpoint.sendall(b"?" * 200000)
                endpoint.shutdown(socket.SHUT_WR)
                answer = endpoint.recv(100)
                while endpoint.recv(100000):
                    pass
                return " ".join(answer.decode().split()[:1])
            endpoint.send(b"?")
            return endpoint.recv(100).decode().strip()
    except OSError as error:
        return word(error)


def session(address, port):
    """Two answers over one connection, the second after a line of input."""
    with socket.create_connection((address, port), timeout=5) as connection:
        for _ in range(2):
            connection.send(b"?")
            print(connection.recv(100).decode().strip(), flush=True)
            sys.stdin.readline()


def flow(address, port):
    """Answers to datagrams of one socket, one for each line of input."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM) as endpoint:
        endpoint.settimeout(0.5)
        endpoint.connect((address, port))
        for _ in sys.stdin:
            try:
                endpoint.send(b"?")
                print(endpoint.recv(100).decode(), flush=True)
            except OSError as error:
                print(word(error), flush=True)


def main():
    if sys.argv[1] == "serve":
        serve(sys.argv[2], sys.argv[3:])
    elif sys.argv[1] in ("session", "flow"):
        globals()[sys.argv[1]](sys.argv[2], int(sys.argv[3]))
    else:
        questions = json.load(sys.stdin)
        with concurrent.futures.ThreadPoolExecutor(64) as pool:
            print(json.dumps(list(pool.map(lambda q: ask(*q), questions))))


if __name__ == "__main__":
    main()
