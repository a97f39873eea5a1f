/*
 * Every MESSAGE_ID of the journal, in one place. `journalctl MESSAGE_ID=…` finds the entries.
 */
#pragma once

/* The kernel holds the wanted policy. */
#define MESSAGE_ENFORCING      "a1f6a1c4b7a64c0f8f1d6f0f6a5b2e01"
/* The kernel does not hold the wanted policy, and why. */
#define MESSAGE_DEGRADED       "5b0a7f0b6f0e4f5aa3a1e2d1c8b7d902"
/* Observe mode: what would be if the policy were in force. */
#define MESSAGE_PREVIEW        "b5e0c1d2f3a44b6e8d7c9a0b1c2d3e10"
/* Somebody else changed or deleted what is ours. */
#define MESSAGE_FOREIGN_CHANGE "3c9d6e2f0b1c4b8e9a7f5d4c3b2a1903"
/* Somebody takes what is ours away again and again; or has stopped. */
#define MESSAGE_FIGHT          "8f0e1d2c3b4a4596a7b8c9d0e1f2030f"
/* Something that is not ours lies in our band or tables. */
#define MESSAGE_CONFLICT       "e7d1c0b9a8f74e6d95c4b3a291807f04"
/* The device came, went, changed. */
#define MESSAGE_DEVICE         "0d9c8b7a6f5e4d3c82b1a09f8e7d6c05"
/* The node list: first seen, changed, lost. */
#define MESSAGE_NODES          "6f7e8d9c0b1a4a2f93e4d5c6b7a89006"
/* A CiliumNode that cannot be used was left out. */
#define MESSAGE_BAD_OBJECT     "b2a3c4d5e6f74081924a5b6c7d8e9f07"
/* The API server: reached, lost. */
#define MESSAGE_API            "91a2b3c4d5e64f7a8b9c0d1e2f3a4b08"
/* What is known of the nodes has become old, or is fresh again. */
#define MESSAGE_KNOWLEDGE_AGE  "64f1f2a3bb0c4a6d9c1e7d20583e9b0d"
/* The credential: found, missing, changed, unusable. */
#define MESSAGE_CREDENTIAL     "c4d5e6f708194a2b8c3d4e5f60718209"
/* The snapshot: applied, set aside, not written. */
#define MESSAGE_SNAPSHOT       "d8e9fa0b1c2d4e3f90a1b2c3d4e5f60a"
/* The configuration: in force, refused. */
#define MESSAGE_CONFIGURATION  "7a8b9c0d1e2f403192a3b4c5d6e7f80b"
/* A WireGuard peer: missing, of another key, silent; or well again. */
#define MESSAGE_PEER           "f0a1b2c3d4e54f60b7c8d9eafb0c1d0e"
/* What the cluster's objects say contradicts itself or us. */
#define MESSAGE_FINDING        "2e3f405162734849a5b6c7d8e9fa0b0c"
