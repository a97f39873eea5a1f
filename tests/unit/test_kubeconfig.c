/*
 * kubeconfigs: what is read from them, and what is refused in which words.
 */
#include "test.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basics/fileio.h"
#include "basics/text.h"
#include "kube/discovery.h"
#include "kube/kubeconfig.h"

#define HEAD  "apiVersion: v1\nkind: Config\ncurrent-context: c\n"
#define CHAIN "contexts:\n- name: c\n  context: {cluster: k, user: u}\n"

/* A kubeconfig with these lines in its cluster and its user. */
static char *config(const char *cluster, const char *user)
{
        struct text_builder builder = {};
        char *text = NULL;

        text_append(&builder,
                HEAD CHAIN "clusters:\n- name: k\n  cluster: {%s}\nusers:\n"
                           "- name: u\n  user: {%s}\n",
                cluster, user);
        CHECK_INT(text_take(&builder, &text), 0);
        return text;
}

static int parse_text(const char *text, struct kubeconfig **ret, struct error *error)
{
        *error = (struct error){};
        return kubeconfig_parse("/etc/kubernetes/kubelet.conf", text, strlen(text), ret, error);
}

static struct kubeconfig *parse_good(const char *text)
{
        struct kubeconfig *parsed = NULL;
        struct error error;
        int r = parse_text(text, &parsed, &error);

        if (r < 0)
                printf("# %s\n", error.text);
        CHECK_INT(r, 0);
        return parsed;
}

static void as_kubeadm_writes_it(void)
{
        struct kubeconfig *parsed = parse_good(
                "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: Q0E=\n"
                "    server: https://10.0.0.11:6443\n  name: kubernetes\ncontexts:\n- context:\n"
                "    cluster: kubernetes\n    namespace: default\n    user: default-auth\n"
                "  name: default-context\ncurrent-context: default-context\nkind: Config\n"
                "preferences: {}\nusers:\n- name: default-auth\n  user:\n"
                "    client-certificate: /var/lib/kubelet/pki/kubelet-client-current.pem\n"
                "    client-key: /var/lib/kubelet/pki/kubelet-client-current.pem\n");

        CHECK_TEXT(parsed->server.text, "https://10.0.0.11:6443");
        CHECK_TEXT(parsed->server.host, "10.0.0.11");
        CHECK_INT(parsed->server.port, 6443);
        CHECK(parsed->server.tls);
        CHECK_TEXT(parsed->server.base_path, "");
        CHECK_TEXT(parsed->ca.data, "CA");
        CHECK(!parsed->ca_path && !parsed->token && !parsed->exec);
        CHECK_TEXT(parsed->certificate_path, "/var/lib/kubelet/pki/kubelet-client-current.pem");
        CHECK_TEXT(parsed->key_path, "/var/lib/kubelet/pki/kubelet-client-current.pem");
        kubeconfig_free(parsed);
}

static void every_field(void)
{
        char *text = config(
                "server: \"https://api.example:8443/base/\", certificate-authority: ca.pem, "
                "tls-server-name: kubernetes, proxy-url: \"http://proxy:3128\", "
                "disable-compression: true",
                "client-certificate: c.pem, client-certificate-data: Q0VSVA==, client-key: k.pem, "
                "token: secret, tokenFile: sub/token, exec: {command: x, "
                "apiVersion: client.authentication.k8s.io/v1beta1, args: [a, 'b c'], "
                "env: [{name: K, value: v=w}]}");
        struct kubeconfig *parsed = parse_good(text);

        CHECK_TEXT(parsed->ca_path, "/etc/kubernetes/ca.pem");
        CHECK_TEXT(parsed->server.base_path, "/base");
        CHECK_TEXT(parsed->tls_server_name, "kubernetes");
        CHECK_TEXT(parsed->proxy_url, "http://proxy:3128");
        CHECK(parsed->disable_compression && !parsed->insecure_skip_tls_verify);
        CHECK_TEXT(parsed->certificate.data, "CERT");
        CHECK(!parsed->certificate_path); /* the data beats it */
        CHECK_TEXT(parsed->key_path, "/etc/kubernetes/k.pem");
        CHECK_TEXT(parsed->token, "secret");
        CHECK_TEXT(parsed->token_path, "/etc/kubernetes/sub/token");
        CHECK(parsed->exec);
        CHECK_INT(parsed->exec->n_arguments, 3);
        CHECK_TEXT(parsed->exec->arguments[0], "x");
        CHECK_TEXT(parsed->exec->arguments[2], "b c");
        CHECK(!parsed->exec->arguments[3]);
        CHECK_TEXT(parsed->exec->environment[0], "K=v=w");
        CHECK(!parsed->exec->provide_cluster_info);
        kubeconfig_free(parsed);
        free(text);
}

static void json_too(void)
{
        struct kubeconfig *parsed = parse_good(
                "{\"kind\":\"Config\",\"current-context\":\"b\",\"contexts\":[{\"name\":\"a\","
                "\"context\":"
                "{\"cluster\":\"x\",\"user\":\"x\"}},{\"name\":\"b\",\"context\":{\"cluster\":"
                "\"k\","
                "\"user\":\"u\"}}],\"clusters\":[{\"name\":\"x\",\"cluster\":{\"server\":\"https://"
                "x\"}},"
                "{\"name\":\"k\",\"cluster\":{\"server\":\"https:\\/\\/[fd00::1]\"}}],\"users\":"
                "[{\"name\":\"u\",\"user\":{\"token\":\"t\"}}]}");

        CHECK_TEXT(parsed->server.host, "fd00::1");
        CHECK_INT(parsed->server.port, 443);
        CHECK_TEXT(parsed->token, "t");
        kubeconfig_free(parsed);
}

static void servers(void)
{
        static const struct {
                const char *text, *host, *base;
                int port;
                bool tls;
        } good[] = {
                {"https://a", "a", "", 443, true},
                {"http://a.b-c/", "a.b-c", "", 80, false},
                {"10.0.0.1:6443", "10.0.0.1", "", 6443, true},
                {"https://[fd00::1]:6443/x/y//", "fd00::1", "/x/y", 6443, true},
                {"https://lb.example.com:8443/k8s/clusters/c-1", "lb.example.com",
                        "/k8s/clusters/c-1", 8443, true},
        };
        static const char *const bad[] = {"ftp://a", "https://", "https://u:p@a", "https://a?b=c",
                "https://a#b", "https://a:0", "https://a:70000", "https://a b",
                "file:///etc/passwd", "https://a%00b", "https://[fe80::1%25eth0]", "unix:///run/x",
                ""};
        struct server_url url;
        struct error error;

        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
                CHECK_INT(server_url_parse(good[i].text, &url, &error), 0);
                CHECK_TEXT(url.host, good[i].host);
                CHECK_TEXT(url.base_path, good[i].base);
                CHECK_INT(url.port, good[i].port);
                CHECK_INT(url.tls, good[i].tls);
                server_url_deinit(&url);
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                CHECK_INT(server_url_parse(bad[i], &url, &error), -EINVAL);
        }
        CHECK_INT(server_url_parse("https://name:password@a", &url, &error), -EINVAL);
        CHECK(!strstr(error.text, "password"));
}

/* Each in words that name the file and the key. */
static void refused(void)
{
        static const struct {
                const char *cluster, *user, *words;
        } cases[] = {
                {"", "", "server: not given"},
                {"server: \"ftp://a\"", "", "server: "},
                {"server: [a]", "", "line 9: server: not a text"},
                {"server: \"https://a\", server: \"https://b\"", "", "server: given twice"},
                {"server: \"https://a\", insecure-skip-tls-verify: maybe", "",
                        "insecure-skip-tls-verify"},
                {"server: \"https://a\", insecure-skip-tls-verify: true, certificate-authority: x",
                        "", "insecure-skip-tls-verify"},
                {"server: \"https://a\", certificate-authority-data: \"===\"", "",
                        "certificate-authority-data: not base64"},
                {"server: \"https://a\", certificate-authority-data: \"QQ=A\"", "", "not base64"},
                {"server: \"https://a\"", "client-key-data: \"*\"", "client-key-data: not base64"},
                {"server: \"https://a\"", "token: {a: b}", "token: not a text"},
                {"server: \"https://a\"", "token: \"a\\0b\"", "token: a NUL byte"},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                char *text = config(cases[i].cluster, cases[i].user);
                struct kubeconfig *parsed = NULL;
                struct error error;
                int r = parse_text(text, &parsed, &error);

                free(text);
                if (!strstr(error.text, cases[i].words))
                        printf("# %s\n", error.text);
                CHECK_INT(r, -EINVAL);
                CHECK_HAS(error.text, cases[i].words);
                CHECK_HAS(error.text, "/etc/kubernetes/kubelet.conf: ");
        }
}

static void broken_chains(void)
{
        static const struct {
                const char *text, *words;
                int code;
        } cases[] = {
                {"", "empty", -EINVAL},
                {"kind: [Config", "line 2: not YAML", -EINVAL},
                {"\tkind: Config", "not YAML", -EINVAL},
                {"kind: KubeletConfiguration\n", "not a kubeconfig", -EMEDIUMTYPE},
                {"just text", "not a kubeconfig", -EMEDIUMTYPE},
                {"apiVersion: v1\n", "not a kubeconfig", -EMEDIUMTYPE},
                {"kind: Config\n", "current-context: not given", -EINVAL},
                {HEAD, "contexts: no context called \"c\"", -EINVAL},
                {HEAD "contexts: {c: d}\n", "contexts: no context called \"c\"", -EINVAL},
                {HEAD "contexts:\n- name: c\n  context: {user: u}\n", "names no cluster", -EINVAL},
                {HEAD CHAIN, "clusters: no cluster called \"k\"", -EINVAL},
                {HEAD CHAIN "clusters:\n- name: k\n  cluster: {server: \"https://a\"}\n",
                        "users: no user called \"u\"", -EINVAL},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct kubeconfig *parsed = NULL;
                struct error error;
                int r = parse_text(cases[i].text, &parsed, &error);

                if (!strstr(error.text, cases[i].words))
                        printf("# %s\n", error.text);
                CHECK_INT(r, cases[i].code);
                CHECK_HAS(error.text, cases[i].words);
        }
}

static char *many(const char *head, const char *each, unsigned n)
{
        struct text_builder builder = {};
        char *text = NULL;

        text_append(&builder, "%s", head);
        for (unsigned i = 0; i < n; i++)
                text_append(&builder, "%s", each);
        CHECK_INT(text_take(&builder, &text), 0);
        return text;
}

/* Nothing that a file can hold takes more than its own size in time and memory. */
static void hostile(void)
{
        struct kubeconfig *parsed = NULL;
        struct error error;
        char *text;

        text = many("kind: Config\nx: ", "[", 200000);
        CHECK_INT(parse_text(text, &parsed, &error), -EINVAL);
        CHECK_HAS(error.text, "nested deeper");
        free(text);

        text = many("kind: Config\nx: [", "a,", 200000);
        CHECK_INT(parse_text(text, &parsed, &error), -EINVAL);
        CHECK_HAS(error.text, "more than");
        free(text);

        /* A bomb of aliases, and a cycle of them. */
        CHECK_INT(
                parse_text(
                        "kind: Config\na: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\n"
                        "c: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c]\n"
                        "e: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\n"
                        "clusters: *f\ncontexts: *f\nusers: *f\ncurrent-context: x\n",
                        &parsed, &error),
                -EINVAL);
        CHECK_INT(parse_text("&r\nkind: Config\ncurrent-context: c\ncontexts:\n- &x\n  name: c\n  "
                             "context: *x\n",
                          &parsed, &error),
                -EINVAL);

        text = many("kind: Config\ncurrent-context: ", "a", 10000);
        CHECK_INT(parse_text(text, &parsed, &error), -EINVAL);
        CHECK_HAS(error.text, "current-context: longer than");
        free(text);
}

static void write_file(const char *root, const char *path, const char *text)
{
        char *whole = NULL, *slash;

        CHECK(asprintf(&whole, "%s%s", root, path) > 0);
        for (slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
                *slash = '\0';
                (void)mkdir(whole, 0700);
                *slash = '/';
        }
        CHECK_INT(file_write_atomic(whole, text, strlen(text), 0600), 0);
        free(whole);
}

static void files(void)
{
        char folder[] = "/tmp/kubeconfig-XXXXXX", *command = NULL, *big;
        struct kubeconfig *parsed = NULL;
        struct error error = {};

        CHECK(mkdtemp(folder));
        CHECK_INT(kubeconfig_load("/nonexistent/x", &parsed, &error), -ENOENT);
        CHECK_HAS(error.text, "/nonexistent/x: cannot be read");
        CHECK_INT(kubeconfig_load(folder, &parsed, &error), -EINVAL);

        /* Nowhere; then one of another kind and a broken one; then a good one further down. */
        CHECK_INT(discovery_find(folder, &parsed, &error), -ENOENT);
        write_file(folder, "/etc/kubernetes/kubelet.conf", "kind: KubeletConfiguration\n");
        CHECK_INT(discovery_find(folder, &parsed, &error), -ENOENT);
        write_file(folder, "/var/lib/kubelet/kubeconfig", "kind: Config\n");
        CHECK_INT(discovery_find(folder, &parsed, &error), -EINVAL);
        CHECK_HAS(error.text, "/var/lib/kubelet/kubeconfig: current-context");
        big = config("server: \"https://a\"", "token: t");
        write_file(folder, "/var/lib/rancher/k3s/agent/kubelet.kubeconfig", big);
        free(big);
        CHECK_INT(discovery_find(folder, &parsed, &error), 0);
        CHECK_HAS(parsed->path, "/k3s/agent/kubelet.kubeconfig");
        parsed = kubeconfig_free(parsed);

        big = many("kind: Config\n", "# 0123456789abcdef\n", 100000);
        write_file(folder, "/etc/kubernetes/kubelet.conf", big);
        free(big);
        CHECK(asprintf(&command, "%s/etc/kubernetes/kubelet.conf", folder) > 0);
        CHECK_INT(kubeconfig_load(command, &parsed, &error), -EFBIG);
        free(command);
        CHECK(asprintf(&command, "rm -r %s", folder) > 0);
        CHECK_INT(system(command), 0);
        free(command);
}

TEST_MAIN(TEST(as_kubeadm_writes_it), TEST(every_field), TEST(json_too), TEST(servers),
        TEST(refused), TEST(broken_chains), TEST(hostile), TEST(files))
