/*
 * The configuration file: every key, every refusal with its file, line and key, and the round trip
 * through --check-config's output.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basics/fileio.h"
#include "config/config.h"
#include "config/file.h"
#include "config/print.h"
#include "config/source.h"
#include "config/value.h"
#include "test.h"

static char folder[] = "/tmp/test_config.XXXXXX";
static char path[64];

static void write_bytes(const char *text, size_t size)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        CHECK(fd >= 0);
        CHECK(write(fd, text, size) == (ssize_t)size);
        close(fd);
}

static void write_file(const char *text)
{
        write_bytes(text, strlen(text));
}

static int read_text(const char *text, struct settings *settings, struct error *error)
{
        write_file(text);
        return config_file_read(path, settings, error);
}

static bool ranges_equal(const struct exemption *a, const struct exemption *b)
{
        return a->n_ports == b->n_ports &&
               memcmp(a->ports, b->ports, a->n_ports * sizeof(a->ports[0])) == 0;
}

static bool prefixes_equal(const struct prefix *a, size_t n_a, const struct prefix *b, size_t n_b)
{
        if (n_a != n_b)
                return false;
        for (size_t i = 0; i < n_a; i++)
                if (!prefix_equal(&a[i], &b[i]))
                        return false;
        return true;
}

static bool listen_equal(const struct listen *a, const struct listen *b)
{
        return a->port == b->port && address_equal(&a->address, &b->address);
}

static void check_equal(const struct settings *a, const struct settings *b)
{
        CHECK(text_equal(a->node_name, b->node_name));
        CHECK(text_equal(a->kubeconfig, b->kubeconfig));
        CHECK_TEXT(a->interface, b->interface);
        CHECK_INT(a->mode, b->mode);
        CHECK_INT(a->on_tunnel_down, b->on_tunnel_down);
        CHECK_INT(a->on_doubtful_list, b->on_doubtful_list);
        CHECK(prefixes_equal(a->protect, a->n_protect, b->protect, b->n_protect));
        CHECK(prefixes_equal(a->exclude, a->n_exclude, b->exclude, b->n_exclude));
        CHECK_INT(a->n_exemptions, b->n_exemptions);
        for (size_t i = 0; i < a->n_exemptions; i++) {
                CHECK_TEXT(a->exemptions[i].name, b->exemptions[i].name);
                CHECK_TEXT(a->exemptions[i].selector.key, b->exemptions[i].selector.key);
                CHECK(text_equal(a->exemptions[i].selector.value, b->exemptions[i].selector.value));
                CHECK_INT(a->exemptions[i].protocol, b->exemptions[i].protocol);
                CHECK(ranges_equal(&a->exemptions[i], &b->exemptions[i]));
        }
        CHECK(prefix_equal(&a->noop_route, &b->noop_route));
        CHECK_INT(a->table_base, b->table_base);
        CHECK_INT(a->priority_base, b->priority_base);
        CHECK(listen_equal(&a->health_listen, &b->health_listen));
        CHECK(listen_equal(&a->metrics_listen, &b->metrics_listen));
        CHECK_TEXT(a->state_directory, b->state_directory);
}

static void sample_is_the_defaults(void)
{
        _cleanup_(settings_freep) struct settings *defaults = settings_new();
        _cleanup_(settings_freep) struct settings *sample = settings_new();
        struct error error = {};

        /* So that a key the sample lacks is seen: none of these is a default. */
        CHECK(read_text("node_name=\"x\";kubeconfig=\"/x\";interface=\"x\";mode=\"observe\";"
                        "on_tunnel_down=\"bypass\";on_doubtful_list=\"believe\";"
                        "protect=(\"10.0.0.0/8\");"
                        "exclude=(\"11.0.0.0/8\");exemptions=();noop_route=\"10.9.9.9\";"
                        "table_base=1000;priority_base=1000;health_listen=\"\";"
                        "metrics_listen=\"\";",
                      sample, &error) >= 0);
        CHECK_INT(config_file_read(SOURCE_ROOT "/conf/nodecryptor.conf", sample, &error), 0);
        check_equal(sample, defaults);
}

static void every_key(void)
{
        _cleanup_(settings_freep) struct settings *s = settings_new();
        struct error error = {};
        char text[PREFIX_TEXT_MAX];

        CHECK_INT(read_text("node_name = \"worker-1.example\";\n"
                            "kubeconfig = \"/etc/kube/it's.conf\";\n"
                            "interface = \"wg0\"; mode = \"observe\";\n"
                            "on_tunnel_down = \"bypass\"; on_doubtful_list = \"believe\";\n"
                            "protect = ( \"fd00:1::/32\", \"10.244.0.0/16\", \"10.244.0.0/16\" );\n"
                            "exclude = [ \"10.9.0.7\" ];\n"
                            "exemptions = ( { name = \"dns\"; nodes = \"role=dns\";\n"
                            "  protocol = \"udp\"; ports = \"53,  5353 - 5355,54\"; },\n"
                            "  { ports = \"22\"; nodes = \"bastion\"; name = \"ssh\"; } );\n"
                            "noop_route = \"10.255.0.1/32\";\n"
                            "table_base = 4000000000L; priority_base = 0x7d0;\n"
                            "health_listen = \":9000\"; metrics_listen = \"[::1]:9001\";\n",
                          s, &error),
                0);
        CHECK_TEXT(s->node_name, "worker-1.example");
        CHECK_TEXT(s->kubeconfig, "/etc/kube/it's.conf");
        CHECK_TEXT(s->interface, "wg0");
        CHECK_INT(s->mode, MODE_OBSERVE);
        CHECK_INT(s->on_tunnel_down, TUNNEL_DOWN_BYPASS);
        CHECK_INT(s->on_doubtful_list, DOUBTFUL_LIST_BELIEVE);
        CHECK_INT(s->n_protect, 2);
        CHECK_TEXT(prefix_format(&s->protect[0], text), "10.244.0.0/16");
        CHECK_TEXT(prefix_format(&s->protect[1], text), "fd00:1::/32");
        CHECK_INT(s->n_exclude, 1);
        CHECK_TEXT(prefix_format(&s->exclude[0], text), "10.9.0.7/32");
        CHECK_INT(s->n_exemptions, 2);
        CHECK_TEXT(s->exemptions[0].selector.value, "dns");
        CHECK_INT(s->exemptions[0].protocol, IPPROTO_UDP);
        CHECK_INT(s->exemptions[0].n_ports, 2);
        CHECK_INT(s->exemptions[0].ports[0].last, 54);
        CHECK_INT(s->exemptions[0].ports[1].first, 5353);
        CHECK_TEXT(s->exemptions[1].name, "ssh");
        CHECK(!s->exemptions[1].selector.value);
        CHECK_INT(s->exemptions[1].protocol, IPPROTO_TCP);
        CHECK_TEXT(prefix_format(&s->noop_route, text), "10.255.0.1/32");
        CHECK_INT(s->table_base, 4000000000u);
        CHECK_INT(s->priority_base, 2000);
        CHECK_INT(s->health_listen.address.family, 0);
        CHECK_INT(s->health_listen.port, 9000);
        CHECK_INT(s->metrics_listen.address.family, AF_INET6);
}

static void round_trip(const char *text)
{
        _cleanup_(settings_freep) struct settings *first = settings_new();
        _cleanup_(settings_freep) struct settings *second = settings_new();
        _cleanup_free_ char *printed = NULL;
        struct text_builder builder = {};
        struct error error = {};

        CHECK_INT(read_text(text, first, &error), 0);
        config_print(first, &builder);
        CHECK_INT(text_take(&builder, &printed), 0);
        CHECK_INT(read_text(printed, second, &error), 0);
        check_equal(first, second);
}

static void printed_parses_to_the_same(void)
{
        round_trip("");
        round_trip(
                "exemptions = ( ); protect = ( ); health_listen = \"0\"; metrics_listen = \"\";");
        round_trip(
                "node_name = \"n\"; kubeconfig = \"/a \\\"b\\\" \\\\ c\"; interface = "
                "\"\\\"x\\\\\";"
                "mode = \"observe\"; on_tunnel_down = \"bypass\";"
                "on_doubtful_list = \"believe\";"
                "protect = ( \"10.244.0.0/16\", \"fd00::/64\" ); exclude = ( \"10.9.0.0/16\" );"
                "exemptions = ( { name = \"a\"; nodes = \"k=v\"; protocol = \"udp\";"
                "  ports = \"1-2,9,65535\"; }, { name = \"b\"; nodes = \"k=\"; ports = \"1\"; } );"
                "noop_route = \"fd01::1\"; table_base = 4294967000L; priority_base = 32000;"
                "health_listen = \"[fd00::1]:1\"; metrics_listen = \":65535\";");
}

/* The text is refused, with "FILE:LINE: KEY: " in front, and `part` somewhere. */
static void refused(const char *text, unsigned line, const char *key, const char *part)
{
        _cleanup_(settings_freep) struct settings *settings = settings_new();
        struct error error = {};
        char front[128];
        int r;

        r = read_text(text, settings, &error);
        if (r >= 0)
                printf("# accepted: %s\n", text);
        CHECK(r < 0);
        CHECK_INT(error.code, r);
        snprintf(front, sizeof(front), "%s:%u: %s", path, line, key);
        CHECK(strncmp(error.text, front, strlen(front)) == 0 ||
                (printf("# %s\n# not beginning with %s\n", error.text, front), false));
        CHECK_HAS(error.text, part);
}

static void unknown_duplicate_and_wrong_types(void)
{
        refused("\n\nprotcet = ( );\n", 3, "protcet: ", "unknown key");
        refused("mode = \"enforce\";\ngroup = { mode = 1; };", 2, "group: ", "unknown key");
        refused("exemptions = ( { name = \"a\";\n port = \"1\"; } );", 2,
                "exemptions[0].port: ", "unknown key");
        refused("mode = \"enforce\";\n\n  mode = \"observe\";\n", 3, "duplicate setting name",
                "mode = \"observe\"");
        refused("exemptions = ( { name = \"a\";\nname = \"b\"; } );", 2, "duplicate setting name",
                "name = \"b\"");
        refused("node_name = 7;", 1, "node_name: ", "string");
        refused("\nmode = true;", 2, "mode: ", "string");
        refused("interface = ( \"a\" );", 1, "interface: ", "string");
        refused("protect = \"10.0.0.0/8\";", 1, "protect: ", "list");
        refused("exclude = ( \"10.0.0.0/8\",\n 5 );", 2, "exclude[1]: ", "string");
        refused("protect = ( ( \"10.0.0.0/8\" ) );", 1, "protect[0]: ", "string");
        refused("table_base = \"51870\";", 1, "table_base: ", "number");
        refused("table_base = 51870.0;", 1, "table_base: ", "number");
        refused("priority_base = true;", 1, "priority_base: ", "number");
        refused("exemptions = { };", 1, "exemptions: ", "list");
        refused("exemptions = [ ];", 1, "exemptions: ", "list");
        refused("exemptions = (\n \"etcd\" );", 2, "exemptions[0]: ", "group");
        refused("exemptions = ( { name = \"a\"; nodes = \"k\"; ports = 6443; } );", 1,
                "exemptions[0].ports: ", "string");
}

static void bad_values(void)
{
        refused("node_name = \"Node_1\";", 1, "node_name: ", "Node_1");
        refused("kubeconfig = \"kubelet.conf\";", 1, "kubeconfig: ", "absolute");
        refused("kubeconfig = \"/a\\nb\";", 1, "kubeconfig: ", "control character");
        refused("interface = \"\";", 1, "interface: ", "empty");
        refused("interface = \"cilium_wg0123456\";", 1, "interface: ", "longer than 15");
        refused("interface = \"a/b\";", 1, "interface: ", "a/b");
        refused("interface = \"a b\";", 1, "interface: ", "a b");
        refused("interface = \"..\";", 1, "interface: ", "..");
        refused("\nmode = \"Enforce\";", 2, "mode: ", "observe");
        refused("on_tunnel_down = \"open\";", 1, "on_tunnel_down: ", "bypass");
        refused("on_doubtful_list = \"no\";", 1, "on_doubtful_list: ", "believe");
        refused("noop_route = \"10.0.0.1/8\";", 1, "noop_route: ", "host bits");
        refused("noop_route = \"127.0.0.2\";", 1, "noop_route: ", "loopback");
        refused("table_base = 255;", 1, "table_base: ", "300 to");
        refused("table_base = 4294967001L;", 1, "table_base: ", "4294967000");
        refused("table_base = -1;", 1, "table_base: ", "-1");
        refused("priority_base = 100;", 1, "priority_base: ", "101 to");
        refused("priority_base = 32001;", 1, "priority_base: ", "32000");
        refused("health_listen = \"127.0.0.1:0\";", 1, "health_listen: ", "1 to 65535");
        refused("metrics_listen = \"127.0.0.1:70000\";", 1, "metrics_listen: ", "1 to 65535");
        refused("metrics_listen = \"localhost:80\";", 1, "metrics_listen: ", "localhost");
        refused("metrics_listen = \"::1:80\";", 1, "metrics_listen: ", "::1:80");
        refused("metrics_listen = \"8084\";", 1, "metrics_listen: ", "8084");
}

static void bad_prefixes(void)
{
        refused("protect = ( \"10.244.0.0/16\",\n \"10.244.3.1/24\" );", 2,
                "protect[1]: ", "host bits");
        refused("protect = ( \"0.0.0.0/0\" );", 1, "protect[0]: ", "every address");
        refused("exclude = ( \"::/0\" );", 1, "exclude[0]: ", "every address");
        refused("protect = ( \"10.0.0.0/33\" );", 1, "protect[0]: ", "not an IPv4");
        refused("protect = ( \"10.0.0.0/\" );", 1, "protect[0]: ", "not an IPv4");
        refused("protect = ( \"ten\" );", 1, "protect[0]: ", "not an IPv4");
        refused("protect = ( \"127.0.0.0/8\" );", 1, "protect[0]: ", "loopback");
        refused("protect = ( \"160.0.0.0/3\" );", 1, "protect[0]: ", "link-local");
        refused("exclude = ( \"224.0.0.0/4\" );", 1, "exclude[0]: ", "multicast");
        refused("exclude = ( \"fe80::/64\" );", 1, "exclude[0]: ", "link-local");
        refused("exclude = ( \"::ffff:10.0.0.1\" );", 1, "exclude[0]: ", "reserved");
        refused("protect = ( \"10.1.0.0/16\",\n\"10.2.3.0/24\" );\nexclude = ( \"10.2.0.0/16\" );",
                2, "protect[1]: ", "'10.2.3.0/24' lies inside exclude's '10.2.0.0/16'");
        refused("exclude = ( \"10.2.0.0/16\" );\nprotect = ( \"10.2.0.0/16\" );", 2,
                "protect[0]: ", "lies inside");
}

/* The other way round it is a hole in what is protected, and meant so. */
static void exclude_inside_protect(void)
{
        _cleanup_(settings_freep) struct settings *settings = settings_new();
        struct error error = {};

        CHECK_INT(read_text("protect = ( \"10.0.0.0/8\" ); exclude = ( \"10.2.0.0/16\" );",
                          settings, &error),
                0);
}

#define EXEMPTION(inner) "exemptions = (\n { " inner " } );"

static void bad_exemptions(void)
{
        refused(EXEMPTION("nodes = \"k\"; ports = \"1\";"), 2, "exemptions[0]: ", "'name'");
        refused(EXEMPTION("name = \"a\"; ports = \"1\";"), 2, "exemptions[0]: ", "'nodes'");
        refused(EXEMPTION("name = \"a\"; nodes = \"k\";"), 2, "exemptions[0]: ", "'ports'");
        refused(EXEMPTION("name = \"\"; nodes = \"k\"; ports = \"1\";"), 2,
                "exemptions[0].name: ", "1 to 63");
        refused(EXEMPTION("name = \"a b\"; nodes = \"k\"; ports = \"1\";"), 2,
                "exemptions[0].name: ", "a b");
        refused(EXEMPTION("name = \"a\"; nodes = \"\"; ports = \"1\";"), 2,
                "exemptions[0].nodes: ", "label");
        refused(EXEMPTION("name = \"a\"; nodes = \"k in (v)\"; ports = \"1\";"), 2,
                "exemptions[0].nodes: ", "k in (v)");
        refused(EXEMPTION("name = \"a\"; nodes = \"k\"; protocol = \"sctp\"; ports = \"1\";"), 2,
                "exemptions[0].protocol: ", "'sctp' is neither \"tcp\" nor \"udp\"");
        refused(EXEMPTION("name = \"a\"; nodes = \"k\"; ports = \"\";"), 2,
                "exemptions[0].ports: ", "not a port");
        refused(EXEMPTION("name = \"a\"; nodes = \"k\"; ports = \"80,,81\";"), 2,
                "exemptions[0].ports: ", "not a port");
        refused(EXEMPTION("name = \"a\"; nodes = \"k\"; ports = \"80,0\";"), 2,
                "exemptions[0].ports: ", "'0': a port is 1 to 65535");
        refused(EXEMPTION("name = \"a\"; nodes = \"k\"; ports = \"70000\";"), 2,
                "exemptions[0].ports: ", "'70000': a port is 1 to 65535");
        refused(EXEMPTION("name = \"a\"; nodes = \"k\"; ports = \"1, 2380-2379\";"), 2,
                "exemptions[0].ports: ", "'2380-2379' is upside down");
        refused("exemptions = ( { name = \"a\"; nodes = \"k\"; ports = \"1\"; },\n"
                "{ name = \"a\"; nodes = \"l\"; ports = \"2\"; } );",
                2, "exemptions[1]: ", "another exemption 'a'");
}

static void syntax_errors(void)
{
        refused("mode = \"enforce\";\ntable_base 7;\n", 2, "syntax error", "table_base 7");
        refused("mode = \"enforce\"; }\n", 1, "syntax error", "}");
        refused("\nmode = \"enfo\n\n\n", 2, "a string begins here", "does not end");
        refused("# a comment\n/* \n*/ @include \"other.conf\"\n", 3, "@include: ", "not supported");
        refused("table_base = 1;\nmode = 4295019166;", 2, "the number 4295019166", "suffix L");
        refused("table_base = 0x10000CA9E;", 1, "the number 0x10000CA9E", "suffix L");
        write_bytes("mode = \"enforce\";\n\0mode", 23);
        {
                _cleanup_(settings_freep) struct settings *settings = settings_new();
                struct error error = {};

                CHECK_INT(config_file_read(path, settings, &error), -EINVAL);
                CHECK_HAS(error.text, ":2: a NUL byte");
        }
}

/* What looks like a directive or a large number inside a comment or a string is none. */
static void comments_and_strings_are_left_alone(void)
{
        _cleanup_(settings_freep) struct settings *settings = settings_new();
        struct error error = {};

        CHECK_INT(read_text("# 99999999999 @include \"a\"\n// @include\n/* \n@include \"x\"\n"
                            "99999999999 */ kubeconfig = \"/@include 99999999999 \\\" #\";\n",
                          settings, &error),
                0);
        CHECK_TEXT(settings->kubeconfig, "/@include 99999999999 \" #");
}

static void files_that_cannot_be_read(void)
{
        _cleanup_(settings_freep) struct settings *settings = settings_new();
        static char big[CONFIG_FILE_MAX + 2];
        struct error error = {};

        CHECK_INT(config_file_read("/nonexistent/n.conf", settings, &error), -ENOENT);
        CHECK_TEXT(error.text, "/nonexistent/n.conf: No such file or directory");
        CHECK_INT(config_file_read(folder, settings, &error), -EINVAL);
        CHECK_HAS(error.text, folder);
        CHECK_HAS(error.text, "not a regular file");
        memset(big, '\n', sizeof(big) - 1);
        CHECK_INT(read_text(big, settings, &error), -EFBIG);
        CHECK_HAS(error.text, path);
        if (geteuid() == 0) {
                /* Root reads everything: another user is played for the moment. */
                write_file("");
                CHECK(seteuid(65534) == 0);
                CHECK(config_file_read(path, settings, &error) == -EACCES);
                CHECK(seteuid(0) == 0);
                CHECK_HAS(error.text, path);
                CHECK_HAS(error.text, "Permission denied");
        }
}

static void lists_are_bounded(void)
{
        struct text_builder builder = {};
        _cleanup_free_ char *text = NULL;

        text_append(&builder, "protect = (");
        for (int i = 0; i <= CONFIG_PREFIXES_MAX; i++)
                text_append(&builder, "%s\"10.%d.%d.0/24\"", i > 0 ? "," : "", i / 256, i % 256);
        text_append(&builder, ");");
        CHECK_INT(text_take(&builder, &text), 0);
        refused(text, 1, "protect: ", "more than 1024");

        free(TAKE_PTR(text));
        text_append(&builder, "\nexemptions = (");
        for (int i = 0; i <= CONFIG_EXEMPTIONS_MAX; i++)
                text_append(&builder, "%s{ name = \"e%d\"; nodes = \"k\"; ports = \"1\"; }",
                        i > 0 ? "," : "", i);
        text_append(&builder, ");");
        CHECK_INT(text_take(&builder, &text), 0);
        refused(text, 2, "exemptions: ", "more than 64");

        free(TAKE_PTR(text));
        text_append(&builder, "exemptions = ( { name = \"e\"; nodes = \"k\";\n ports = \"");
        for (int i = 0; i <= EXEMPTION_PORTS_MAX; i++)
                text_append(&builder, "%s%d", i > 0 ? "," : "", i * 2 + 1);
        text_append(&builder, "\"; } );");
        CHECK_INT(text_take(&builder, &text), 0);
        refused(text, 2, "exemptions[0].ports: ", "more than 64");
}

static void every_key_is_printed(void)
{
        _cleanup_(settings_freep) struct settings *settings = settings_new();
        _cleanup_free_ char *text = NULL;
        struct text_builder builder = {};

        config_print(settings, &builder);
        CHECK_INT(text_take(&builder, &text), 0);
        for (size_t i = 0; config_file_key(i); i++) {
                char line[64];

                snprintf(line, sizeof(line), "%s = ", config_file_key(i));
                CHECK_HAS(text, line);
        }
        CHECK(!config_file_key(14));
        CHECK(!config_file_exemption_key(4));
}

static const struct test tests[] = {
        TEST(sample_is_the_defaults),
        TEST(every_key),
        TEST(printed_parses_to_the_same),
        TEST(unknown_duplicate_and_wrong_types),
        TEST(bad_values),
        TEST(bad_prefixes),
        TEST(exclude_inside_protect),
        TEST(bad_exemptions),
        TEST(syntax_errors),
        TEST(comments_and_strings_are_left_alone),
        TEST(files_that_cannot_be_read),
        TEST(lists_are_bounded),
        TEST(every_key_is_printed),
};

int main(int argc, char **argv)
{
        int status;

        if (!mkdtemp(folder))
                return EXIT_FAILURE;
        snprintf(path, sizeof(path), "%s/n.conf", folder);
        status = test_main(argc, argv, tests, ARRAY_SIZE(tests));
        unlink(path);
        rmdir(folder);
        return status;
}
