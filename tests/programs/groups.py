import grp, os, stat, subprocess

groups = sorted(set(os.getgroups()) - {os.getgid()})
print(groups, [grp.getgrgid(g).gr_name for g in groups])
os.chdir(os.environ["HOME"])
for how, give in (
    ("chown", os.chown),
    ("lchown", os.lchown),
    ("fchown", lambda path, u, g: os.fchown(os.open(path, os.O_RDONLY), u, g)),
):
    for group in (groups[0], os.getgid(), 0):
        with open("given", "w"):
            pass
        try:
            give("given", -1, group)
            said = "done"
        except OSError as error:
            said = error.strerror
        print(how, group, said, os.stat("given").st_gid)
        os.unlink("given")
os.mkdir("shared")
os.chown("shared", -1, groups[0])
os.chmod("shared", 0o2770)
with open("shared/inherits", "w"):
    pass
print(os.stat("shared/inherits").st_gid, oct(os.stat("shared").st_mode))
name = grp.getgrgid(groups[0]).gr_name
for script in (
    f"chgrp {name} shared/inherits; stat -c '%G %g' shared/inherits",
    f"install -g {name} -m 640 /etc/hostname there; stat -c '%G %a' there",
    "tar cf - shared | tar tvf - | cut -d' ' -f1-2",
    "cp -a shared again; stat -c %G again again/inherits",
    f"find . -group {name} | sort",
    "[ -G shared ]; echo $?",
):
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True)
    print(script, done.stdout, done.stderr)
