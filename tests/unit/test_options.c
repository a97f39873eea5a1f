/*
 * The command line, its precedence over file and environment, and that a reload applies it again.
 */
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "config/options.h"
#include "test.h"

static char folder[] = "/tmp/test_options.XXXXXX";
static char path[64], absent[64];

static void write_file(const char *text)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        CHECK(fd >= 0);
        CHECK(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
        close(fd);
}

/* Parses the NULL-terminated arguments. */
static int parse(struct options *options, struct error *error, char **arguments)
{
        char *argv[16] = {(char *)"nodecryptor"};
        int argc = 1;

        for (; arguments[argc - 1]; argc++)
                argv[argc] = arguments[argc - 1];
        options_init(options);
        options->default_config = absent;
        return options_parse(options, argc, argv, error);
}

#define ARGUMENTS(...) ((char *[]){__VA_ARGS__, NULL})
#define A(text)        ((char *)(text))

/* Parses and loads, both of which succeed. */
static struct settings *load(char **arguments)
{
        _cleanup_(options_deinit) struct options options;
        struct settings *settings = NULL;
        struct error error = {};
        int r;

        r = parse(&options, &error, arguments);
        if (r >= 0)
                r = config_load(&options, &settings, &error);
        if (r < 0)
                printf("# %s\n", error.text);
        CHECK_INT(r, 0);
        return settings;
}

static void spellings(void)
{
        static char *const forms[][3] = {
                {A("--noop-route"), A("10.9.9.9"), NULL},
                {A("--noop-route=10.9.9.9"), NULL},
                {A("-noop-route"), A("10.9.9.9"), NULL},
                {A("-noop-route=10.9.9.9"), NULL},
        };

        for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
                _cleanup_(settings_freep) struct settings *settings = load((char **)forms[i]);
                char text[PREFIX_TEXT_MAX];

                CHECK_TEXT(prefix_format(&settings->noop_route, text), "10.9.9.9/32");
        }
}

static void every_option(void)
{
        _cleanup_(settings_freep) struct settings *s = NULL;

        write_file("");
        s = load(ARGUMENTS(A("--config"), path, A("--node-name"), A("n1"), A("--kubeconfig"),
                A("/k"), A("-metrics-server-bind-address"), A(":9"),
                A("-health-probe-bind-address"), A("0"), A("--state-directory"), A("/s")));
        CHECK_TEXT(s->node_name, "n1");
        CHECK_TEXT(s->kubeconfig, "/k");
        CHECK_INT(s->metrics_listen.port, 9);
        CHECK_INT(s->health_listen.port, 0);
        CHECK_TEXT(s->state_directory, "/s");
}

static void actions(void)
{
        struct options options;
        struct error error = {};

        CHECK_INT(parse(&options, &error, ARGUMENTS(A("--help"), A("--nonsense"))), 0);
        CHECK_INT(options.action, OPTIONS_HELP);
        CHECK_INT(parse(&options, &error, ARGUMENTS(A("-version"))), 0);
        CHECK_INT(options.action, OPTIONS_VERSION);
        CHECK_INT(parse(&options, &error, ARGUMENTS(A("--check-config"), A("--node-name=a"))), 0);
        CHECK_INT(options.action, OPTIONS_CHECK_CONFIG);
        CHECK_TEXT(options.node_name, "a");
        options_deinit(&options);
        CHECK_INT(options.action, OPTIONS_RUN);
        CHECK(!options.node_name);
}

static void control_plane_exempt_ports(void)
{
        _cleanup_(settings_freep) struct settings *s = NULL;

        s = load(ARGUMENTS(A("--control-plane-exempt-ports"), A("2379-2382,6443, 443")));
        CHECK_INT(s->n_exemptions, 1);
        CHECK_TEXT(s->exemptions[0].name, "control-plane");
        CHECK_TEXT(s->exemptions[0].selector.key, CONTROL_PLANE_LABEL);
        CHECK(!s->exemptions[0].selector.value);
        CHECK_INT(s->exemptions[0].protocol, IPPROTO_TCP);
        CHECK_INT(s->exemptions[0].n_ports, 3);
        CHECK_INT(s->exemptions[0].ports[0].first, 443);
        CHECK_INT(s->exemptions[0].ports[1].first, 2379);
        CHECK_INT(s->exemptions[0].ports[1].last, 2382);
        CHECK_INT(s->exemptions[0].ports[2].first, 6443);
}

/* Only what selects the bare key goes: another label, or the key with a value, stays. */
static void other_exemptions_stay(void)
{
        _cleanup_(settings_freep) struct settings *s = NULL;

        write_file("exemptions = ("
                   "{ name = \"a\"; nodes = \"" CONTROL_PLANE_LABEL "\"; ports = \"1\"; },"
                   "{ name = \"b\"; nodes = \"" CONTROL_PLANE_LABEL "=x\"; ports = \"2\"; },"
                   "{ name = \"c\"; nodes = \"other\"; protocol = \"udp\"; ports = \"3\"; },"
                   "{ name = \"d\"; nodes = \"" CONTROL_PLANE_LABEL "\"; ports = \"4\"; });");
        s = load(ARGUMENTS(A("--config"), path, A("-control-plane-exempt-ports"), A("443")));
        CHECK_INT(s->n_exemptions, 3);
        CHECK_TEXT(s->exemptions[0].name, "b");
        CHECK_TEXT(s->exemptions[1].name, "c");
        CHECK_TEXT(s->exemptions[2].name, "control-plane");
}

static void precedence_of_the_node_name(void)
{
        _cleanup_(settings_freep) struct settings *option = NULL, *file = NULL, *environment = NULL,
                                                  *none = NULL;

        write_file("node_name = \"from-file\";");
        CHECK(setenv("NODE_NAME", "from-environment", 1) == 0);
        option = load(ARGUMENTS(A("--config"), path, A("--node-name"), A("from-option")));
        CHECK_TEXT(option->node_name, "from-option");
        file = load(ARGUMENTS(A("--config"), path));
        CHECK_TEXT(file->node_name, "from-file");
        environment = load(ARGUMENTS(A("--state-directory=/s")));
        CHECK_TEXT(environment->node_name, "from-environment");
        CHECK(unsetenv("NODE_NAME") == 0);
        none = load(ARGUMENTS(A("--state-directory=/s")));
        CHECK(!none->node_name);
}

/* The command line is refused with a text that holds `part`. */
static void refused(char **arguments, const char *part)
{
        _cleanup_(options_deinit) struct options options;
        struct settings *settings = NULL;
        struct error error = {};
        int r;

        r = parse(&options, &error, arguments);
        if (r >= 0)
                r = config_load(&options, &settings, &error);
        CHECK(r < 0);
        CHECK(!settings);
        CHECK_INT(error.code, r);
        CHECK_HAS(error.text, part);
}

static void bad_command_lines(void)
{
        refused(ARGUMENTS(A("--nonsense")), "--nonsense: no such option");
        refused(ARGUMENTS(A("-x")), "-x: no such option");
        refused(ARGUMENTS(A("--node-name=a"), A("--c")), "--c: no such option");
        refused(ARGUMENTS(A("--noop-route")), "--noop-route: a value is missing");
        refused(ARGUMENTS(A("--check-config=yes")), "--check-config=yes: takes no value");
        refused(ARGUMENTS(A("start")), "start: an argument");
        refused(ARGUMENTS(A("--check-config"), A("start"), A("--help")), "start: an argument");
}

static void bad_values_name_the_option(void)
{
        refused(ARGUMENTS(A("--node-name"), A("Not_A_Name")), "--node-name 'Not_A_Name': ");
        refused(ARGUMENTS(A("--kubeconfig"), A("relative")), "--kubeconfig 'relative': ");
        refused(ARGUMENTS(A("--state-directory"), A("")), "--state-directory '': ");
        refused(ARGUMENTS(A("--noop-route"), A("10.0.0.1/8")),
                "--noop-route '10.0.0.1/8': '10.0.0.1/8' has host bits set");
        refused(ARGUMENTS(A("--health-probe-bind-address"), A("127.0.0.1:70000")),
                "--health-probe-bind-address '127.0.0.1:70000': ");
        refused(ARGUMENTS(A("--metrics-server-bind-address"), A("x")),
                "--metrics-server-bind-address 'x': ");
        refused(ARGUMENTS(A("-control-plane-exempt-ports"), A("6443,0")),
                "--control-plane-exempt-ports '6443,0': '0'");
        refused(ARGUMENTS(A("-control-plane-exempt-ports"), A("9-8")), "'9-8' is upside down");
        refused(ARGUMENTS(A("-control-plane-exempt-ports"), A("")),
                "--control-plane-exempt-ports '': ");
        CHECK(setenv("NODE_NAME", "Not_A_Name", 1) == 0);
        refused(ARGUMENTS(A("--state-directory=/s")), "environment variable NODE_NAME: ");
        CHECK(unsetenv("NODE_NAME") == 0);
}

static void name_collision(void)
{
        write_file(
                "exemptions = ({ name = \"control-plane\"; nodes = \"other\"; ports = \"1\"; });");
        refused(ARGUMENTS(A("--config"), path, A("-control-plane-exempt-ports"), A("443")),
                "'control-plane' that selects other nodes");
}

static void an_absent_default_file_is_none(void)
{
        _cleanup_(options_deinit) struct options options;
        _cleanup_(settings_freep) struct settings *settings = NULL;
        struct error error = {};

        CHECK_INT(parse(&options, &error, ARGUMENTS(A("--check-config"))), 0);
        CHECK(!config_origin(&options));
        CHECK_INT(config_load(&options, &settings, &error), 0);
        CHECK_TEXT(settings->interface, DEFAULT_INTERFACE);

        write_file("interface = \"wg9\";");
        options.default_config = path;
        CHECK_TEXT(config_origin(&options), path);
        settings = settings_free(settings);
        CHECK_INT(config_load(&options, &settings, &error), 0);
        CHECK_TEXT(settings->interface, "wg9");
}

static void a_named_file_must_exist(void)
{
        refused(ARGUMENTS(A("--config"), absent), "absent.conf: No such file or directory");
}

static void a_reload_applies_the_options_again(void)
{
        _cleanup_(options_deinit) struct options options;
        _cleanup_(settings_freep) struct settings *first = NULL, *second = NULL;
        struct settings *third = NULL;
        struct error error = {};

        write_file("mode = \"enforce\"; health_listen = \":1\";");
        CHECK_INT(parse(&options, &error,
                          ARGUMENTS(A("--config"), path, A("--health-probe-bind-address=:2"))),
                0);
        CHECK_INT(config_load(&options, &first, &error), 0);
        CHECK_INT(first->health_listen.port, 2);
        write_file("mode = \"observe\"; health_listen = \":3\";");
        CHECK_INT(config_load(&options, &second, &error), 0);
        CHECK_INT(second->mode, MODE_OBSERVE);
        CHECK_INT(second->health_listen.port, 2);
        write_file("mode = \"nonsense\";");
        CHECK(config_load(&options, &third, &error) < 0);
        CHECK(!third);
}

static void help_names_every_option(void)
{
        struct text_builder builder = {};
        _cleanup_free_ char *text = NULL;

        options_help(&builder);
        CHECK_INT(text_take(&builder, &text), 0);
        for (size_t i = 0; options_name(i); i++)
                CHECK_HAS(text, options_name(i));
        CHECK(!options_name(11));
}

static const struct test tests[] = {
        TEST(spellings),
        TEST(every_option),
        TEST(actions),
        TEST(control_plane_exempt_ports),
        TEST(other_exemptions_stay),
        TEST(precedence_of_the_node_name),
        TEST(bad_command_lines),
        TEST(bad_values_name_the_option),
        TEST(name_collision),
        TEST(an_absent_default_file_is_none),
        TEST(a_named_file_must_exist),
        TEST(a_reload_applies_the_options_again),
        TEST(help_names_every_option),
};

int main(int argc, char **argv)
{
        int status;

        unsetenv("NODE_NAME");
        if (!mkdtemp(folder))
                return EXIT_FAILURE;
        snprintf(path, sizeof(path), "%s/n.conf", folder);
        snprintf(absent, sizeof(absent), "%s/absent.conf", folder);
        status = test_main(argc, argv, tests, ARRAY_SIZE(tests));
        unlink(path);
        rmdir(folder);
        return status;
}
