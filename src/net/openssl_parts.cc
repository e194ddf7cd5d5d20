// The parts of OpenSSL that a static knarr carries.
//
// libcrypto finds its algorithms through a few tables (the default provider's, the error texts',
// the engines'), and whoever links the static library gets everything they name: Camellia, CMS,
// DSA, time stamps. This file defines those tables' functions itself, so that the linker leaves the
// library's own in the archive, and with them what only they name. All code that runs is the
// library's.
//
// What TLS 1.2 and 1.3, X.509, PEM keys and tokens need is here: AES and ChaCha20, SHA-1, SHA-2,
// MD5, HMAC, RSA, ECDSA, Ed25519, ECDH, X25519. An algorithm that is not here is to OpenSSL one
// that was not compiled in. The names are those of OpenSSL 3.0's own provider; each dispatch table
// is one of libcrypto's. With any other OpenSSL this file is empty, and the library's own tables
// are linked. Runs where OpenSSL calls it: on any thread.
#include <openssl/bio.h>
#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/opensslv.h>
#include <openssl/params.h>

#include <initializer_list>

#if OPENSSL_VERSION_MAJOR == 3 && OPENSSL_VERSION_MINOR == 0

#define DIGESTS(X)                                            \
  X("SHA1:SHA-1:SSL3-SHA1:1.3.14.3.2.26", sha1)               \
  X("SHA2-224:SHA-224:SHA224:2.16.840.1.101.3.4.2.4", sha224) \
  X("SHA2-256:SHA-256:SHA256:2.16.840.1.101.3.4.2.1", sha256) \
  X("SHA2-384:SHA-384:SHA384:2.16.840.1.101.3.4.2.2", sha384) \
  X("SHA2-512:SHA-512:SHA512:2.16.840.1.101.3.4.2.3", sha512) \
  X("MD5:SSL3-MD5:1.2.840.113549.2.5", md5)                   \
  X("MD5-SHA1", md5_sha1)
#define CIPHERS(X)                                                  \
  X("AES-256-ECB:2.16.840.1.101.3.4.1.41", aes256ecb)               \
  X("AES-128-ECB:2.16.840.1.101.3.4.1.1", aes128ecb)                \
  X("AES-256-CBC:AES256:2.16.840.1.101.3.4.1.42", aes256cbc)        \
  X("AES-128-CBC:AES128:2.16.840.1.101.3.4.1.2", aes128cbc)         \
  X("AES-256-CTR", aes256ctr)                                       \
  X("AES-128-CTR", aes128ctr)                                       \
  X("AES-256-GCM:id-aes256-GCM:2.16.840.1.101.3.4.1.46", aes256gcm) \
  X("AES-128-GCM:id-aes128-GCM:2.16.840.1.101.3.4.1.6", aes128gcm)  \
  X("ChaCha20-Poly1305", chacha20_ossl_poly1305)
#define MACS(X) X("HMAC", hmac)
#define KDFS(X)                  \
  X("HKDF", kdf_hkdf)            \
  X("TLS13-KDF", kdf_tls1_3_kdf) \
  X("TLS1-PRF", kdf_tls1_prf)    \
  X("PBKDF2:1.2.840.113549.1.5.12", kdf_pbkdf2)
#define RANDS(X)          \
  X("CTR-DRBG", drbg_ctr) \
  X("SEED-SRC", seed_src)
#define KEY_EXCHANGES(X)  \
  X("ECDH", ecdh_keyexch) \
  X("X25519:1.3.101.110", x25519_keyexch)
#define SIGNATURES(X)                                        \
  X("RSA:rsaEncryption:1.2.840.113549.1.1.1", rsa_signature) \
  X("ED25519:1.3.101.112", ed25519_signature)                \
  X("ECDSA", ecdsa_signature)                                \
  X("HMAC", mac_legacy_hmac_signature)
#define ASYMMETRIC_CIPHERS(X) X("RSA:rsaEncryption:1.2.840.113549.1.1.1", rsa_asym_cipher)
#define KEYS(X)                                                 \
  X("RSA:rsaEncryption:1.2.840.113549.1.1.1", rsa_keymgmt)      \
  X("RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10", rsapss_keymgmt) \
  X("EC:id-ecPublicKey:1.2.840.10045.2.1", ec_keymgmt)          \
  X("X25519:1.3.101.110", x25519_keymgmt)                       \
  X("ED25519:1.3.101.112", ed25519_keymgmt)                     \
  X("HMAC", mac_legacy_keymgmt)
#define ENCODERS(X)                                \
  X("RSA", rsa, PrivateKeyInfo, der)               \
  X("RSA", rsa, PrivateKeyInfo, pem)               \
  X("RSA", rsa, SubjectPublicKeyInfo, der)         \
  X("RSA", rsa, SubjectPublicKeyInfo, pem)         \
  X("RSA-PSS", rsapss, SubjectPublicKeyInfo, der)  \
  X("EC", ec, PrivateKeyInfo, der)                 \
  X("EC", ec, PrivateKeyInfo, pem)                 \
  X("EC", ec, SubjectPublicKeyInfo, der)           \
  X("EC", ec, SubjectPublicKeyInfo, pem)           \
  X("ED25519", ed25519, PrivateKeyInfo, der)       \
  X("ED25519", ed25519, PrivateKeyInfo, pem)       \
  X("ED25519", ed25519, SubjectPublicKeyInfo, der) \
  X("ED25519", ed25519, SubjectPublicKeyInfo, pem)
#define DECODERS(X)                                                \
  X("RSA", rsa, PrivateKeyInfo, PrivateKeyInfo)                    \
  X("RSA", rsa, SubjectPublicKeyInfo, SubjectPublicKeyInfo)        \
  X("RSA", rsa, type_specific_keypair, type - specific)            \
  X("RSA-PSS", rsapss, PrivateKeyInfo, PrivateKeyInfo)             \
  X("RSA-PSS", rsapss, SubjectPublicKeyInfo, SubjectPublicKeyInfo) \
  X("EC", ec, PrivateKeyInfo, PrivateKeyInfo)                      \
  X("EC", ec, SubjectPublicKeyInfo, SubjectPublicKeyInfo)          \
  X("EC", ec, type_specific_no_pub, type - specific)               \
  X("ED25519", ed25519, PrivateKeyInfo, PrivateKeyInfo)            \
  X("ED25519", ed25519, SubjectPublicKeyInfo, SubjectPublicKeyInfo)

#define DECLARE(names, table) extern const OSSL_DISPATCH ossl_##table##_functions[];
#define DECLARE_ENCODER(names, key, structure, output) \
  extern const OSSL_DISPATCH ossl_##key##_to_##structure##_##output##_encoder_functions[];
#define DECLARE_DECODER(names, key, table, structure) \
  extern const OSSL_DISPATCH ossl_##table##_der_to_##key##_decoder_functions[];

// OpenSSL's own functions, called or replaced here.
extern "C" {
DIGESTS(DECLARE)
CIPHERS(DECLARE)
MACS(DECLARE)
KDFS(DECLARE)
RANDS(DECLARE)
KEY_EXCHANGES(DECLARE)
SIGNATURES(DECLARE)
ASYMMETRIC_CIPHERS(DECLARE)
KEYS(DECLARE)
ENCODERS(DECLARE_ENCODER)
DECODERS(DECLARE_DECODER)
extern const OSSL_DISPATCH ossl_SubjectPublicKeyInfo_der_to_der_decoder_functions[];
extern const OSSL_DISPATCH ossl_pem_to_der_decoder_functions[];
extern const OSSL_DISPATCH ossl_EncryptedPrivateKeyInfo_der_to_der_decoder_functions[];

struct prov_ctx_st;
int ossl_prov_bio_from_dispatch(const OSSL_DISPATCH*);
int ossl_prov_seeding_from_dispatch(const OSSL_DISPATCH*);
BIO_METHOD* ossl_bio_prov_init_bio_method();
prov_ctx_st* ossl_prov_ctx_new();
void ossl_prov_ctx_free(prov_ctx_st*);
void ossl_prov_ctx_set0_libctx(prov_ctx_st*, OSSL_LIB_CTX*);
void ossl_prov_ctx_set0_handle(prov_ctx_st*, const OSSL_CORE_HANDLE*);
void ossl_prov_ctx_set0_core_bio_method(prov_ctx_st*, BIO_METHOD*);
BIO_METHOD* ossl_prov_ctx_get0_core_bio_method(prov_ctx_st*);
int ossl_prov_get_capabilities(void*, const char*, OSSL_CALLBACK*, void*);

int ossl_default_provider_init(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH**,
                               void**);
int ossl_base_provider_init(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH**,
                            void**);
int ossl_err_load_crypto_strings();
void openssl_add_all_ciphers_int();
void openssl_add_all_digests_int();
void engine_load_openssl_int();
void engine_load_rdrand_int();
void engine_load_dynamic_int();
void engine_load_padlock_int();
}

namespace {

constexpr char kProperty[] = "provider=default";

#define ROW(names, table) {names, kProperty, ossl_##table##_functions, nullptr},
#define ENCODER_ROW(names, key, structure, output)                     \
  {names, "provider=default,output=" #output ",structure=" #structure, \
   ossl_##key##_to_##structure##_##output##_encoder_functions, nullptr},
#define DECODER_ROW(names, key, table, structure)             \
  {names, "provider=default,input=der,structure=" #structure, \
   ossl_##table##_der_to_##key##_decoder_functions, nullptr},
#define END \
  { nullptr, nullptr, nullptr, nullptr }

const OSSL_ALGORITHM kDigests[] = {DIGESTS(ROW) END};
const OSSL_ALGORITHM kCiphers[] = {CIPHERS(ROW) END};
const OSSL_ALGORITHM kMacs[] = {MACS(ROW) END};
const OSSL_ALGORITHM kKdfs[] = {KDFS(ROW) END};
const OSSL_ALGORITHM kRands[] = {RANDS(ROW) END};
const OSSL_ALGORITHM kKeyExchanges[] = {KEY_EXCHANGES(ROW) END};
const OSSL_ALGORITHM kSignatures[] = {SIGNATURES(ROW) END};
const OSSL_ALGORITHM kAsymmetricCiphers[] = {ASYMMETRIC_CIPHERS(ROW) END};
const OSSL_ALGORITHM kKeys[] = {KEYS(ROW) END};
const OSSL_ALGORITHM kEncoders[] = {ENCODERS(ENCODER_ROW) END};
const OSSL_ALGORITHM kDecoders[] = {
    DECODERS(DECODER_ROW){"DER", "provider=default,input=der,structure=SubjectPublicKeyInfo",
                          ossl_SubjectPublicKeyInfo_der_to_der_decoder_functions, nullptr},
    {"DER", "provider=default,input=pem", ossl_pem_to_der_decoder_functions, nullptr},
    {"DER", "provider=default,input=der,structure=EncryptedPrivateKeyInfo",
     ossl_EncryptedPrivateKeyInfo_der_to_der_decoder_functions, nullptr},
    END};

const OSSL_ALGORITHM* query(void*, int operation, int* no_cache) {
  *no_cache = 0;
  switch (operation) {
    case OSSL_OP_DIGEST: return kDigests;
    case OSSL_OP_CIPHER: return kCiphers;
    case OSSL_OP_MAC: return kMacs;
    case OSSL_OP_KDF: return kKdfs;
    case OSSL_OP_RAND: return kRands;
    case OSSL_OP_KEYMGMT: return kKeys;
    case OSSL_OP_KEYEXCH: return kKeyExchanges;
    case OSSL_OP_SIGNATURE: return kSignatures;
    case OSSL_OP_ASYM_CIPHER: return kAsymmetricCiphers;
    case OSSL_OP_ENCODER: return kEncoders;
    case OSSL_OP_DECODER: return kDecoders;
    default: return nullptr;
  }
}

void teardown(void* context) {
  auto* provider = static_cast<prov_ctx_st*>(context);
  BIO_meth_free(ossl_prov_ctx_get0_core_bio_method(provider));
  ossl_prov_ctx_free(provider);
}

using Function = void (*)();
const OSSL_DISPATCH kProvider[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, reinterpret_cast<Function>(teardown)},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, reinterpret_cast<Function>(query)},
    {OSSL_FUNC_PROVIDER_GET_CAPABILITIES, reinterpret_cast<Function>(ossl_prov_get_capabilities)},
    {0, nullptr}};

OSSL_LIB_CTX* library_context(const OSSL_CORE_HANDLE* core, const OSSL_DISPATCH* in) {
  for (; in->function_id != 0; in++) {
    if (in->function_id != OSSL_FUNC_CORE_GET_LIBCTX) continue;
    return reinterpret_cast<OSSL_LIB_CTX*>(OSSL_FUNC_core_get_libctx(in)(core));
  }
  return nullptr;
}

}  // namespace

int ossl_default_provider_init(const OSSL_CORE_HANDLE* core, const OSSL_DISPATCH* in,
                               const OSSL_DISPATCH** out, void** context) {
  if (ossl_prov_bio_from_dispatch(in) == 0 || ossl_prov_seeding_from_dispatch(in) == 0) return 0;
  prov_ctx_st* provider = ossl_prov_ctx_new();
  if (provider == nullptr) return 0;
  BIO_METHOD* method = ossl_bio_prov_init_bio_method();
  if (method == nullptr) {
    ossl_prov_ctx_free(provider);
    return 0;
  }
  ossl_prov_ctx_set0_libctx(provider, library_context(core, in));
  ossl_prov_ctx_set0_handle(provider, core);
  ossl_prov_ctx_set0_core_bio_method(provider, method);
  *context = provider;
  *out = kProvider;
  return 1;
}

// The base provider is the default one's encoders without its algorithms: nobody asks for it.
int ossl_base_provider_init(const OSSL_CORE_HANDLE*, const OSSL_DISPATCH*, const OSSL_DISPATCH**,
                            void**) {
  return 0;
}

#define ERROR_TEXTS(X) \
  X(ERR)               \
  X(ASN1) X(BIO) X(BN) X(CRYPTO) X(EC) X(EVP) X(OBJ) X(PEM) X(PROV) X(RAND) X(RSA) X(X509) X(X509V3)
#define DECLARE_TEXTS(library) extern "C" int ossl_err_load_##library##_strings();
ERROR_TEXTS(DECLARE_TEXTS)

int ossl_err_load_crypto_strings() {
#define LOAD_TEXTS(library) ossl_err_load_##library##_strings() != 0 &&
  return ERROR_TEXTS(LOAD_TEXTS) true;
}

// Names for the kinds that certificates and keys mention by number.
void openssl_add_all_ciphers_int() {
  for (const EVP_CIPHER* cipher : {EVP_aes_128_cbc(), EVP_aes_256_cbc(), EVP_aes_128_gcm(),
                                   EVP_aes_256_gcm(), EVP_chacha20_poly1305()})
    EVP_add_cipher(cipher);
}

void openssl_add_all_digests_int() {
  for (const EVP_MD* digest : {EVP_md5(), EVP_md5_sha1(), EVP_sha1(), EVP_sha224(), EVP_sha256(),
                               EVP_sha384(), EVP_sha512()})
    EVP_add_digest(digest);
}

// No engines: they are what came before providers.
void engine_load_openssl_int() {}
void engine_load_rdrand_int() {}
void engine_load_dynamic_int() {}
void engine_load_padlock_int() {}

#endif
