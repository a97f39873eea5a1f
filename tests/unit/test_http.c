/*
 * The endpoints over real sockets on the loopback, server and client on one event loop.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "service/endpoints.h"
#include "service/metrics.h"
#include "test.h"

static struct status status;
static bool progress;
static sd_event *event;
static char answer[64 * 1024];

static bool progress_of(void *userdata)
{
        return progress;
}

/* A port of the loopback that nobody uses at the moment. */
static uint16_t free_port(void)
{
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t size = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        CHECK(fd >= 0);
        CHECK(bind(fd, (struct sockaddr *)&address, size) == 0);
        CHECK(getsockname(fd, (struct sockaddr *)&address, &size) == 0);
        close(fd);
        return ntohs(address.sin_port);
}

static struct listen loopback(uint16_t port)
{
        return (struct listen){
                .address = {.family = AF_INET, .bytes = {127, 0, 0, 1}}, .port = port};
}

/* A connection to 127.0.0.1 or ::1; −1 when refused. The kernel accepts it by itself. */
static int dial(int family, uint16_t port)
{
        struct sockaddr_in in = {.sin_family = AF_INET,
                .sin_port = htons(port),
                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                .sin6_port = htons(port),
                .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

        CHECK(fd >= 0);
        r = family == AF_INET ? connect(fd, (struct sockaddr *)&in, sizeof(in))
                              : connect(fd, (struct sockaddr *)&in6, sizeof(in6));
        if (r < 0) {
                close(fd);
                return -1;
        }
        return fd;
}

static long now_ms(void)
{
        struct timespec now;

        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Turns the loop until the server closes the connection (true), or for so long. */
static bool read_answer(int fd, long ms)
{
        long end = now_ms() + ms;
        size_t size = 0;

        while (now_ms() < end) {
                ssize_t n;

                CHECK(sd_event_run(event, 2000) >= 0);
                n = recv(fd, answer + size, sizeof(answer) - 1 - size, MSG_DONTWAIT);
                if (n > 0)
                        size += (size_t)n;
                answer[size] = '\0';
                if (n == 0 || (n < 0 && errno == ECONNRESET))
                        return true;
        }
        return false;
}

static void exchange(int family, uint16_t port, const char *text)
{
        int fd = dial(family, port);

        CHECK(fd >= 0);
        CHECK(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
        CHECK(read_answer(fd, 5000));
        close(fd);
}

static void request(uint16_t port, const char *method, const char *path)
{
        char text[256];

        snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                method, path);
        exchange(AF_INET, port, text);
}

static const char *body(void)
{
        const char *end = strstr(answer, "\r\n\r\n");

        return end ? end + 4 : "no body";
}

static bool status_is(unsigned code)
{
        char wanted[32];

        snprintf(wanted, sizeof(wanted), "HTTP/1.1 %u ", code);
        if (strncmp(answer, wanted, strlen(wanted)) != 0)
                printf("# %.60s\n", answer);
        return strncmp(answer, wanted, strlen(wanted)) == 0;
}

static struct endpoints *begin(void)
{
        struct endpoints *endpoints = NULL;

        progress = true;
        status = (struct status){};
        CHECK(endpoints_new(event, &status, progress_of, NULL, &endpoints) >= 0);
        return endpoints;
}

static void healthz_and_readyz(void)
{
        _cleanup_(endpoints_freep) struct endpoints *endpoints = begin();
        struct listen health = loopback(free_port()), nowhere = {};
        struct error a, b;

        CHECK_INT(endpoints_listen(endpoints, &health, &nowhere, &a, &b), 0);
        request(health.port, "GET", "/healthz");
        CHECK(status_is(200));
        CHECK_TEXT(body(), "ok\n");
        CHECK_HAS(answer, "Content-Type: text/plain");
        progress = false;
        request(health.port, "GET", "/healthz?verbose");
        CHECK(status_is(503));
        CHECK_HAS(body(), "no progress");
        request(health.port, "GET", "/readyz");
        CHECK(status_is(503));
        CHECK_HAS(body(), "starting");
        status.in_sync = true;
        request(health.port, "GET", "/readyz");
        CHECK(status_is(200));
        request(health.port, "GET", "/metrics");
        CHECK(status_is(404));
}

static void metrics(void)
{
        _cleanup_(endpoints_freep) struct endpoints *endpoints = begin();
        struct listen where = loopback(free_port()), nowhere = {};
        struct error a, b;

        CHECK_INT(endpoints_listen(endpoints, &nowhere, &where, &a, &b), 0);
        status.generation = 4711;
        request(where.port, "GET", "/metrics");
        CHECK(status_is(200));
        CHECK_HAS(answer, "Content-Type: " METRICS_CONTENT_TYPE "\r\n");
        CHECK_HAS(body(), "nodecryptor_policy_generation_total 4711\n");
        request(where.port, "GET", "/healthz");
        CHECK(status_is(404));
}

static void one_server_for_both(void)
{
        _cleanup_(endpoints_freep) struct endpoints *endpoints = begin();
        struct listen where = loopback(free_port());
        struct error a, b;

        CHECK_INT(endpoints_listen(endpoints, &where, &where, &a, &b), 0);
        request(where.port, "GET", "/metrics");
        CHECK(status_is(200));
        request(where.port, "GET", "/healthz");
        CHECK(status_is(200));
}

static void head_and_other_methods(void)
{
        static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "FOO"};
        _cleanup_(endpoints_freep) struct endpoints *endpoints = begin();
        struct listen where = loopback(free_port());
        struct error a, b;

        CHECK_INT(endpoints_listen(endpoints, &where, &where, &a, &b), 0);
        request(where.port, "HEAD", "/healthz");
        CHECK(status_is(200));
        CHECK_HAS(answer, "Content-Length: 3\r\n");
        CHECK_TEXT(body(), "");
        for (size_t i = 0; i < ARRAY_SIZE(methods); i++) {
                request(where.port, methods[i], "/healthz");
                CHECK(status_is(405));
                CHECK_HAS(answer, "Allow: GET, HEAD\r\n");
        }
        request(where.port, "GET", "/");
        CHECK(status_is(404));
        request(where.port, "GET", "/healthz/");
        CHECK(status_is(404));
        request(where.port, "GET", "/../../etc/passwd");
        CHECK(status_is(404));
}

static void bodies_are_never_read(void)
{
        _cleanup_(endpoints_freep) struct endpoints *endpoints = begin();
        struct listen where = loopback(free_port());
        struct error a, b;

        CHECK_INT(endpoints_listen(endpoints, &where, &where, &a, &b), 0);
        /* A body is announced that never comes: the answer does, and the connection ends. */
        exchange(AF_INET, where.port,
                "POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc");
        CHECK(status_is(405));
        exchange(AF_INET, where.port,
                "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\nabc");
        CHECK(status_is(200));
        exchange(AF_INET, where.port,
                "GET /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab");
        CHECK(status_is(200));
}

static void garbage_and_size(void)
{
        static char big[40 * 1024];
        _cleanup_(endpoints_freep) struct endpoints *endpoints = begin();
        struct listen where = loopback(free_port());
        struct error a, b;
        int fd;

        CHECK_INT(endpoints_listen(endpoints, &where, &where, &a, &b), 0);
        exchange(AF_INET, where.port, "\r\n\x01\x02\x03 nonsense\r\n\r\n");
        /* More head than the memory of a connection holds. */
        snprintf(big, sizeof(big), "GET /healthz HTTP/1.1\r\nX: ");
        memset(big + strlen(big), 'a', sizeof(big) - strlen(big) - 1);
        fd = dial(AF_INET, where.port);
        CHECK(fd >= 0);
        CHECK(send(fd, big, sizeof(big) - 1, MSG_NOSIGNAL | MSG_DONTWAIT) > 0);
        CHECK(read_answer(fd, 5000));
        CHECK(*answer == '\0' || strncmp(answer, "HTTP/1.1 4", 10) == 0);
        close(fd);
        request(where.port, "GET", "/healthz");
        CHECK(status_is(200));
}

/* Clients that say nothing fill the server; they are dropped, and the next one is served. */
static void silent_clients_are_dropped(void)
{
        _cleanup_(endpoints_freep) struct endpoints *endpoints = begin();
        struct listen where = loopback(free_port());
        int silent[HTTP_CONNECTIONS_MAX + 4];
        struct error a, b;
        int fd;

        CHECK_INT(endpoints_listen(endpoints, &where, &where, &a, &b), 0);
        for (size_t i = 0; i < ARRAY_SIZE(silent); i++) {
                silent[i] = dial(AF_INET, where.port);
                CHECK(silent[i] >= 0);
                CHECK(sd_event_run(event, 1000) >= 0);
        }
        fd = dial(AF_INET, where.port);
        CHECK(fd >= 0);
        CHECK(send(fd, "GET /healthz HTTP/1.0\r\n\r\n", 25, MSG_NOSIGNAL) == 25);
        CHECK(read_answer(fd, (HTTP_TIMEOUT + 10) * 1000));
        CHECK_HAS(answer, "200 OK");
        close(fd);
        for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
                close(silent[i]);
}

static bool has_ipv6(void)
{
        int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        bool yes = fd >= 0 && bind(fd, (struct sockaddr *)&in6, sizeof(in6)) == 0;

        if (fd >= 0)
                close(fd);
        return yes;
}

static void every_address_of_both_families(void)
{
        static const char text[] = "GET /healthz HTTP/1.0\r\n\r\n";
        _cleanup_(endpoints_freep) struct endpoints *endpoints = begin();
        struct listen where = {.port = free_port()};
        struct error a, b;

        CHECK_INT(endpoints_listen(endpoints, &where, &where, &a, &b), 0);
        exchange(AF_INET, where.port, text);
        CHECK_HAS(answer, "200 OK");
        if (has_ipv6()) {
                exchange(AF_INET6, where.port, text);
                CHECK_HAS(answer, "200 OK");
        }
}

static void an_address_that_is_not_there_yet(void)
{
        _cleanup_(endpoints_freep) struct endpoints *endpoints = begin();
        struct listen where = {.address = {.family = AF_INET, .bytes = {192, 0, 2, 77}}};
        struct listen where6 = {.address = {.family = AF_INET6, .bytes = {0xfd, [15] = 77}}};
        struct error a, b;

        where.port = free_port();
        where6.port = where.port;
        CHECK_INT(endpoints_listen(endpoints, &where, has_ipv6() ? &where6 : &where, &a, &b), 0);
}

static void an_address_in_use(void)
{
        _cleanup_(endpoints_freep) struct endpoints *first = begin(), *second = begin();
        struct listen taken = loopback(free_port()), other = loopback(free_port()), nowhere = {};
        char wanted[64];
        struct error a, b;

        CHECK_INT(endpoints_listen(first, &taken, &nowhere, &a, &b), 0);
        CHECK_INT(endpoints_listen(second, &taken, &other, &a, &b), -EADDRINUSE);
        snprintf(wanted, sizeof(wanted), "127.0.0.1:%u: Address already in use", taken.port);
        CHECK_HAS(a.text, wanted);
        CHECK_INT(b.code, 0);
        /* The other endpoint works all the same, and another try succeeds once it is free. */
        request(other.port, "GET", "/metrics");
        CHECK(status_is(200));
        CHECK_INT(endpoints_listen(first, &nowhere, &nowhere, &a, &b), 0);
        CHECK_INT(endpoints_listen(second, &taken, &other, &a, &b), 0);
        request(taken.port, "GET", "/healthz");
        CHECK(status_is(200));
}

static void reload_moves_the_endpoints(void)
{
        _cleanup_(endpoints_freep) struct endpoints *endpoints = begin();
        struct listen x = loopback(free_port()), y = loopback(free_port()), nowhere = {};
        struct error a, b;
        int open_one;

        CHECK_INT(endpoints_listen(endpoints, &x, &y, &a, &b), 0);
        /* A connection that is open while its server is closed. */
        open_one = dial(AF_INET, x.port);
        CHECK(open_one >= 0);
        CHECK(sd_event_run(event, 10000) >= 0);
        /* They change places. */
        CHECK_INT(endpoints_listen(endpoints, &y, &x, &a, &b), 0);
        request(y.port, "GET", "/healthz");
        CHECK(status_is(200));
        request(x.port, "GET", "/metrics");
        CHECK(status_is(200));
        CHECK_INT(endpoints_listen(endpoints, &nowhere, &nowhere, &a, &b), 0);
        CHECK(dial(AF_INET, x.port) < 0);
        CHECK(dial(AF_INET, y.port) < 0);
        close(open_one);
}

static void an_idle_server_does_not_spin(void)
{
        _cleanup_(endpoints_freep) struct endpoints *endpoints = begin();
        struct listen where = loopback(free_port());
        struct error a, b;
        unsigned turns = 0;
        long end;

        CHECK_INT(endpoints_listen(endpoints, &where, &where, &a, &b), 0);
        request(where.port, "GET", "/healthz");
        end = now_ms() + 200;
        while (now_ms() < end)
                if (sd_event_run(event, 20000) > 0)
                        turns++;
        CHECK(turns < 10);
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {
                TEST(healthz_and_readyz),
                TEST(metrics),
                TEST(one_server_for_both),
                TEST(head_and_other_methods),
                TEST(bodies_are_never_read),
                TEST(garbage_and_size),
                TEST(silent_clients_are_dropped),
                TEST(every_address_of_both_families),
                TEST(an_address_that_is_not_there_yet),
                TEST(an_address_in_use),
                TEST(reload_moves_the_endpoints),
                TEST(an_idle_server_does_not_spin),
        };
        int r;

        if (sd_event_new(&event) < 0)
                return EXIT_FAILURE;
        r = test_main(argc, argv, tests, ARRAY_SIZE(tests));
        sd_event_unref(event);
        return r;
}
