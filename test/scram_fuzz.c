/* The first byte says which of the four messages, or which other text, the rest is taken for. */
#include "wire/base64.c"
#include "scram.c"
#include "scram/saslprep.c"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t nonce[SCRAM_NONCE], cb[32];

static void final_of_server(char *out, const char *in, size_t len, const struct scram_verifier *v,
	bool plus)
{
	const char *first = plus ? "p=tls-server-end-point,,n=,r=abc" : "n,,n=,r=abc";
	struct scram_server s = { 0 };
	uint8_t key[SCRAM_KEY];
	const char *why;

	scram_server_first(&s, out, SCRAM_OUT_MAX, first, strlen(first), v, nonce, plus ? cb : NULL,
		plus ? sizeof cb : 0, plus, &why);
	scram_server_final(&s, out, SCRAM_OUT_MAX, in, len, v, key, &why);
}

static void both_of_client(char *out, const char *in, size_t len, bool plus)
{
	struct scram_client c = { 0 };
	struct scram_keys k = { .client_key = "c", .server_key = "s" };
	const char *why;

	scram_client_first(&c, out, SCRAM_OUT_MAX, nonce, plus ? cb : NULL, plus ? sizeof cb : 0, plus);
	if (scram_client_challenge(&c, in, len, &why) == 0)
		scram_client_final(&c, out, SCRAM_OUT_MAX, &k);
	c.step = SCRAM_FINAL;
	scram_client_verify(&c, in, len, &k, &why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scram_verifier v = { .salt_len = 16, .iterations = 1 };
	struct scram_server s = { 0 };
	char out[SCRAM_OUT_MAX], prepared[256];
	const char *why, *in = (const char *)data + 1;

	if (!size--)
		return 0;
	char *text = strndup(in, size);
	switch (*data % 5) {
	case 0: scram_server_first(&s, out, sizeof out, in, size, &v, nonce, *data & 64 ? cb : NULL,
			*data & 64 ? 32 : 0, *data & 128, &why); break;
	case 1: final_of_server(out, in, size, &v, *data & 128); break;
	case 2: both_of_client(out, in, size, *data & 128); break;
	case 3: scram_verifier_parse(&v, text); break;
	case 4: scram_saslprep(prepared, sizeof prepared, text); break;
	}
	free(text);
	return 0;
}
