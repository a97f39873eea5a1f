#include "kube/pem.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

DEFINE_CLEANUP(BIO *, BIO_free)
DEFINE_CLEANUP(X509 *, X509_free)
DEFINE_CLEANUP(EVP_PKEY *, EVP_PKEY_free)

/* Without one of our own, OpenSSL asks for a passphrase on the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *userdata)
{
        return -1;
}

static X509 *next_certificate(BIO *bio)
{
        X509 *certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);

        ERR_clear_error();
        return certificate;
}

int pem_check_authorities(const struct blob *pem, size_t *ret_n)
{
        _cleanup_(BIO_freep) BIO *bio = BIO_new_mem_buf(pem->data, (int)pem->size);
        unsigned long problem;
        size_t n = 0;

        if (!bio)
                return -ENOMEM;
        for (;;) {
                _cleanup_(X509_freep) X509 *certificate = NULL;

                certificate = PEM_read_bio_X509(bio, NULL, no_passphrase, NULL);
                if (!certificate)
                        break;
                n++;
        }
        /* "no start line" is how the end of the file looks; anything else is a broken one. */
        problem = ERR_peek_last_error();
        ERR_clear_error();
        if (n == 0 || ERR_GET_LIB(problem) != ERR_LIB_PEM ||
                ERR_GET_REASON(problem) != PEM_R_NO_START_LINE)
                return -EINVAL;
        *ret_n = n;
        return 0;
}

static void read_identity(X509 *certificate, struct pem_identity *ret)
{
        X509_NAME *subject = X509_get_subject_name(certificate);
        struct pem_identity identity = {};
        struct tm until = {};
        int at, length = -1;

        if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &until))
                identity.expires = timegm(&until);
        at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
        if (at >= 0) {
                unsigned char *text = NULL;
                ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));

                length = ASN1_STRING_to_UTF8(&text, value);
                if (length >= 0 && (size_t)length < sizeof(identity.common_name) &&
                        !memchr(text, '\0', (size_t)length))
                        memcpy(identity.common_name, text, (size_t)length);
                OPENSSL_free(text);
        }
        *ret = identity;
}

int pem_check_pair(const struct blob *certificate, const struct blob *key, struct pem_identity *ret)
{
        _cleanup_(BIO_freep) BIO *certificate_bio = NULL, *key_bio = NULL;
        _cleanup_(X509_freep) X509 *x509 = NULL;
        _cleanup_(EVP_PKEY_freep) EVP_PKEY *pkey = NULL;
        int match;

        certificate_bio = BIO_new_mem_buf(certificate->data, (int)certificate->size);
        key_bio = BIO_new_mem_buf(key->data, (int)key->size);
        if (!certificate_bio || !key_bio)
                return -ENOMEM;
        x509 = next_certificate(certificate_bio);
        if (!x509)
                return -EBADMSG;
        pkey = PEM_read_bio_PrivateKey(key_bio, NULL, no_passphrase, NULL);
        ERR_clear_error();
        if (!pkey)
                return -ENODATA;
        match = X509_check_private_key(x509, pkey);
        ERR_clear_error();
        if (match != 1)
                return -EKEYREJECTED;
        read_identity(x509, ret);
        return 0;
}

int pem_sha256(const struct blob *data, char ret[static 65])
{
        unsigned char digest[EVP_MAX_MD_SIZE];
        unsigned length = 0;

        if (!EVP_Digest(data->data, data->size, digest, &length, EVP_sha256(), NULL) ||
                length != 32)
                return -EIO;
        for (unsigned i = 0; i < length; i++)
                snprintf(ret + 2 * i, 3, "%02x", digest[i]);
        return 0;
}
