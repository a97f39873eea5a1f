"""CiliumNodes as they are found in clusters: 1.4 kB of JSON each, every second one with further
labels and with managedFields: 2.4 kB.

    ciliumnodes.make(number) → the object, the same one for the same number; below 65,536
"""

import base64
import hashlib
import json

ZONES = ("eu-west-1a", "eu-west-1b", "eu-west-1c")
KINDS = ("m6i.2xlarge", "c6i.4xlarge", "r6i.xlarge")


def labels(number, name):
    values = {"beta.kubernetes.io/arch": "amd64", "beta.kubernetes.io/os": "linux",
              "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name,
              "kubernetes.io/os": "linux",
              "node.kubernetes.io/instance-type": KINDS[number % len(KINDS)],
              "topology.kubernetes.io/region": "eu-west-1",
              "topology.kubernetes.io/zone": ZONES[number % len(ZONES)]}
    if number < 3:
        values["node-role.kubernetes.io/control-plane"] = ""
    if number % 2:                      # every second one is as full as nodes get
        values |= {"node.kubernetes.io/pool": f"workers-{number % 7}",
                   "topology.ebs.csi.aws.com/zone": ZONES[number % len(ZONES)],
                   "cluster.example.com/team": "platform",
                   "cluster.example.com/cost-centre": "4711"}
    return values


def addresses(number):
    high, low = divmod(number, 256)
    return [{"ip": f"172.{16 + high // 256}.{high % 256}.{low}", "type": "InternalIP"},
            {"ip": f"fd00:10::{number + 1:x}", "type": "InternalIP"},
            {"ip": f"10.{high}.{low}.10", "type": "CiliumInternalIP"},
            {"ip": f"fd00:244:{number:x}::1", "type": "CiliumInternalIP"}]


def fields(spec):
    """The f:… tree of managedFields for what the spec holds."""
    tree = {f"f:{key}": (fields(value) if isinstance(value, dict) else {})
            for key, value in spec.items()}
    return {".": {}, **tree}


def managed(value, operation_time):
    metadata = {"f:annotations": {".": {}, "f:network.cilium.io/wg-pub-key": {}},
                "f:ownerReferences": {".": {}, 'k:{"uid":"' + value["metadata"]["uid"] + '"}': {}}}
    return [{"apiVersion": "cilium.io/v2", "fieldsType": "FieldsV1",
             "fieldsV1": {"f:metadata": metadata, "f:spec": fields(value["spec"])},
             "manager": "cilium-agent", "operation": "Update", "time": operation_time},
            {"apiVersion": "cilium.io/v2", "fieldsType": "FieldsV1",
             "fieldsV1": {"f:spec": {"f:ipam": {"f:podCIDRs": {}}},
                          "f:status": {".": {}, "f:ipam": {".": {}, "f:operator-status": {}}}},
             "manager": "cilium-operator", "operation": "Update", "time": operation_time}]


def make(number):
    name = (f"ip-10-{number // 62500}-{number // 250 % 250}-{number % 250}"
            ".eu-west-1.compute.internal")
    digest = hashlib.sha256(str(number).encode()).digest()
    text = digest.hex()
    uid = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:32]))
    high, low = divmod(number, 256)
    value = {"apiVersion": "cilium.io/v2", "kind": "CiliumNode",
             "metadata": {"annotations":
                          {"network.cilium.io/wg-pub-key": base64.b64encode(digest).decode()},
                          "creationTimestamp": "2025-03-01T12:00:00Z", "generation": 3,
                          "labels": labels(number, name), "name": name,
                          "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": name,
                                               "uid": uid}],
                          "uid": uid},
             "spec": {"addresses": addresses(number),
                      "alibaba-cloud": {}, "azure": {}, "bootid": uid,
                      "encryption": {"key": 255}, "eni": {},
                      "health": {"ipv4": f"10.{high}.{low}.11",
                                 "ipv6": f"fd00:244:{number:x}::2"},
                      "ingress": {},
                      "ipam": {"podCIDRs": [f"10.{high}.{low}.0/24", f"fd00:244:{number:x}::/64"],
                               "pools": {}}},
             "status": {"alibaba-cloud": {}, "azure": {}, "eni": {},
                        "ipam": {"operator-status": {}}}}
    if number % 2:
        value["metadata"]["managedFields"] = managed(value, "2025-03-01T12:00:07Z")
    return value


def size(value):
    return len(json.dumps(value, separators=(",", ":")))
