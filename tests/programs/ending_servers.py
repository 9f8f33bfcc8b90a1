import socket, ssl, sys, threading, time

HOST, DIR = "192.0.2.10", sys.argv[1]
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 1000\r\n\r\nhalf of it"


def serve(port, handle):
    listener = socket.create_server((HOST, port))

    def loop():
        while True:
            conn, _ = listener.accept()
            threading.Thread(target=run, args=(conn,), daemon=True).start()

    def run(conn):
        try:
            handle(conn)
        except OSError:
            pass

    threading.Thread(target=loop, daemon=True).start()


def plain(conn):
    conn.recv(4096)
    conn.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\nConnection: close\r\n\r\nno\n")
    conn.close()


def silent(conn):
    conn.recv(4096)
    time.sleep(30)


def closes(conn):
    conn.recv(4096)
    conn.close()


def resets(conn):
    conn.recv(4096)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    conn.close()


def cuts(conn):
    conn.recv(4096)
    conn.sendall(OK)
    conn.close()


def stalls(conn):
    conn.recv(4096)
    conn.sendall(OK)
    time.sleep(30)


def banner(conn):
    conn.sendall(b"220 mail.test ESMTP\r\n")
    conn.recv(4096)
    time.sleep(0.2)
    conn.close()


def late(conn):
    conn.recv(4096)
    time.sleep(0.4)
    conn.sendall(OK.replace(b"1000", b"10"))
    conn.recv(1)
    conn.close()


def at_end(conn):
    conn.recv(4096)
    conn.recv(1)
    conn.close()


for number, handle in enumerate((plain, silent, closes, resets, cuts, stalls, banner, late, at_end)):
    serve(7501 + number, handle)
time.sleep(600)
