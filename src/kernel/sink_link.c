#include "kernel/sink_link.h"

static const char *const kinds[] = {"dummy", "ifb", "bridge", NULL};

const struct own_link sink_link = {.name = SINK_LINK_NAME, .kinds = kinds, .silent = true};
