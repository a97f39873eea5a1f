"""Asks a node's kernel for flows all the time, thousands of times a second, in a thread.

    watcher = Watcher(node, [(in_clear, {"destination": "10.0.0.12"}), …])
    watcher.start()
    …
    watcher.end()
    watcher.wrong                        # the answers that must not have been
"""

import threading
import time

from cluster import API_PORT, ETCD_PORTS, FAMILIES
from rtnetlink import RouteQuery


def in_clear(answer):
    """Wrong for what is steered."""
    return answer == "eth0"


def not_open(answer):
    """Wrong for what is exempt."""
    return answer != "eth0"


def flows_between(node, families=FAMILIES):
    """[(what is wrong, arguments)] for the node's flows to the other real nodes."""
    flows = []
    for other in node.cluster.others(node):
        for family in families:
            flows += [(in_clear, {"destination": other.address[family]}),
                      (in_clear, {"destination": other.pod_address[family]})]
            if other.control_plane:
                flows += [(not_open, {"destination": other.address[family], "protocol": "tcp",
                                      "dport": port}) for port in (ETCD_PORTS[0], API_PORT)]
    return flows


class Watcher(threading.Thread):
    def __init__(self, node, flows):
        super().__init__(daemon=True)
        self.query, self.flows = RouteQuery(node.ns), flows
        self.asked, self.wrong, self.ended = 0, [], False

    def run(self):
        while not self.ended:
            for wrong_answer, arguments in self.flows:
                answer = self.query.ask(**arguments)
                self.asked += 1
                if wrong_answer(answer):
                    self.wrong.append(f"{arguments}: {answer}")
            time.sleep(0)

    def end(self):
        """Returns what was wrong, the first few."""
        self.ended = True
        self.join()
        self.query.close()
        return self.wrong[:5]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exception):
        if not self.ended:
            self.end()
