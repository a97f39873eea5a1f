"""`nodecryptorctl plan` for a node of the laboratory."""

import json
import os
import subprocess

import daemon
from systembus import NOBODY


def node_list(cluster):
    """Path of a file as `kubectl get ciliumnodes -o json` writes it, for everybody to read."""
    path = os.path.join(cluster.nodes[0].folder, "nodes.json")
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"apiVersion": "v1", "kind": "List", "items": cluster.objects()}, file)
    os.chmod(os.path.dirname(path), 0o755)
    return path


def plan(node, nodes, *options, check=True):
    """Its output; no root and no daemon needed: it runs as nobody."""
    result = subprocess.run(
        [*NOBODY, daemon.program("nodecryptorctl"), "plan", "--nodes", nodes,
         "--node-name", node.name, *options],
        capture_output=True, text=True, check=False)
    if check and result.returncode != 0:
        raise RuntimeError(result.stderr)
    return result.stdout if check else result
