import ctypes, fcntl, socket, struct, subprocess

for index, name in socket.if_nameindex():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    request = struct.pack("16s48x", name.encode())
    mac = fcntl.ioctl(s, 0x8927, request)[18:24].hex()
    try:
        address = socket.inet_ntoa(fcntl.ioctl(s, 0x8915, request)[20:24])
    except OSError as error:
        address = str(error)
    print(index, name, mac, address)
import uuid

print(uuid.getnode() == uuid.getnode())
for words in ["addr"], ["route"], ["-6", "route"], ["route", "show", "table", "77"]:
    text = subprocess.run(["ip", "-o", *words], capture_output=True, text=True).stdout
    for line in text.splitlines():
        line = line.split("\\")[0]
        print(" ".join(w for w in line.split() if w not in ("nodad", "noprefixroute", "linkdown", "tentative")))
