import socket, sys, time


def there():
    with socket.socket() as s:
        try:
            s.bind(("192.0.2.77", 0))
        except OSError:
            return False
    return True


def until(wanted):
    end = time.monotonic() + 8
    while there() != wanted and time.monotonic() < end:
        time.sleep(0.05)
    return there()


print("ready", flush=True)
print(until(True), flush=True)
sys.stdin.readline()
print(until(False), flush=True)
