"""The matrix of flows: who talks to whom by what, what should become of it, and what did.

    rows = flowmatrix.measure(cluster, capture)
    for row in rows: for cell in row.cells: cell.word, cell.expected, cell.wrong
"""

import flows
from flows import ENCRYPTED, OUT_PLAIN, PLAIN, Flow
from netns import PATIENCE

EXEMPT_PORTS = (2379, 2380, 6443)
ORDINARY = (("tcp", 8080), ("udp", 8080), ("icmp", 0))
# name, from a pod, to a pod, protocols and ports
ROWS = (
    ("host → host", False, False, ORDINARY),
    ("host → pod", False, True, ORDINARY),
    ("pod → host", True, False, ORDINARY),
    ("pod → pod", True, True, ORDINARY),
    ("API server: tcp 6443", False, False, (("tcp", 6443),)),
    ("etcd: tcp 2379-2380", False, False, (("tcp", 2379), ("tcp", 2380))),
    ("API server from a pod", True, False, (("tcp", 6443),)),
    ("port 6443 of a pod", False, True, (("tcp", 6443),)),
    ("exempt ports by udp", False, False, (("udp", 6443), ("udp", 2379))),
)


def expected(flow):
    """The policy's answer, from the sides' roles alone; the default exemptions hold."""
    exempt = flow.protocol == "tcp" and flow.port in EXEMPT_PORTS and \
        flow.destination.control_plane and not flow.destination_pod
    if not exempt:
        return ENCRYPTED
    return OUT_PLAIN if flow.source_pod else PLAIN     # a reply to a pod is traffic to a pod


class Cell:
    """One row for one pair of nodes and one family; several flows, one word when they agree."""

    def __init__(self, source, destination, family, row):
        _, from_pod, to_pod, protocols = row
        self.source, self.destination, self.family = source, destination, family
        self.flows = [Flow(source, from_pod, destination, to_pod, family, protocol, port)
                      for protocol, port in protocols]
        self.expected = expected(self.flows[0])
        self.results = []

    def measure(self, capture, timeout=PATIENCE):
        self.results = [flow.send(capture, timeout) for flow in self.flows]

    @property
    def word(self):
        words = sorted({result.word for result in self.results})
        return " / ".join(words)

    @property
    def wrong(self):
        """(flow, result) of each that is not as it should be."""
        return [(flow, result) for flow, result in zip(self.flows, self.results)
                if result.word != expected(flow)]


class Row:
    def __init__(self, row, cells):
        self.name, self.cells = row[0], cells


def pairs(cluster):
    """One pair of nodes for each pair of roles there is."""
    chosen = {}
    for source in cluster.nodes:
        for destination in cluster.others(source):
            chosen.setdefault((source.control_plane, destination.control_plane),
                              (source, destination))
    return list(chosen.values())


def role(node):
    return "CP" if node.control_plane else "worker"


def measure(cluster, capture, timeout=PATIENCE, progress=lambda row, cell: None):
    """Every row for every pair of roles and both families."""
    rows = []
    for row in ROWS:
        cells = [Cell(source, destination, family, row)
                 for family in (4, 6) for source, destination in pairs(cluster)]
        for cell in cells:
            cell.measure(capture, timeout)
            progress(row, cell)
        rows.append(Row(row, cells))
    return rows


def blocked(rows):
    """The flows that did not get through."""
    return [result for row in rows for cell in row.cells for result in cell.results
            if result.word in (flows.BLOCKED, flows.LOST)]
