"""Debian's docker-registry on a loopback port, with its data below a folder of the test."""
import http.client
import os
import subprocess

from harness import process, wait

CONFIG = """version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: {folder}}}}}
http: {{addr: "{address}"}}
"""


class Registry:
    def __init__(self, folder, port=5000):
        self.address = "127.0.0.1:%d" % port
        os.makedirs(folder, exist_ok=True)
        config = os.path.join(folder, "config.yml")
        with open(config, "w") as file:
            file.write(CONFIG.format(folder=folder, address=self.address))
        with open(os.path.join(folder, "log"), "w") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", config], stdout=log,
                                            stderr=log, stdin=subprocess.DEVNULL)
        wait.until("the registry answers", self._answers)

    def _answers(self):
        connection = http.client.HTTPConnection(self.address, timeout=5)
        connection.request("GET", "/v2/")
        return connection.getresponse().status == 200

    def close(self):
        process.stop(self.process)
