"""Nodes that exist on paper only: CiliumNodes in the API server, with nobody behind them; and what
a daemon should hold in the kernel for a list of CiliumNodes."""

import ipaddress

from cluster import CONTROL_PLANE_LABEL, FAMILIES
from rtnetlink import routes_of
from suite import PRIVATE_TABLES

PODS, NODES = PRIVATE_TABLES


def node(number, version=0, control_plane=False, name=None):
    """The number makes its name and its addresses, the version other addresses for the same name."""
    low = version % 30 * 400 + number           # 12000 different ones
    addresses = [f"10.1.{low // 250}.{low % 250 + 1}", f"fd01::{low + 1:x}"]
    prefixes = [f"10.{100 + low // 250}.{low % 250}.0/24", f"fd00:10:200:{low:x}::/64"]
    return {"metadata": {"name": name or f"paper-{number}", "uid": f"uid-{number}",
                         "labels": {CONTROL_PLANE_LABEL: ""} if control_plane else {}},
            "spec": {"addresses": [{"type": "InternalIP", "ip": ip} for ip in addresses],
                     "ipam": {"podCIDRs": prefixes, "pools": {}}}}


def addresses(item):
    """First InternalIP of each family."""
    first = {}
    for address in item["spec"]["addresses"]:
        if address["type"] == "InternalIP":
            first.setdefault(":" in address["ip"], address["ip"])
    return list(first.values())


def prefixes(item):
    """In the form that `ip` prints."""
    return [str(ipaddress.ip_network(prefix))
            for prefix in item["spec"]["ipam"].get("podCIDRs", [])]


def inside(prefix):
    """An address in it."""
    return str(ipaddress.ip_network(prefix)[5])


def wanted_routes(items, own):
    """{(table, prefix, is it the twin)} for the node of that name, its device being up."""
    found = set()
    for item in items:
        if item["metadata"]["name"] == own:
            found |= {(NODES, address, True) for address in addresses(item)}
        else:
            entries = [(NODES, address) for address in addresses(item)]
            entries += [(PODS, prefix) for prefix in prefixes(item)]
            found |= {(*entry, twin) for entry in entries for twin in (False, True)}
    return found


def held_routes(place, tables=PRIVATE_TABLES):
    """The same of what the kernel holds; the exceptions (`throw`, for our own pods) left out."""
    found = set()
    for family in FAMILIES:
        for table in tables:
            for route in routes_of(place, family, table):
                if route.get("type") != "throw":
                    found.add((table, route["dst"], route.get("type") == "unreachable"))
    return found
