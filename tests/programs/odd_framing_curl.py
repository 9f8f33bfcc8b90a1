import base64, json, pathlib, subprocess, sys, tempfile

home = pathlib.Path(tempfile.mkdtemp(dir="."))
words = []
rows = json.load(open(sys.argv[1]))
for name, method in rows.items():
    words += ["--next"] if words else []
    words += [
        "-sS",
        "-m",
        "3",
        "--tr-encoding",
        "-o",
        str(home / name),
        "-w",
        "%{http_code} %{exitcode} %{errormsg}\\n",
        sys.argv[2] + name,
    ]
    words += ["--head"] if method == "HEAD" else []
done = subprocess.run(["curl", *words], capture_output=True, text=True)
for (name, method), line in zip(rows.items(), done.stdout.splitlines(), strict=True):
    status, code, why = line.split(" ", 2)
    body = (home / name).read_bytes() if (home / name).exists() and method != "HEAD" else b""
    print(json.dumps([name, int(status), base64.b64encode(body).decode()] if code == "0" else [name, 0, why]))
