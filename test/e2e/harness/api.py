"""The Kubernetes API over HTTPS, with the administrator's certificate or a token."""
import base64
import http.client
import json
import os
import ssl
import time

from harness import process, wait


class Api:
    def __init__(self, kubeconfig, folder):
        view, _, _ = process.run(["kubectl", "--kubeconfig", kubeconfig, "config", "view", "--raw",
                                  "-o", "json"])
        config = json.loads(view)
        server, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.host, port = server["server"].split("//")[1].rsplit(":", 1)
        self.port = int(port.rstrip("/"))
        paths = {}
        for key, text in (("ca", server["certificate-authority-data"]),
                          ("cert", user["client-certificate-data"]),
                          ("key", user["client-key-data"])):
            paths[key] = os.path.join(folder, key + ".pem")
            with open(paths[key], "wb") as file:
                file.write(base64.b64decode(text))
        self.tls = ssl.create_default_context(cafile=paths["ca"])
        self.tls.load_cert_chain(paths["cert"], paths["key"])

    def connect(self, timeout=30):
        return http.client.HTTPSConnection(self.host, self.port, timeout=timeout, context=self.tls)

    def call(self, method, path, body=None, media_type="application/json"):
        """(status, decoded JSON or text)."""
        connection = self.connect()
        try:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {"Content-Type": media_type, "Accept": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        is_json = (answer.headers.get("Content-Type") or "").startswith("application/json")
        return answer.status, json.loads(text) if is_json else text.decode()

    def get(self, path):
        status, value = self.call("GET", path)
        if status != 200:
            raise AssertionError("GET %s: %d %s" % (path, status, str(value)[:300]))
        return value

    def watch_until(self, path, condition, seconds=60):
        """Watches a collection from its current state until condition(object) holds for one."""
        end = time.monotonic() + seconds
        last = None
        connection = self.connect(timeout=seconds)
        try:
            connection.request("GET", path + ("&" if "?" in path else "?") + "watch=1")
            answer = connection.getresponse()
            if answer.status != 200:
                raise AssertionError("watch %s: %d" % (path, answer.status))
            while time.monotonic() < end:
                line = answer.readline()
                if not line:
                    break
                event = json.loads(line)
                last = event["object"]
                if event["type"] != "DELETED" and condition(last):
                    return last
        except TimeoutError:
            pass
        finally:
            connection.close()
        raise wait.TimedOut("watch %s: not reached within %d s; last: %s" %
                            (path, seconds, json.dumps(last)[:1500]))


def condition_of(thing, kind):
    """The status of a condition: "True", "False", "Unknown", or None."""
    for condition in thing.get("status", {}).get("conditions", ()):
        if condition["type"] == kind:
            return condition["status"]
    return None
