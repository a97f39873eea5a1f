/*
 * Times one meter along one course in the namespaces of several contenders, in turns, so that what
 * else the machine does hits all of them alike:
 *
 *     paths METER FAMILY COURSE NODES ROUNDS MICROSECONDS NAMESPACE…
 *     paths lookup 4 internet 5000 21 5000 /run/netns/none /run/netns/rule
 *
 * Each namespace has the links of course.h and a contender's policy. A turn lasts about so many
 * microseconds. Prints {"links":["eth0",…],"rounds":[[83.1,…],…]}: the link by which the packets
 * leave, for each namespace, and for each round the nanoseconds of one packet in each namespace.
 * Run it on one core (taskset(1)).
 */
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "meter.h"

#define TIMES_FIRST   64u
#define TIMES_MAXIMUM 4000000u
#define CONTENDERS    8

struct lane {
        const char *path;
        int namespace;
        struct place place;
        void *meter;
        uint32_t times; /* in one turn */
        char link[IF_NAMESIZE];
};

struct race {
        const struct meter *meter;
        struct course course;
        uint32_t nodes;
        unsigned rounds;
        uint64_t turn; /* ns */
        struct lane lanes[CONTENDERS];
        size_t n;
};

static int lane_enter(const struct lane *lane, struct error *error)
{
        if (setns(lane->namespace, CLONE_NEWNET) < 0)
                return error_set(error, -errno, "%s: %s", lane->path, strerror(errno));
        return 0;
}

/* Packets that the link was given to send, by a line of /proc/net/dev. Sinks count them in various
 * columns: packets and drops of either direction. */
static uint64_t line_packets(const char *text)
{
        enum { PACKETS = 1, DROPPED = 3, COLUMNS = 8 };
        uint64_t found = 0;
        char *end;

        for (unsigned i = 0; i < 2 * COLUMNS; i++, text = end) {
                uint64_t value = strtoull(text, &end, 10);

                if (i % COLUMNS == PACKETS || i % COLUMNS == DROPPED)
                        found += value;
        }
        return found;
}

static uint64_t link_packets(const char *name)
{
        size_t length = strlen(name);
        uint64_t found = 0;
        char line[512];
        FILE *file = fopen("/proc/thread-self/net/dev", "re");

        while (file && fgets(line, sizeof(line), file)) {
                const char *text = line + strspn(line, " ");

                if (strncmp(text, name, length) == 0 && text[length] == ':')
                        found = line_packets(text + length + 1);
        }
        if (file)
                fclose(file);
        return found;
}

/* By the meter's word, or by the counters, which must have moved for nearly every packet. */
static int lane_note_link(struct lane *lane, uint32_t ifindex, const uint64_t before[2],
        uint32_t times, struct error *error)
{
        static const char *const links[] = {BENCH_DEVICE, BENCH_UPLINK};

        if (ifindex != 0 && if_indextoname(ifindex, lane->link))
                return 0;
        for (size_t i = 0; ifindex == 0 && i < ARRAY_SIZE(links); i++)
                if (link_packets(links[i]) - before[i] >= times - times / 16) {
                        snprintf(lane->link, sizeof(lane->link), "%s", links[i]);
                        return 0;
                }
        return error_set(error, -EIO, "%s: packets do not arrive at a link", lane->path);
}

/* How often in a turn; also warms up what is to be warm. */
static int lane_calibrate(struct race *race, struct lane *lane, struct error *error)
{
        uint64_t before[] = {link_packets(BENCH_DEVICE), link_packets(BENCH_UPLINK)};
        uint32_t times = TIMES_FIRST, all = 0;
        struct lap lap = {};

        for (;; times *= 4) {
                int r = race->meter->run(lane->meter, times, &lap);

                if (r < 0)
                        return error_set(error, r, "%s: %s", lane->path, strerror(-r));
                all += times;
                if (lap.ns * 4 >= race->turn || times >= TIMES_MAXIMUM / 4)
                        break;
        }
        lane->times = (uint32_t)((double)times * (double)race->turn / (double)lap.ns);
        if (lane->times < TIMES_FIRST)
                lane->times = TIMES_FIRST;
        if (lane->times > TIMES_MAXIMUM)
                lane->times = TIMES_MAXIMUM;
        return lane_note_link(lane, lap.ifindex, before, all, error);
}

static int lane_open(struct race *race, struct lane *lane, struct error *error)
{
        int r;

        lane->namespace = open(lane->path, O_RDONLY | O_CLOEXEC);
        if (lane->namespace < 0)
                return error_set(error, -errno, "%s: %s", lane->path, strerror(errno));
        r = lane_enter(lane, error);
        if (r < 0)
                return r;
        lane->place = (struct place){
                .device = if_nametoindex(BENCH_DEVICE),
                .uplink = if_nametoindex(BENCH_UPLINK),
                .pods = if_nametoindex(BENCH_PODS),
                .self = race->nodes,
        };
        r = race->meter->open(&race->course, &lane->place, &lane->meter, error);
        return r < 0 ? r : lane_calibrate(race, lane, error);
}

static int lane_turn(struct race *race, struct lane *lane, double *ret_ns, struct error *error)
{
        struct lap lap;
        int r = lane_enter(lane, error);

        if (r < 0)
                return r;
        r = race->meter->run(lane->meter, lane->times, &lap);
        if (r < 0)
                return error_set(error, r, "%s: %s", lane->path, strerror(-r));
        *ret_ns = (double)lap.ns / lane->times;
        return 0;
}

static int run_round(struct race *race, unsigned round, struct error *error)
{
        double ns[CONTENDERS];

        /* Another one begins each time: none is always behind the slowest. */
        for (size_t i = 0; i < race->n; i++) {
                size_t which = (i + round) % race->n;
                int r = lane_turn(race, &race->lanes[which], &ns[which], error);

                if (r < 0)
                        return r;
        }
        for (size_t i = 0; i < race->n; i++)
                printf("%s%.2f", i ? "," : round ? ",[" : "[", ns[i]);
        printf("]");
        return 0;
}

static int run_race(struct race *race, struct error *error)
{
        int r = 0;

        for (size_t i = 0; r >= 0 && i < race->n; i++)
                r = lane_open(race, &race->lanes[i], error);
        if (r < 0)
                return r;
        printf("{\"links\":[");
        for (size_t i = 0; i < race->n; i++)
                printf("%s\"%s\"", i ? "," : "", race->lanes[i].link);
        printf("],\"rounds\":[");
        for (unsigned i = 0; r >= 0 && i < race->rounds; i++)
                r = run_round(race, i, error);
        printf("]}\n");
        return r;
}

static bool race_parse(struct race *race, int argc, char **argv)
{
        static const struct meter *const meters[] = {&meter_lookup, &meter_sent, &meter_forwarded};
        int family;

        if (argc < 8 || argc - 7 > CONTENDERS)
                return false;
        for (size_t i = 0; i < ARRAY_SIZE(meters); i++)
                if (strcmp(meters[i]->name, argv[1]) == 0)
                        race->meter = meters[i];
        family = strcmp(argv[2], "6") == 0 ? AF_INET6 : AF_INET;
        race->nodes = (uint32_t)strtoul(argv[4], NULL, 10);
        race->rounds = (unsigned)strtoul(argv[5], NULL, 10);
        race->turn = strtoull(argv[6], NULL, 10) * 1000;
        for (int i = 7; i < argc; i++)
                race->lanes[race->n++].path = argv[i];
        return race->meter && race->nodes > 0 && race->nodes <= BENCH_MAXIMUM && race->rounds > 0 &&
               course_find(argv[3], family, race->nodes, &race->course);
}

int main(int argc, char **argv)
{
        struct race race = {};
        struct error error = {};

        if (!race_parse(&race, argc, argv)) {
                fprintf(stderr, "paths lookup|sent|forwarded 4|6 COURSE NODES ROUNDS "
                                "MICROSECONDS NAMESPACE...\n");
                return 2;
        }
        if (run_race(&race, &error) < 0) {
                fprintf(stderr, "paths: %s\n", error.text);
                return EXIT_FAILURE;
        }
        for (size_t i = 0; i < race.n; i++)
                race.meter->close(race.lanes[i].meter);
        return EXIT_SUCCESS;
}
