import os

for path in (
    "/etc/passwd",
    "/etc/shadow",
    "/etc",
    "/tmp",
    "/bin",
    "/dev/null",
    "/proc/1",
    "/var/mail",
    os.environ["DIR"],
    "/usr/bin/env",
):
    a, b = os.stat(path), os.lstat(path)
    print(path, a.st_uid, a.st_gid, b.st_uid, b.st_gid)
for path in ("/etc/passwd", "/dev/null", "/"):
    fd = os.open(path, os.O_PATH)
    print(os.fstat(fd).st_uid, os.fstat(fd).st_gid)
fd = os.open("/etc", os.O_RDONLY)
print(os.stat("passwd", dir_fd=fd).st_uid)
print(sorted((e.name, e.stat().st_uid, e.stat().st_gid) for e in os.scandir("/etc") if e.is_file()))
print(
    sorted((n, os.lstat("/usr/bin/" + n).st_uid) for n in os.listdir("/usr/bin"))
    == [(n, 0) for n in sorted(os.listdir("/usr/bin"))]
)
os.chdir("/etc")
print(os.stat(".").st_uid, os.stat("passwd").st_uid)
for path in ("/nowhere", "/root/x", ""):
    try:
        os.stat(path)
    except OSError as error:
        print(error)
print(os.getgroups() == sorted(os.getgroups()), os.getuid(), os.getgid())
for uid, gid in ((0, 0), (-1, 0), (65534, 65534), (-1, os.getgid()), (os.getuid(), -1)):
    open(os.environ["HOME"] + "/mine", "w").close()
    try:
        os.chown(os.environ["HOME"] + "/mine", uid, gid)
        print("done")
    except OSError as error:
        print(error.strerror)
