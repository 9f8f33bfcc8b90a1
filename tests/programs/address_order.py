import socket

for name in "both.test", "ula.test", "near.test", "sixtofour.test", "localhost":
    for family in socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6:
        for flags in 0, socket.AI_ADDRCONFIG:
            try:
                found = socket.getaddrinfo(name, 80, family, socket.SOCK_STREAM, 0, flags)
            except OSError as error:
                found = error.args[0]
            print(name, int(family), int(flags), found if isinstance(found, int) else [entry[4][0] for entry in found])


def source(host, family):
    s = socket.socket(family, socket.SOCK_DGRAM)
    try:
        s.connect((host, 53))
    except OSError as error:
        return str(error)
    return s.getsockname()[0]


for host in (
    "8.8.8.8",
    "8.8.4.4",
    "10.77.0.9",
    "10.78.0.9",
    "169.254.1.1",
    "192.0.2.10",
    "127.0.0.1",
    "198.51.100.7",
    "224.0.0.251",
):
    print(host, source(host, socket.AF_INET))
for host in (
    "2001:4860:4860::8888",
    "2001:db8:77::9",
    "2001:db8:78::9",
    "fd00:77::9",
    "fd12::1",
    "fe80::9%eth0",
    "::1",
    "ff02::fb%eth0",
    "2002:a4d::1",
):
    print(host, source(host, socket.AF_INET6))
