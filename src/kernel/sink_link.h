/*
 * The sink: a link that drops all that is sent into it. With rp_filter 2 (loose) an IPv4 packet is
 * taken in only when some unicast route leads back to its source. While the WireGuard device is
 * away, nothing but our `unreachable` twins leads to the other nodes, and even their ARP requests
 * go unanswered: what is exempt dies with the neighbour entries. A route into the sink, better than
 * the twin and worse than the device, satisfies the check, and still lets nothing out.
 *
 * It has no address, and a name that begins with "lo": what Cilium's device detection passes over,
 * whatever routes lead there (isSelectedDevice(), pkg/datapath/linux/devices_controller.go).
 */
#pragma once

#include "kernel/own_link.h"

#define SINK_LINK_NAME "lo-nodecryptor"

/* A dummy; where the kernel has none, ifb, or a bridge without ports: they drop as well. */
extern const struct own_link sink_link;
