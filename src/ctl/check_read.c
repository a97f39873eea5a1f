#include "ctl/check_read.h"

#include <dirent.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "basics/fileio.h"
#include "kernel/fib_read.h"
#include "kernel/netlink.h"
#include "kernel/rp_filter.h"
#include "kernel/wireguard.h"
#include "policy/input.h"

#define FILE_MAX     (4 * 1024 * 1024)
#define DROP_INS_MAX 256

/* NULL: not there, or not readable. */
static char *read_text(const char *root, const char *path, size_t *ret_size)
{
        _cleanup_free_ char *whole = NULL;
        char *text;

        if (asprintf(&whole, "%s%s", root, path) < 0) {
                whole = NULL;
                return NULL;
        }
        return file_read(whole, FILE_MAX, &text, ret_size) < 0 ? NULL : text;
}

static int read_cilium(const char *root, struct check_facts *facts)
{
        size_t size = 0;
        _cleanup_free_ char *text =
                read_text(root, "/var/run/cilium/state/agent-runtime-config.json", &size);
        int r;

        if (!text)
                text = read_text(root, "/run/cilium/state/agent-runtime-config.json", &size);
        r = text ? cilium_config_parse(text, size, &facts->cilium) : 0;
        return r == -ENOMEM ? r : 0;
}

/* systemd.unit(5): of drop-ins with one name the first place counts; they are read by name. */
static const char *const drop_in_places[] = {
        "/etc/systemd/networkd.conf.d",
        "/run/systemd/networkd.conf.d",
        "/usr/local/lib/systemd/networkd.conf.d",
        "/usr/lib/systemd/networkd.conf.d",
};

struct drop_in {
        char name[256];
        size_t place;
};

static int compare_drop_ins(const void *a, const void *b)
{
        const struct drop_in *one = a, *other = b;
        int r = strcmp(one->name, other->name);

        return r ? r : (one->place > other->place) - (one->place < other->place);
}

static size_t list_drop_ins(const char *root, struct drop_in *items)
{
        size_t n = 0;

        for (size_t i = 0; i < ARRAY_SIZE(drop_in_places); i++) {
                _cleanup_free_ char *path = NULL;
                struct dirent *entry;
                DIR *folder;

                if (asprintf(&path, "%s%s", root, drop_in_places[i]) < 0) {
                        path = NULL;
                        continue;
                }
                folder = opendir(path);
                while (folder && n < DROP_INS_MAX && (entry = readdir(folder))) {
                        size_t length = strlen(entry->d_name);

                        if (length < 6 || strcmp(entry->d_name + length - 5, ".conf") != 0)
                                continue;
                        snprintf(items[n].name, sizeof(items[n].name), "%s", entry->d_name);
                        items[n++].place = i;
                }
                if (folder)
                        closedir(folder);
        }
        qsort(items, n, sizeof(*items), compare_drop_ins);
        return n;
}

static void apply_networkd(const char *root, const char *path, struct check_facts *facts)
{
        _cleanup_free_ char *text = read_text(root, path, NULL);

        if (text)
                networkd_config_apply(text, facts);
}

static int read_networkd(const char *root, struct check_facts *facts)
{
        _cleanup_free_ struct drop_in *items = calloc(DROP_INS_MAX, sizeof(*items));
        size_t n;

        if (!items)
                return -ENOMEM;
        /* Its defaults (networkd.conf(5)); it manages rules since 249. */
        facts->networkd_rules = facts->networkd_routes = YES;
        apply_networkd(root, "/etc/systemd/networkd.conf", facts);
        n = list_drop_ins(root, items);
        for (size_t i = 0; i < n; i++) {
                char path[512];

                if (i > 0 && strcmp(items[i].name, items[i - 1].name) == 0)
                        continue;
                snprintf(
                        path, sizeof(path), "%s/%s", drop_in_places[items[i].place], items[i].name);
                apply_networkd(root, path, facts);
        }
        return 0;
}

/* NetworkManager writes for each link whether it manages it. */
static void read_networkmanager(const char *root, struct check_facts *facts)
{
        _cleanup_free_ char *text = NULL;
        char path[64];

        snprintf(path, sizeof(path), "/run/NetworkManager/devices/%u", facts->device.ifindex);
        text = facts->device.ifindex != 0 ? read_text(root, path, NULL) : NULL;
        if (text)
                facts->networkmanager_device = strstr(text, "\nmanaged=true")    ? YES
                                               : strstr(text, "\nmanaged=false") ? NO
                                                                                 : UNKNOWN;
}

static void note_process(const char *name, struct check_facts *facts)
{
        /* The kernel keeps 15 characters. */
        facts->networkd_runs |= strcmp(name, "systemd-network") == 0;
        facts->networkmanager_runs |= strcmp(name, "NetworkManager") == 0;
        facts->tailscale_runs |= strcmp(name, "tailscaled") == 0;
        facts->calico_runs |= strcmp(name, "calico-node") == 0;
        facts->cilium_runs |= strcmp(name, "cilium-agent") == 0;
}

static void read_processes(const char *root, struct check_facts *facts)
{
        _cleanup_free_ char *path = NULL;
        struct dirent *entry;
        DIR *folder;

        if (asprintf(&path, "%s/proc", root) < 0) {
                path = NULL;
                return;
        }
        folder = opendir(path);
        while (folder && (entry = readdir(folder))) {
                char name[64] = "", comm[300];
                FILE *file;

                if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
                        continue;
                snprintf(comm, sizeof(comm), "%s/%s/comm", path, entry->d_name);
                file = fopen(comm, "re");
                if (!file)
                        continue;
                if (fgets(name, sizeof(name), file)) {
                        name[strcspn(name, "\n")] = '\0';
                        note_process(name, facts);
                }
                fclose(file);
        }
        if (folder)
                closedir(folder);
}

static void read_ipv6(const char *root, struct check_facts *facts)
{
        const char *names[] = {"all", "lo", facts->settings->interface};

        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *path = NULL;
                char value[8] = "";
                FILE *file;

                /* /proc/sys has no sizes: file_read() is for whole files. */
                if (asprintf(&path, "%s/proc/sys/net/ipv6/conf/%s/disable_ipv6", root, names[i]) <
                        0) {
                        path = NULL;
                        continue;
                }
                file = fopen(path, "re");
                if (!file)
                        continue;
                if (fgets(value, sizeof(value), file))
                        facts->ipv6_off[i] = value[0] == '0' ? NO : YES;
                fclose(file);
        }
}

int check_read_files(const char *root, struct check_facts *facts)
{
        int r = read_cilium(root, facts);

        if (r >= 0)
                r = read_networkd(root, facts);
        if (r < 0)
                return r;
        read_networkmanager(root, facts);
        read_processes(root, facts);
        read_ipv6(root, facts);
        return 0;
}

static int read_strict(struct netlink *nl, struct check_facts *facts, struct error *error)
{
        const uint32_t except[] = {facts->device.ifindex};
        struct rp_filter filter = {};
        struct text_builder names = {};
        int r = rp_filter_read(nl, except, ARRAY_SIZE(except), &filter, error);

        if (r < 0)
                return r;
        facts->loose = filter.loose;
        for (size_t i = 0; i < filter.n_strict; i++) {
                char name[IF_NAMESIZE] = "?";

                (void)if_indextoname(filter.strict[i], name);
                text_append(&names, "%s%s", i > 0 ? " " : "", name);
        }
        if (filter.n_strict > 0)
                r = text_take(&names, &facts->strict_links);
        rp_filter_deinit(&filter);
        return r < 0 ? error_set(error, r, "out of memory") : 0;
}

static void read_clock(struct check_facts *facts)
{
        struct timex timex = {};
        int state = adjtimex(&timex);

        facts->now = (int64_t)time(NULL);
        if (state >= 0)
                facts->clock_synchronised = timex.status & STA_UNSYNC ? NO : YES;
}

static int read_links(struct netlink *nl, struct check_facts *facts, struct error *error)
{
        static const char *const tunnels[] = {"cilium_vxlan", "cilium_geneve"};
        struct wireguard wireguard;
        struct link link;
        int r = link_read(nl, facts->settings->interface, &facts->device, error);

        if (r < 0 && r != -ENODEV)
                return r;
        for (size_t i = 0; i < ARRAY_SIZE(tunnels); i++)
                facts->tunnel_link |= link_read(nl, tunnels[i], &link, NULL) >= 0 && link.up;
        if (facts->device.ifindex != 0 &&
                wireguard_read(facts->device.ifindex, &wireguard, NULL) >= 0)
                facts->mark = wireguard.fwmark;
        return 0;
}

int check_read_kernel(struct check_facts *facts, struct error *error)
{
        const struct layout layout = policy_layout(facts->settings);
        _cleanup_(netlink_freep) struct netlink *nl = NULL;
        int r = netlink_new(NETLINK_ROUTE, &nl);

        if (r < 0)
                return error_set(error, r, "rtnetlink: %s", strerror(-r));
        r = read_links(nl, facts, error);
        if (r >= 0)
                r = read_strict(nl, facts, error);
        for (int i = 0; r >= 0 && i < FAMILY_MAX; i++)
                r = kernel_rules_read(nl, (uint8_t)family_from_index(i), &facts->rules, error);
        if (r >= 0)
                r = kernel_fib_read(nl, &layout, 1, &facts->ours, error);
        read_clock(facts);
        return r;
}
