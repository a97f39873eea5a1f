/*
 * Credentials: loading, pairs, names, tokens; and secrets that never reach an error's text.
 */
#include "test.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "basics/fileio.h"
#include "basics/text.h"
#include "kube/credential.h"
#include "kube/exec_credential.h"
#include "kube/pem.h"

static char folder[] = "/tmp/credential-XXXXXX";

static char *in_folder(const char *name)
{
        char *path = NULL;

        CHECK(asprintf(&path, "%s/%s", folder, name) > 0);
        return path;
}

static void write_text(const char *name, const char *text)
{
        char *path = in_folder(name);

        CHECK_INT(file_write_atomic(path, text, strlen(text), 0600), 0);
        free(path);
}

static char *take_bio(BIO *bio)
{
        char *data, *copy;
        long n = BIO_get_mem_data(bio, &data);

        copy = strndup(data, (size_t)n);
        BIO_free(bio);
        return copy;
}

/* A self-signed pair in PEM; either may be NULL. */
static void make_pair(const char *common_name, char **ret_certificate, char **ret_key)
{
        EVP_PKEY *key = EVP_EC_gen("P-256");
        X509 *certificate = X509_new();
        BIO *bio;

        CHECK(key && certificate);
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
        ASN1_TIME_set(X509_getm_notAfter(certificate), 2000000000);
        X509_set_pubkey(certificate, key);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "O", MBSTRING_ASC,
                (const unsigned char *)"system:nodes", -1, -1, 0);
        X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                (const unsigned char *)common_name, -1, -1, 0);
        X509_set_issuer_name(certificate, X509_get_subject_name(certificate));
        CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
        if (ret_certificate) {
                bio = BIO_new(BIO_s_mem());
                CHECK(PEM_write_bio_X509(bio, certificate));
                *ret_certificate = take_bio(bio);
        }
        if (ret_key) {
                bio = BIO_new(BIO_s_mem());
                CHECK(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
                *ret_key = take_bio(bio);
        }
        X509_free(certificate);
        EVP_PKEY_free(key);
}

/* A kubeconfig in the folder with these lines, loaded. */
static int load(const char *cluster, const char *user, struct credential **ret, struct error *error)
{
        struct text_builder builder = {};
        struct kubeconfig *config = NULL;
        char *text = NULL, *path = in_folder("config");
        int r;

        *error = (struct error){};
        text_append(&builder,
                "kind: Config\ncurrent-context: c\ncontexts:\n- name: c\n"
                "  context: {cluster: k, user: u}\nclusters:\n- name: k\n"
                "  cluster: {%s}\nusers:\n- name: u\n  user: {%s}\n",
                cluster, user);
        CHECK_INT(text_take(&builder, &text), 0);
        CHECK_INT(kubeconfig_parse(path, text, strlen(text), &config, error), 0);
        r = credential_load(config, NULL, ret, error);
        kubeconfig_free(config);
        free(text);
        free(path);
        return r;
}

#define SERVER "server: \"https://a:6443\""

static void one_pem_behind_a_link(void)
{
        struct credential *credential = NULL;
        char *certificate, *key, *both = NULL, *link = in_folder("current.pem");
        struct error error;

        make_pair("system:node:w1.example", &certificate, &key);
        CHECK(asprintf(&both, "%s%s", certificate, key) > 0);
        write_text("stamp-1.pem", both);
        write_text("ca.pem", certificate);
        unlink(link);
        CHECK_INT(symlink("stamp-1.pem", link), 0);
        CHECK_INT(load(SERVER ", certificate-authority: ca.pem",
                          "client-certificate: current.pem, client-key: current.pem", &credential,
                          &error),
                0);
        CHECK_TEXT(credential->node_name, "w1.example");
        CHECK_INT(credential->expires, 2000000000);
        CHECK_INT(strlen(credential->ca_sha256), 64);
        CHECK_INT(credential->n_paths, 4);
        CHECK_TEXT(credential->paths[3], link);
        credential_unref(credential);
        free(certificate);
        free(key);
        free(both);
        free(link);
}

static void names_that_are_no_nodes(void)
{
        static const char *const names[] = {"kubernetes-admin", "system:node:", "system:node:UPPER",
                "system:node:a/b", "system:nodes:a"};
        struct error error;

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                struct credential *credential = NULL;
                char *certificate, *key;

                make_pair(names[i], &certificate, &key);
                write_text("c.pem", certificate);
                write_text("k.pem", key);
                CHECK_INT(load(SERVER, "client-certificate: c.pem, client-key: k.pem", &credential,
                                  &error),
                        0);
                CHECK(!credential->node_name);
                CHECK_TEXT(credential->ca_sha256, "");
                credential_unref(credential);
                free(certificate);
                free(key);
        }
}

static void wrong_pairs(void)
{
        struct credential *credential = NULL;
        char *certificate, *key, *other;
        struct error error;

        make_pair("system:node:a", &certificate, &key);
        make_pair("system:node:a", NULL, &other);
        write_text("c.pem", certificate);
        write_text("k.pem", key);
        write_text("o.pem", other);
        write_text("junk.pem",
                "-----BEGIN CERTIFICATE-----\nMIIBjunkjunk\n-----END CERTIFICATE-----\n");
        write_text("empty.pem", "");
        CHECK_INT(load(SERVER, "client-certificate: c.pem, client-key: o.pem", &credential, &error),
                -EKEYREJECTED);
        CHECK_HAS(error.text, "/o.pem: the client key does not belong");
        CHECK_INT(load(SERVER, "client-certificate: k.pem, client-key: k.pem", &credential, &error),
                -EINVAL);
        CHECK_HAS(error.text, "/k.pem: no client certificate");
        CHECK_INT(load(SERVER, "client-certificate: c.pem, client-key: c.pem", &credential, &error),
                -EINVAL);
        CHECK_HAS(error.text, "/c.pem: no unencrypted private key");
        CHECK_INT(load(SERVER, "client-certificate: junk.pem, client-key: k.pem", &credential,
                          &error),
                -EINVAL);
        CHECK_INT(load(SERVER, "client-certificate: empty.pem, client-key: k.pem", &credential,
                          &error),
                -EINVAL);
        CHECK_INT(load(SERVER, "client-certificate: c.pem", &credential, &error), -EINVAL);
        CHECK_HAS(error.text, "certificate without its key");
        CHECK_INT(load(SERVER, "client-key: k.pem", &credential, &error), -EINVAL);
        CHECK_INT(load(SERVER, "client-certificate: none.pem, client-key: k.pem", &credential,
                          &error),
                -ENOENT);
        CHECK_HAS(error.text, "/none.pem: the client certificate cannot be read");
        CHECK_INT(load(SERVER ", certificate-authority: junk.pem",
                          "client-certificate: c.pem, client-key: k.pem", &credential, &error),
                -EINVAL);
        CHECK_HAS(error.text, "/junk.pem: the certificate authority");
        CHECK_INT(load(SERVER ", certificate-authority: k.pem", "token: t", &credential, &error),
                -EINVAL);
        free(certificate);
        free(key);
        free(other);
}

static void encrypted_key_does_not_ask(void)
{
        EVP_PKEY *key = EVP_EC_gen("P-256");
        struct credential *credential = NULL;
        BIO *bio = BIO_new(BIO_s_mem());
        struct error error;
        char *certificate, *pem;

        make_pair("system:node:a", &certificate, NULL);
        CHECK(PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL));
        pem = take_bio(bio);
        write_text("c.pem", certificate);
        write_text("e.pem", pem);
        CHECK_INT(load(SERVER, "client-certificate: c.pem, client-key: e.pem", &credential, &error),
                -EINVAL);
        CHECK_HAS(error.text, "no unencrypted private key");
        EVP_PKEY_free(key);
        free(certificate);
        free(pem);
}

static void token_forms(void)
{
        struct credential *credential = NULL;
        struct error error;

        write_text("token", "  eyJh.secret.x\n");
        CHECK_INT(load(SERVER, "token: ignored, tokenFile: token", &credential, &error), 0);
        CHECK_TEXT(credential->token, "eyJh.secret.x");
        credential_unref(credential);
        write_text("token", "topsecret\r\nX-Evil: 1\n");
        CHECK_INT(load(SERVER, "tokenFile: token", &credential, &error), -EINVAL);
        CHECK(!strstr(error.text, "topsecret"));
        write_text("token", " \n");
        CHECK_INT(load(SERVER, "tokenFile: token", &credential, &error), -EINVAL);
        CHECK_HAS(error.text, "the token is empty");
        CHECK_INT(load(SERVER, "tokenFile: absent", &credential, &error), -ENOENT);
        CHECK_INT(load(SERVER, "", &credential, &error), -ENOKEY);
        CHECK_INT(load(SERVER, "exec: {command: aws, apiVersion: client.authentication.k8s.io/v1}",
                          &credential, &error),
                -EAGAIN);
        CHECK_HAS(error.text, "has not answered yet");
        CHECK_INT(load("server: \"http://a\"", "", &credential, &error), 0);
        credential_unref(credential);
}

static void equality(void)
{
        struct credential *a = NULL, *b = NULL;
        struct error error;
        char *ca;

        make_pair("ca", &ca, NULL);
        write_text("ca.pem", ca);
        free(ca);
        CHECK_INT(load(SERVER ", certificate-authority: ca.pem", "token: x", &a, &error), 0);
        CHECK_INT(load(SERVER ", certificate-authority: ca.pem", "token: x", &b, &error), 0);
        CHECK(credential_equal(a, b) && credential_same_cluster(a, b));
        credential_unref(b);
        CHECK_INT(load(SERVER ", certificate-authority: ca.pem", "token: y", &b, &error), 0);
        CHECK(!credential_equal(a, b) && credential_same_cluster(a, b));
        credential_unref(b);
        CHECK_INT(load("server: \"https://b\", certificate-authority: ca.pem", "token: x", &b,
                          &error),
                0);
        CHECK(!credential_equal(a, b) && !credential_same_cluster(a, b));
        credential_unref(b);
        CHECK_INT(load(SERVER, "token: x", &b, &error), 0);
        CHECK(!credential_same_cluster(a, b));
        credential_unref(b);
        CHECK(credential_ref(a) == a);
        credential_unref(a);
        CHECK_TEXT(a->token, "x");
        credential_unref(a);
}

static void hash_of_a_bundle(void)
{
        struct blob blob = {.data = (char[]){"abc"}, .size = 3};
        char text[65];

        /* FIPS 180-2, B.1. */
        CHECK_INT(pem_sha256(&blob, text), 0);
        CHECK_TEXT(text, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void plugin_answers_are_read_strictly(void)
{
        static const struct {
                const char *time;
                int64_t expires; /* −1: refused */
        } cases[] = {
                {"2030-01-02T03:04:05Z", 1893553445},
                {"2030-01-02T03:04:05.678Z", 1893553445},
                {"2030-01-02T05:04:05+02:00", 1893553445},
                {"2030-01-02T01:34:05-01:30", 1893553445},
                {"2030-01-02T03:04:05", -1},
                {"2030-01-02T03:04:05Z and more", -1},
                {"2030-01-02", -1},
                {"tomorrow", -1},
        };

        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct exec_credential credential = {};
                struct error error = {};
                char text[256];
                int r;

                snprintf(text, sizeof(text),
                        "{\"apiVersion\":\"client.authentication.k8s.io/v1\",\"kind\":"
                        "\"ExecCredential\",\"status\":{\"token\":\"s3cret\","
                        "\"expirationTimestamp\":\"%s\"}}",
                        cases[i].time);
                r = exec_credential_parse(
                        text, strlen(text), "client.authentication.k8s.io/v1", &credential, &error);
                CHECK_INT(r, cases[i].expires < 0 ? -EINVAL : 0);
                if (r >= 0)
                        CHECK_INT(credential.expires, cases[i].expires);
                CHECK(!strstr(error.text, "s3cret"));
                exec_credential_deinit(&credential);
        }
}

int main(int argc, char **argv)
{
        static const struct test tests[] = {TEST(one_pem_behind_a_link),
                TEST(names_that_are_no_nodes), TEST(wrong_pairs), TEST(encrypted_key_does_not_ask),
                TEST(token_forms), TEST(equality), TEST(hash_of_a_bundle),
                TEST(plugin_answers_are_read_strictly)};
        char command[sizeof(folder) + 16];
        int r;

        if (!mkdtemp(folder))
                return EXIT_FAILURE;
        r = test_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
        snprintf(command, sizeof(command), "rm -r %s", folder);
        return system(command) == 0 ? r : EXIT_FAILURE;
}
