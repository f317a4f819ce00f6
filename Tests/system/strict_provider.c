/* An OpenSSL provider that is the default one without MD5, and without RSA signatures of SHA-1: what a FIPS provider or a
   security policy leaves. Debian 12 has no FIPS provider. */

#include <string.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/provider.h>

static OSSL_PROVIDER *whole;
static OSSL_ALGORITHM digests[256], signatures[256]; /* OpenSSL 3.5 has some sixty. */
static OSSL_DISPATCH rsa[64];
static OSSL_FUNC_signature_digest_sign_init_fn *sign_init;

static int strict_sign_init(void *context, const char *digest, void *key, const OSSL_PARAM parameters[])
{
    return (digest == NULL || strncmp(digest, "SHA1", 4) != 0) && sign_init(context, digest, key, parameters);
}

static const OSSL_ALGORITHM *strict_digests(const OSSL_ALGORITHM *all)
{
    OSSL_ALGORITHM *next = digests;
    for (; all->algorithm_names != NULL; all++)
        if (strncmp(all->algorithm_names, "MD5", 3) != 0)
            *next++ = *all;
    return digests;
}

static const OSSL_ALGORITHM *strict_signatures(const OSSL_ALGORITHM *all)
{
    for (OSSL_ALGORITHM *next = signatures; all->algorithm_names != NULL; all++, next++) {
        *next = *all;
        if (strncmp(all->algorithm_names, "RSA:", 4) != 0)
            continue;
        OSSL_DISPATCH *function = rsa;
        for (const OSSL_DISPATCH *from = all->implementation; from->function_id != 0; from++, function++) {
            *function = *from;
            if (from->function_id == OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT) {
                sign_init = (OSSL_FUNC_signature_digest_sign_init_fn *)from->function;
                function->function = (void (*)(void))strict_sign_init;
            }
        }
        next->implementation = rsa;
    }
    return signatures;
}

static const OSSL_ALGORITHM *query(void *context, int operation, int *no_cache)
{
    const OSSL_ALGORITHM *all = OSSL_PROVIDER_query_operation(whole, operation, no_cache);
    (void)context;
    if (all != NULL && operation == OSSL_OP_DIGEST)
        return strict_digests(all);
    if (all != NULL && operation == OSSL_OP_SIGNATURE)
        return strict_signatures(all);
    return all;
}

/* The groups that TLS offers. */
static int capabilities(void *context, const char *name, OSSL_CALLBACK *take, void *argument)
{
    (void)context;
    return OSSL_PROVIDER_get_capabilities(whole, name, take, argument);
}

static const OSSL_DISPATCH functions[] = {
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, (void (*)(void))capabilities},
    {0, NULL},
};

int OSSL_provider_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **context)
{
    (void)core;
    (void)in;
    whole = OSSL_PROVIDER_load(OSSL_LIB_CTX_new(), "default");
    if (whole == NULL)
        return 0;
    *out = functions;
    *context = OSSL_PROVIDER_get0_provider_ctx(whole);
    return 1;
}
