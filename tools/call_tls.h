/*
 * Call TLS: TLS over the socket of a command-line tool.
 *
 * Blocking. The engine is that of the server's own client (http/tls_client.h): TLS 1.2, and
 * the certificate must bear the host's name, which an address is not.
 */
#pragma once

#include "http/trust_store.h"
#include "tools/call_socket.h"

struct call_tls;

/*
 * Trusts the system's authorities, and those in the file at ca_path unless that is NULL;
 * without the system's the file is enough. 0; or -errno and, in text, a sentence.
 */
MUST_USE int call_tls_new(const char *ca_path, struct call_tls **ret_tls, char *text, size_t size);

/* Frees and nulls the pointer. NULL is accepted. */
void call_tls_free(struct call_tls **tls);

/*
 * Makes the handshake over a connected socket, within its deadline. 0; -EKEYREJECTED when
 * TLS failed, see call_tls_describe(); or another -errno.
 */
MUST_USE int call_tls_begin(struct call_tls *tls, struct call_socket *socket, struct slice host);

/* As call_socket_send(), through TLS; -EKEYREJECTED when that has failed. */
MUST_USE int call_tls_send(struct call_tls *tls, struct call_socket *socket, struct slice data);

/* As call_socket_receive(), likewise; an end without a farewell is -ECONNRESET. */
MUST_USE ssize_t call_tls_receive(struct call_tls *tls, struct call_socket *socket, char *data,
                                  size_t size);

/* Why TLS failed, for people. Static. */
const char *call_tls_describe(const struct call_tls *tls);
