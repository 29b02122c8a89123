/*
 *     certificate file --PEM--> DER of each --> chain, copied
 *                                  first one --X.509--> public key, dates
 *     key file --PEM--> DER --> private key, copied --> its public part, compared
 *
 * A mistake in these files is the operator's, who reads what text says: each step names
 * the file and what was expected of it.
 *
 * BearSSL decodes the dates of a certificate and has no function that gives them; they
 * are taken from the decoder's fields.
 */
#include "http/tls_identity.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "runtime/memory.h"

enum {
    OBJECT_SIZE_MAX = TLS_IDENTITY_CHAIN_SIZE_MAX,
    OBJECT_NAME_SIZE = 128,
    PUBLIC_KEY_SIZE_MAX = 512,
    DAYS_TO_1970 = 719528, /* from year 0, as BearSSL counts */
    SECONDS_PER_DAY = 86400,
};

/* A file and the PEM object of it that was read last. */
struct pem_file {
    const char *path;
    char *bytes;
    size_t size;
    size_t offset;
    br_pem_decoder_context decoder;
    char name[OBJECT_NAME_SIZE];
    bool is_too_long;
    size_t object_size;
    unsigned char object[OBJECT_SIZE_MAX];
};

/* Where a failure is described. */
struct complaint {
    char *text;
    size_t size;
};

PRINTF_LIKE(3, 4)
static int fail(const struct complaint *complaint, int error, const char *format, ...)
{
    va_list arguments;

    assert(error < 0);
    va_start(arguments, format);
    vsnprintf(complaint->text, complaint->size, format, arguments);
    va_end(arguments);
    return error;
}

/* --- files ---------------------------------------------------------------- */

static void pem_file_free(struct pem_file **file)
{
    if (*file == NULL)
        return;
    if ((*file)->bytes != NULL)
        explicit_bzero((*file)->bytes, (*file)->size);
    free((*file)->bytes);
    explicit_bzero(*file, sizeof(**file));
    free(*file);
    *file = NULL;
}

static int read_file(struct pem_file *file)
{
    FILE *stream = fopen(file->path, "re");
    int r = 0;

    if (stream == NULL)
        return -errno;
    setvbuf(stream, NULL, _IONBF, 0); /* no copy of a key stays behind in a buffer */
    errno = 0;
    file->size = fread(file->bytes, 1, TLS_IDENTITY_FILE_SIZE_MAX + 1, stream);
    if (ferror(stream))
        r = errno != 0 ? -errno : -EIO;
    else if (file->size > TLS_IDENTITY_FILE_SIZE_MAX)
        r = -EFBIG;
    fclose(stream);
    return r;
}

static int pem_file_new(const char *path, struct pem_file **ret_file)
{
    struct pem_file *file = calloc(1, sizeof(*file));
    int r = -ENOMEM;

    if (file != NULL) {
        file->path = path;
        file->bytes = malloc(TLS_IDENTITY_FILE_SIZE_MAX + 1);
        r = file->bytes != NULL ? read_file(file) : -ENOMEM;
    }
    if (r < 0) {
        pem_file_free(&file);
        return r;
    }
    br_pem_decoder_init(&file->decoder);
    *ret_file = file;
    return 0;
}

static void on_object_bytes(void *data, const void *bytes, size_t size)
{
    struct pem_file *file = data;

    if (size > sizeof(file->object) - file->object_size) {
        file->is_too_long = true;
        return;
    }
    memcpy(file->object + file->object_size, bytes, size);
    file->object_size += size;
}

/* Reads the next object. 1, 0 at the end of the file, or -EBADMSG. */
static int next_object(struct pem_file *file)
{
    bool is_inside = false;

    while (file->offset < file->size) {
        file->offset += br_pem_decoder_push(&file->decoder, file->bytes + file->offset,
                                            file->size - file->offset);
        switch (br_pem_decoder_event(&file->decoder)) {
        case BR_PEM_BEGIN_OBJ:
            is_inside = true;
            snprintf(file->name, sizeof(file->name), "%s", br_pem_decoder_name(&file->decoder));
            file->object_size = 0;
            file->is_too_long = false;
            br_pem_decoder_setdest(&file->decoder, on_object_bytes, file);
            break;
        case BR_PEM_END_OBJ:
            return file->is_too_long ? -EBADMSG : 1;
        case BR_PEM_ERROR:
            return -EBADMSG;
        default:
            break;
        }
    }
    return is_inside ? -EBADMSG : 0;
}

/* --- the certificates ------------------------------------------------------ */

static bool is_certificate(const char *name)
{
    return strcmp(name, "CERTIFICATE") == 0 || strcmp(name, "X509 CERTIFICATE") == 0;
}

static uint64_t unix_ms_of(uint32_t days, uint32_t seconds)
{
    return days < DAYS_TO_1970
               ? 0
               : ((uint64_t)(days - DAYS_TO_1970) * SECONDS_PER_DAY + seconds) * 1000;
}

/* What the first certificate says; decoder has its public key afterwards. */
static int read_own_certificate(struct tls_identity *identity, br_x509_decoder_context *decoder)
{
    const br_x509_certificate *own = &identity->certificates[0];

    br_x509_decoder_init(decoder, NULL, NULL);
    br_x509_decoder_push(decoder, own->data, own->data_len);
    if (br_x509_decoder_get_pkey(decoder) == NULL)
        return -EBADMSG;
    identity->issuer_key_type = (unsigned)br_x509_decoder_get_signer_key_type(decoder);
    identity->not_before_ms = unix_ms_of(decoder->notbefore_days, decoder->notbefore_seconds);
    identity->not_after_ms = unix_ms_of(decoder->notafter_days, decoder->notafter_seconds);
    return 0;
}

/* Copies the object at hand behind the certificates that are there. */
static int add_certificate(struct tls_identity *identity, const struct pem_file *file)
{
    br_x509_certificate *certificate = &identity->certificates[identity->certificate_count];

    if (identity->certificate_count == TLS_IDENTITY_CERTIFICATE_COUNT_MAX ||
        file->object_size > sizeof(identity->chain) - identity->chain_size)
        return -ENOSPC;
    certificate->data = identity->chain + identity->chain_size;
    certificate->data_len = file->object_size;
    memcpy(certificate->data, file->object, file->object_size);
    identity->chain_size += file->object_size;
    identity->certificate_count++;
    return 0;
}

static int read_chain(struct tls_identity *identity, struct pem_file *file,
                      const struct complaint *complaint)
{
    int r;

    while ((r = next_object(file)) == 1) {
        if (is_certificate(file->name))
            r = add_certificate(identity, file);
        if (r < 0)
            return fail(complaint, r, "certificate %s: more than %d certificates, or %d bytes",
                        file->path, TLS_IDENTITY_CERTIFICATE_COUNT_MAX,
                        TLS_IDENTITY_CHAIN_SIZE_MAX);
    }
    if (r < 0)
        return fail(complaint, r, "certificate %s: the PEM is broken", file->path);
    if (identity->certificate_count == 0)
        return fail(complaint, -EBADMSG, "certificate %s: holds no PEM certificate", file->path);
    return 0;
}

/* --- the key --------------------------------------------------------------- */

/* Where a part of the key is after key_data moved from one place to another. */
static unsigned char *moved(const unsigned char *part, const unsigned char *from, unsigned char *to)
{
    return part != NULL ? to + (part - from) : NULL;
}

static void move_key(struct tls_identity *identity, const unsigned char *from)
{
    unsigned char *to = identity->key_data;

    identity->rsa.p = moved(identity->rsa.p, from, to);
    identity->rsa.q = moved(identity->rsa.q, from, to);
    identity->rsa.dp = moved(identity->rsa.dp, from, to);
    identity->rsa.dq = moved(identity->rsa.dq, from, to);
    identity->rsa.iq = moved(identity->rsa.iq, from, to);
    identity->ec.x = moved(identity->ec.x, from, to);
}

static bool is_key(const char *name)
{
    return strcmp(name, "PRIVATE KEY") == 0 || strcmp(name, "RSA PRIVATE KEY") == 0 ||
           strcmp(name, "EC PRIVATE KEY") == 0;
}

static bool is_encrypted(const struct pem_file *file)
{
    return memmem(file->bytes, file->size, "ENCRYPTED", strlen("ENCRYPTED")) != NULL;
}

/* Decodes the object at hand. */
static int decode_key(struct tls_identity *identity, const struct pem_file *file)
{
    br_skey_decoder_context decoder;
    int r = 0;

    br_skey_decoder_init(&decoder);
    br_skey_decoder_push(&decoder, file->object, file->object_size);
    identity->key_type = br_skey_decoder_key_type(&decoder);
    if (identity->key_type == BR_KEYTYPE_RSA)
        identity->rsa = *br_skey_decoder_get_rsa(&decoder);
    else if (identity->key_type == BR_KEYTYPE_EC)
        identity->ec = *br_skey_decoder_get_ec(&decoder);
    else
        r = -EBADMSG;
    if (r == 0) {
        memcpy(identity->key_data, decoder.key_data, sizeof(decoder.key_data));
        move_key(identity, decoder.key_data);
    }
    explicit_bzero(&decoder, sizeof(decoder));
    return r;
}

/* That it is one we can sign with. */
static int check_key(const struct tls_identity *identity, const char *path,
                     const struct complaint *complaint)
{
    if (identity->key_type == BR_KEYTYPE_RSA &&
        (identity->rsa.n_bitlen < TLS_IDENTITY_RSA_BITS_MIN ||
         identity->rsa.n_bitlen > TLS_IDENTITY_RSA_BITS_MAX))
        return fail(complaint, -EBADMSG, "key %s: RSA of %u bits; %d to %d are needed", path,
                    identity->rsa.n_bitlen, TLS_IDENTITY_RSA_BITS_MIN, TLS_IDENTITY_RSA_BITS_MAX);
    if (identity->key_type == BR_KEYTYPE_EC && identity->ec.curve != BR_EC_secp256r1 &&
        identity->ec.curve != BR_EC_secp384r1 && identity->ec.curve != BR_EC_secp521r1)
        return fail(complaint, -EBADMSG, "key %s: EC on a curve that is not P-256, P-384 or P-521",
                    path);
    return 0;
}

static int read_key(struct tls_identity *identity, struct pem_file *file,
                    const struct complaint *complaint)
{
    int r;

    while ((r = next_object(file)) == 1 && !is_key(file->name))
        continue;
    if (r != 1 && is_encrypted(file))
        return fail(complaint, -EBADMSG,
                    "key %s: is encrypted; it must be there without a passphrase", file->path);
    if (r < 0)
        return fail(complaint, r, "key %s: the PEM is broken", file->path);
    if (r == 0)
        return fail(complaint, -EBADMSG, "key %s: holds no PEM private key", file->path);
    if (decode_key(identity, file) < 0)
        return fail(complaint, -EBADMSG, "key %s: is no RSA or EC private key that can be read",
                    file->path);
    return check_key(identity, file->path, complaint);
}

/* A number without its leading zeros. */
static struct slice trimmed(const unsigned char *data, size_t size)
{
    while (size > 0 && *data == 0) {
        data++;
        size--;
    }
    return (struct slice){(const char *)data, size};
}

/* True when the private key is that of the certificate. */
static bool is_pair(const struct tls_identity *identity, const br_x509_pkey *public_key)
{
    unsigned char bytes[PUBLIC_KEY_SIZE_MAX];
    size_t size;

    if (public_key->key_type != identity->key_type)
        return false;
    if (identity->key_type == BR_KEYTYPE_EC) {
        size = br_ec_compute_pub(br_ec_get_default(), NULL, bytes, &identity->ec);
        return public_key->key.ec.curve == identity->ec.curve &&
               slice_equal(
                   (struct slice){(const char *)bytes, size},
                   (struct slice){(const char *)public_key->key.ec.q, public_key->key.ec.qlen});
    }
    assert(br_rsa_compute_modulus_get_default()(NULL, &identity->rsa) <= sizeof(bytes));
    size = br_rsa_compute_modulus_get_default()(bytes, &identity->rsa);
    return slice_equal(trimmed(bytes, size),
                       trimmed(public_key->key.rsa.n, public_key->key.rsa.nlen));
}

/* --- all of it -------------------------------------------------------------- */

static int load_chain(struct tls_identity *identity, const char *path,
                      br_x509_decoder_context *decoder, const struct complaint *complaint)
{
    struct pem_file *file = NULL;
    int r = pem_file_new(path, &file);

    if (r < 0)
        return fail(complaint, r, "certificate %s: cannot be read: %s", path, strerror(-r));
    r = read_chain(identity, file, complaint);
    if (r == 0 && read_own_certificate(identity, decoder) < 0)
        r = fail(complaint, -EBADMSG,
                 "certificate %s: its first certificate is broken or of a "
                 "kind that is not supported",
                 path);
    pem_file_free(&file);
    return r;
}

static int load_key(struct tls_identity *identity, const char *path,
                    const struct complaint *complaint)
{
    struct pem_file *file = NULL;
    int r = pem_file_new(path, &file);

    if (r < 0)
        return fail(complaint, r, "key %s: cannot be read: %s", path, strerror(-r));
    r = read_key(identity, file, complaint);
    pem_file_free(&file);
    return r;
}

static int identity_new(struct tls_identity **ret_identity)
{
    char *memory;
    int r = memory_map(sizeof(struct tls_identity), &memory);

    if (r < 0)
        return r;
    *ret_identity = (struct tls_identity *)(void *)memory;
    (*ret_identity)->ref_count = 1;
    return 0;
}

int tls_identity_load(const char *certificate_path, const char *key_path,
                      struct tls_identity **ret_identity, char *text, size_t text_size)
{
    const struct complaint complaint = {text, text_size};
    struct tls_identity *identity = NULL;
    br_x509_decoder_context decoder;
    int r = identity_new(&identity);

    if (r < 0)
        return fail(&complaint, r, "certificate %s: out of memory", certificate_path);
    r = load_chain(identity, certificate_path, &decoder, &complaint);
    if (r == 0)
        r = load_key(identity, key_path, &complaint);
    if (r == 0 && !is_pair(identity, br_x509_decoder_get_pkey(&decoder)))
        r = fail(&complaint, -EKEYREJECTED, "key %s: is not that of the first certificate in %s",
                 key_path, certificate_path);
    if (r < 0) {
        tls_identity_unref(&identity);
        return r;
    }
    *ret_identity = identity;
    return 0;
}

int tls_identity_copy(const struct tls_identity *identity, struct tls_identity **ret_identity)
{
    struct tls_identity *copy;
    int r = identity_new(&copy);

    if (r < 0)
        return r;
    *copy = *identity;
    copy->ref_count = 1;
    for (uint32_t i = 0; i < copy->certificate_count; i++)
        copy->certificates[i].data =
            moved(identity->certificates[i].data, identity->chain, copy->chain);
    move_key(copy, identity->key_data);
    *ret_identity = copy;
    return 0;
}

struct tls_identity *tls_identity_ref(struct tls_identity *identity)
{
    assert(identity->ref_count > 0);
    identity->ref_count++;
    return identity;
}

void tls_identity_unref(struct tls_identity **identity)
{
    char *memory = (char *)*identity;

    if (*identity == NULL)
        return;
    assert((*identity)->ref_count > 0);
    (*identity)->ref_count--;
    if ((*identity)->ref_count == 0) {
        explicit_bzero(memory, sizeof(**identity));
        memory_unmap(&memory, sizeof(**identity));
    }
    *identity = NULL;
}
