/*
 * The API server's URL as a kubeconfig's `server` gives it, taken apart.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "basics/error.h"

struct server_url {
        char *text;      /* as it was written */
        bool tls;        /* https */
        char *host;      /* a name, or an address without brackets */
        uint16_t port;   /* 443 or 80 unless it was written */
        char *base_path; /* begins with '/' unless empty, never ends with one */
};

/*
 * Takes "https://HOST[:PORT][/BASE]"; without a scheme https is meant, as client-go has it.
 * −EINVAL with words: not such a URL, another scheme, a user name, a query or a fragment in it.
 */
int server_url_parse(const char *text, struct server_url *ret, struct error *error);
int server_url_copy(const struct server_url *url, struct server_url *ret);
void server_url_deinit(struct server_url *url);
