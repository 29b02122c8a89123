/*
 *     file --PEM--> DER of one certificate --X.509--> name and key --copied--> anchor
 *
 * BearSSL hands out both in pieces, by callback; they are gathered in two buffers that
 * serve one certificate after the other. All that an anchor points at is one block.
 */
#include "http/trust_store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME_SIZE_MAX = 4096, READ_SIZE = 4096 };

struct trust_store {
    size_t count;
    br_x509_trust_anchor anchors[TRUST_STORE_ANCHOR_COUNT_MAX];
    void *blocks[TRUST_STORE_ANCHOR_COUNT_MAX];
};

/* What one certificate is gathered in. */
struct reader {
    size_t der_size;
    size_t name_size;
    bool is_too_long;
    unsigned char der[TRUST_STORE_CERTIFICATE_SIZE_MAX];
    unsigned char name[NAME_SIZE_MAX];
};

int trust_store_new(struct trust_store **ret_store)
{
    struct trust_store *store = calloc(1, sizeof(*store));

    if (store == NULL)
        return -ENOMEM;
    *ret_store = store;
    return 0;
}

void trust_store_free(struct trust_store **store)
{
    if (*store == NULL)
        return;
    for (size_t i = 0; i < (*store)->count; i++)
        free((*store)->blocks[i]);
    free(*store);
    *store = NULL;
}

const br_x509_trust_anchor *trust_store_anchors(const struct trust_store *store, size_t *ret_count)
{
    assert(store->count <= TRUST_STORE_ANCHOR_COUNT_MAX);
    *ret_count = store->count;
    return store->anchors;
}

static void on_der(void *data, const void *bytes, size_t size)
{
    struct reader *reader = data;

    if (size > sizeof(reader->der) - reader->der_size) {
        reader->is_too_long = true;
        return;
    }
    memcpy(reader->der + reader->der_size, bytes, size);
    reader->der_size += size;
}

static void on_name(void *data, const void *bytes, size_t size)
{
    struct reader *reader = data;

    if (size > sizeof(reader->name) - reader->name_size) {
        reader->is_too_long = true;
        return;
    }
    memcpy(reader->name + reader->name_size, bytes, size);
    reader->name_size += size;
}

static unsigned char *copy(unsigned char **at, const unsigned char *bytes, size_t size)
{
    unsigned char *start = *at;

    memcpy(start, bytes, size);
    *at += size;
    return start;
}

/* Copies name and key behind each other into one block. */
static int anchor_init(br_x509_trust_anchor *anchor, const struct reader *reader,
                       const br_x509_pkey *key, bool is_authority, void **ret_block)
{
    size_t key_size =
        key->key_type == BR_KEYTYPE_RSA ? key->key.rsa.nlen + key->key.rsa.elen : key->key.ec.qlen;
    unsigned char *block = malloc(reader->name_size + key_size + 1);
    unsigned char *at = block;

    if (block == NULL)
        return -ENOMEM;
    *anchor = (br_x509_trust_anchor){.flags = is_authority ? BR_X509_TA_CA : 0, .pkey = *key};
    anchor->dn.len = reader->name_size;
    anchor->dn.data = copy(&at, reader->name, reader->name_size);
    if (key->key_type == BR_KEYTYPE_RSA) {
        anchor->pkey.key.rsa.n = copy(&at, key->key.rsa.n, key->key.rsa.nlen);
        anchor->pkey.key.rsa.e = copy(&at, key->key.rsa.e, key->key.rsa.elen);
    } else {
        anchor->pkey.key.ec.q = copy(&at, key->key.ec.q, key->key.ec.qlen);
    }
    *ret_block = block;
    return 0;
}

/* Adds the certificate that was gathered. 1, or 0 when its key is of no use to us. */
static int add_certificate(struct trust_store *store, struct reader *reader)
{
    br_x509_decoder_context decoder;
    br_x509_pkey *key;
    int error, r;

    reader->name_size = 0;
    br_x509_decoder_init(&decoder, on_name, reader);
    br_x509_decoder_push(&decoder, reader->der, reader->der_size);
    error = br_x509_decoder_last_error(&decoder);
    if (error == BR_ERR_X509_UNSUPPORTED || error == BR_ERR_X509_WRONG_KEY_TYPE)
        return 0;
    key = br_x509_decoder_get_pkey(&decoder);
    if (key == NULL || reader->is_too_long)
        return -EBADMSG;
    if (store->count == TRUST_STORE_ANCHOR_COUNT_MAX)
        return -ENOSPC;
    r = anchor_init(&store->anchors[store->count], reader, key, br_x509_decoder_isCA(&decoder) != 0,
                    &store->blocks[store->count]);
    if (r < 0)
        return r;
    store->count++;
    return 1;
}

static bool is_certificate(const char *name)
{
    return strcmp(name, "CERTIFICATE") == 0 || strcmp(name, "X509 CERTIFICATE") == 0 ||
           strcmp(name, "TRUSTED CERTIFICATE") == 0;
}

/* The decoder has come to the edge of an object. How many certificates it added, or -errno. */
static int on_event(struct trust_store *store, br_pem_decoder_context *decoder,
                    struct reader *reader, bool *is_inside)
{
    switch (br_pem_decoder_event(decoder)) {
    case BR_PEM_BEGIN_OBJ:
        *is_inside = is_certificate(br_pem_decoder_name(decoder));
        reader->der_size = 0;
        reader->is_too_long = false;
        br_pem_decoder_setdest(decoder, *is_inside ? on_der : NULL, reader);
        return 0;
    case BR_PEM_END_OBJ:
        if (!*is_inside)
            return 0;
        *is_inside = false;
        return reader->is_too_long ? -EBADMSG : add_certificate(store, reader);
    case BR_PEM_ERROR:
        return -EBADMSG;
    default:
        return 0;
    }
}

static int read_certificates(struct trust_store *store, FILE *stream, struct reader *reader)
{
    br_pem_decoder_context decoder;
    unsigned char bytes[READ_SIZE];
    size_t total = 0;
    size_t size;
    bool is_inside = false;
    int count = 0;

    br_pem_decoder_init(&decoder);
    while ((size = fread(bytes, 1, sizeof(bytes), stream)) > 0) {
        total += size;
        if (total > TRUST_STORE_FILE_SIZE_MAX)
            return -EFBIG;
        for (size_t at = 0; at < size;) {
            int r;

            at += br_pem_decoder_push(&decoder, bytes + at, size - at);
            r = on_event(store, &decoder, reader, &is_inside);
            if (r < 0)
                return r;
            count += r;
        }
    }
    if (ferror(stream))
        return -EIO;
    return is_inside || count == 0 ? -EBADMSG : count;
}

static struct reader *reader_new(void)
{
    return malloc(sizeof(struct reader));
}

static void reader_free(struct reader **reader)
{
    free(*reader);
    *reader = NULL;
}

int trust_store_add_file(struct trust_store *store, const char *path)
{
    struct reader *reader;
    FILE *stream;
    int r;

    stream = fopen(path, "re");
    if (stream == NULL)
        return -errno;
    reader = reader_new();
    r = reader != NULL ? read_certificates(store, stream, reader) : -ENOMEM;
    reader_free(&reader);
    fclose(stream);
    return r;
}
