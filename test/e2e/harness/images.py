"""Images made from Debian's static busybox: as docker-archive files, and pushed to a registry.

Every layer is a tar made here, with fixed times and owners: the same bytes at every run.
"""
import gzip
import hashlib
import http.client
import io
import json
import os
import re
import subprocess
import tarfile

BUSYBOX = "/bin/busybox"
CURL = "/usr/bin/curl"
# Answers with its own host name, so that a test can tell replicas apart.
HTTPD = ("mkdir -p /www && hostname > /www/index.html && trap 'exit 0' TERM; "
         "httpd -f -p 80 -h /www & wait")


class Image:
    """One layer and a configuration."""

    def __init__(self, files=(), command=("sh",), env=(), user="", workdir="/"):
        self.layer = layer_of(files)
        self.config = json.dumps({
            "architecture": "amd64", "os": "linux", "created": "2024-01-01T00:00:00Z",
            "config": {"Cmd": list(command), "User": user, "WorkingDir": workdir,
                       "Env": ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", *env]},
            "rootfs": {"type": "layers", "diff_ids": [digest(self.layer)]},
            "history": [{"created": "2024-01-01T00:00:00Z", "created_by": "test"}],
        }).encode()

    def save(self, path, *names):
        """Writes a docker-archive, as `docker save` does."""
        config = digest(self.config)[7:] + ".json"
        manifest = [{"Config": config, "RepoTags": list(names), "Layers": ["layer.tar"]}]
        with tarfile.open(path, "w") as tar:
            add(tar, config, self.config)
            add(tar, "layer.tar", self.layer)
            add(tar, "manifest.json", json.dumps(manifest).encode())

    def push(self, address, name, tag="latest"):
        """Puts it into the registry at host:port, over plain HTTP."""
        layer = gzip.compress(self.layer, 1, mtime=0)
        connection = http.client.HTTPConnection(address, timeout=30)
        for blob in (layer, self.config):
            answer = call(connection, "POST", "/v2/%s/blobs/uploads/" % name, b"", 202)
            where = answer["Location"].split(address, 1)[-1]
            where += ("&" if "?" in where else "?") + "digest=" + digest(blob)
            call(connection, "PUT", where, blob, 201, "application/octet-stream")
        manifest = {
            "schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": "application/vnd.docker.container.image.v1+json",
                       "size": len(self.config), "digest": digest(self.config)},
            "layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip",
                        "size": len(layer), "digest": digest(layer)}]}
        call(connection, "PUT", "/v2/%s/manifests/%s" % (name, tag), json.dumps(manifest).encode(),
             201, manifest["mediaType"])
        return "%s/%s:%s" % (address, name, tag)


def busybox():
    return Image()


def httpd():
    return Image(command=("sh", "-c", HTTPD))


def curl():
    """busybox with this machine's curl: the static busybox can't resolve names by the C library."""
    listed = subprocess.run(["ldd", CURL], capture_output=True, text=True, check=True).stdout
    paths = [CURL] + re.findall(r"(/\S+) \(0x", listed)
    files = []
    for path in paths:
        with open(path, "rb") as file:
            files.append((path.lstrip("/"), file.read(), 0o755))
    return Image(files)


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def add(tar, name, data=None, mode=0o644, kind=tarfile.REGTYPE, target=""):
    info = tarfile.TarInfo(name)
    info.mode, info.type, info.linkname, info.size = mode, kind, target, len(data or b"")
    tar.addfile(info, io.BytesIO(data) if data else None)


def layer_of(files):
    """busybox and its applets in /bin, the folders a root has, and (name, bytes, mode) of files."""
    applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for folder in ("bin", "etc", "dev", "proc", "sys", "root", "var"):
            add(tar, folder, mode=0o755, kind=tarfile.DIRTYPE)
        add(tar, "tmp", mode=0o1777, kind=tarfile.DIRTYPE)
        with open(BUSYBOX, "rb") as file:
            add(tar, "bin/busybox", file.read(), 0o755)
        for applet in sorted(set(applets.stdout.split()) - {"busybox"}):
            add(tar, "bin/" + os.path.basename(applet), kind=tarfile.SYMTYPE, mode=0o777,
                target="busybox")
        add(tar, "etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")
        add(tar, "etc/group", b"root:x:0:\nnogroup:x:65534:\n")
        for name, data, mode in files:
            add(tar, name, data, mode)
    return buffer.getvalue()


def call(connection, method, path, body, wanted, media_type=None):
    headers = {"Content-Type": media_type} if media_type else {}
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    if answer.status != wanted:
        raise RuntimeError("%s %s: %d %s" % (method, path, answer.status, text[:300]))
    return answer.headers
