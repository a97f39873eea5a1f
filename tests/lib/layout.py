"""The policy's layout in the kernel, set by hand: what the laboratory is proven with.

Rules and routes as the design lays them out, for one node of a cluster.Cluster, written straight
from its description and sharing nothing with the program under test.
"""

from cluster import API_PORT, ETCD_PORTS, FAMILIES
from wireguard import INTERFACE, MARK

PODS, NODES = 51870, 51871
BASE = 200
TWIN = 4294967294


def routes(node, twins=True, device=True):
    """[(family, `ip` arguments)] for every other node."""
    lines = []
    for other in node.cluster.others(node):
        for family in FAMILIES:
            length = {4: 32, 6: 128}[family]
            for prefix, table in ((other.prefix[family], PODS),
                                  (f"{other.address[family]}/{length}", NODES)):
                if twins:
                    lines.append((family, f"route replace unreachable {prefix} table {table} "
                                          f"metric {TWIN} proto kernel"))
                if device:
                    scope = "scope link" if family == 4 else ""
                    lines.append((family, f"route replace {prefix} dev {INTERFACE} {scope} src "
                                          f"{node.address[family]} table {table} proto kernel"))
    return lines


def rules(node):
    """[(family, `ip` arguments)], in their order."""
    lines = []
    for family in FAMILIES:
        lines += [(family, text) for text in (
            f"pref {BASE} fwmark {MARK} lookup main",
            f"pref {BASE + 1} fwmark {MARK} unreachable",
            f"pref {BASE + 2} lookup {PODS}")]
        for ports in (f"{ETCD_PORTS[0]}-{ETCD_PORTS[-1]}", API_PORT):
            if node.control_plane:
                lines.append((family, f"pref {BASE + 3} iif lo ipproto tcp sport {ports} "
                                      "lookup main"))
            lines += [(family, f"pref {BASE + 3} to {other.address[family]} ipproto tcp "
                               f"dport {ports} lookup main")
                      for other in node.cluster.control_planes if other is not node]
        lines.append((family, f"pref {BASE + 6} lookup {NODES}"))
    return [(family, f"rule add {text} protocol kernel") for family, text in lines]


def apply(node, lines):
    for family in FAMILIES:
        node.ns.ip_batch([text for of, text in lines if of == family], family)


def install(node):
    """Twins, routes by the device, rules: in the order that never leaks."""
    apply(node, routes(node, device=False))
    apply(node, routes(node, twins=False))
    apply(node, rules(node))


def remove(node):
    for family, text in reversed(rules(node)):
        node.ns.ip(f"-{family} {text.replace('rule add', 'rule del')}")
    for family in FAMILIES:
        for table in (NODES, PODS):
            node.ns.ip(f"-{family} route flush table {table}")
