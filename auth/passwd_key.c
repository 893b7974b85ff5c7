#include "auth/passwd_key.h"

#include "wire.h"
#include "wire.h"

#include <bearssl_block.h>
#include <bearssl_hash.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BLOCK = br_aes_ct64_BLOCK_SIZE };

/* ---- the key ---- */

static const char *setting(char *const *environment, const char *name)
{
	size_t n = strlen(name);

	for (; environment && *environment; environment++)
		if (!strncmp(*environment, name, n) && (*environment)[n] == '=')
			return *environment + n + 1;
	return "";
}

void passwd_key_file(char out[static PATH_MAX], const char *option, char *const *environment)
{
	const char *named = option ? option : setting(environment, "PGPOOLKEYFILE");
	const char *home = setting(environment, "HOME");

	if (*named)
		snprintf(out, PATH_MAX, "%s", named);
	else
		snprintf(out, PATH_MAX, "%s%s", home, *home ? "/.pgpoolkey" : "");
}

void passwd_key_derive(struct passwd_key *k, const char *text, size_t len)
{
	uint8_t bytes[3 * br_sha1_SIZE];
	br_sha1_context c;

	if (len > PASSWD_KEY_MAX)
		len = PASSWD_KEY_MAX;
	for (size_t n = 0; n < sizeof bytes; n += br_sha1_SIZE) {
		br_sha1_init(&c);
		if (n)
			br_sha1_update(&c, bytes + n - br_sha1_SIZE, br_sha1_SIZE);
		br_sha1_update(&c, text, len);
		br_sha1_out(&c, bytes + n);
	}
	memcpy(k->key, bytes, sizeof k->key);
	memcpy(k->iv, bytes + sizeof k->key, sizeof k->iv);
	k->usable = true;
	explicit_bzero(bytes, sizeof bytes);
	explicit_bzero(&c, sizeof c);
}

void passwd_key_load(struct passwd_key *k, const char *file)
{
	char line[PASSWD_KEY_MAX];
	struct stat st;

	*k = (struct passwd_key){ .error = ENOENT };
	snprintf(k->file, sizeof k->file, "%s", file);
	if (!*file)
		return;
	int fd = source_open(file);
	ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line);
	k->error = n < 0 ? errno : 0;
	k->exposed = fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO));
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return;
	const char *end = memchr(line, '\n', (size_t)n);
	size_t len = end ? (size_t)(end - line) : (size_t)n;
	if (len)
		passwd_key_derive(k, line, len);
	else
		k->error = ENODATA;
	explicit_bzero(line, sizeof line);
}

/* ---- entries ---- */

static size_t padded(size_t len)
{
	return len + BLOCK - len % BLOCK;
}

size_t passwd_encrypted_len(size_t len)
{
	return base64_len(padded(len));
}

/* A block at a time, so that no password is too long for a buffer. */
void passwd_encrypt(char *out, const struct passwd_key *k, const char *password, size_t len)
{
	enum { PIECE = 3 * BLOCK };             /* base64 of it needs no padding */
	br_aes_ct64_cbcenc_keys c;
	uint8_t iv[BLOCK], piece[PIECE];

	br_aes_ct64_cbcenc_init(&c, k->key, sizeof k->key);
	memcpy(iv, k->iv, sizeof iv);
	for (size_t at = 0, n; at < padded(len); at += n) {
		size_t rest = len - at;         /* of the password; less than a piece ends it */

		n = rest < PIECE ? padded(rest) : PIECE;
		memset(piece, (int)(n - rest), sizeof piece);
		memcpy(piece, password + at, rest < PIECE ? rest : PIECE);
		br_aes_ct64_cbcenc_run(&c, iv, piece, n);
		base64_encode(out, piece, n);
		out += base64_len(n);
	}
	explicit_bzero(&c, sizeof c);
	explicit_bzero(piece, sizeof piece);
}

int passwd_decrypt(char *text, size_t len, const struct passwd_key *k)
{
	uint8_t *bytes = (uint8_t *)text, iv[BLOCK], wrong = 0;
	int n = base64_decode(bytes, len, text, len);
	br_aes_ct64_cbcdec_keys c;

	if (n <= 0 || n % BLOCK)
		return -1;
	br_aes_ct64_cbcdec_init(&c, k->key, sizeof k->key);
	memcpy(iv, k->iv, sizeof iv);
	br_aes_ct64_cbcdec_run(&c, iv, bytes, (size_t)n);
	explicit_bzero(&c, sizeof c);

	uint8_t padding = bytes[n - 1];
	if (padding < 1 || padding > BLOCK)
		return -1;
	for (int i = n - padding; i < n; i++)
		wrong |= bytes[i] ^ padding;
	n -= padding;
	text[n] = '\0';
	return wrong || strlen(text) != (size_t)n ? -1 : n;
}
