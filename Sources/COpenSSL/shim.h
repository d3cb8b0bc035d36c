#ifndef PORTCULLIS_COPENSSL_SHIM_H
#define PORTCULLIS_COPENSSL_SHIM_H

// The hash functions by their low-level names are called deprecated, and are what HashState.swift needs.
#define OPENSSL_SUPPRESS_DEPRECATED

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/sha.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <openssl/x509_vfy.h>

// Macros that Swift does not import: which halves of a key an operation is about.
static const int portcullis_key_pair = EVP_PKEY_KEYPAIR;
static const int portcullis_public_key = EVP_PKEY_PUBLIC_KEY;

// Macros too: what every TLS context here has. A write may be taken in part and tried again from another place; buffers that hold nothing
// are given back; nothing is compressed or renegotiated, and sessions are resumed by tickets alone: there is no cache of them.
static inline int portcullis_tls_set_up(SSL_CTX *context) {
    SSL_CTX_set_mode(
        context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
}

static inline int portcullis_tls_least_version(SSL_CTX *context, int version) {
    return SSL_CTX_set_min_proto_version(context, version);
}

// Whether the certificates that a context shows, its own and those behind it, count now: 0; 1: one has expired; 2: one does not count yet;
// 3: there is none.
static inline int portcullis_tls_validity(SSL_CTX *context) {
    STACK_OF(X509) *chain = NULL;
    SSL_CTX_get0_chain_certs(context, &chain);
    int count = chain == NULL ? 0 : sk_X509_num(chain);
    for (int index = -1; index < count; index++) {
        X509 *certificate = index < 0 ? SSL_CTX_get0_certificate(context) : sk_X509_value(chain, index);
        if (certificate == NULL) return 3;
        // 0 is an error: a time that cannot be read.
        if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0) return 1;
        if (X509_cmp_current_time(X509_get0_notBefore(certificate)) >= 0) return 2;
    }
    return 0;
}

// Why an operation failed, as a number: of OpenSSL's own or of the system's.
static inline int portcullis_error_reason(unsigned long code) { return ERR_GET_REASON(code); }

// A place in every session for a value of ours.
static inline int portcullis_tls_new_index(void) { return SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL); }

// The name of the server that is meant, for those that have several.
static inline long portcullis_tls_name_server(SSL *ssl, const char *name) {
    return SSL_set_tlsext_host_name(ssl, name);
}

#endif
