/* tls/pass.h - asking a command for a passphrase (ssl_passphrase_command). */
#ifndef TLS_PASS_H
#define TLS_PASS_H

#include <stdbool.h>
#include <stddef.h>

enum { TLS_PASS_MAX = 1024, TLS_PASS_SECONDS = 10 };

/* Runs it by /bin/sh, with %p replaced by a prompt that names the file (%% is one %), and takes its
 * first line; out is to be wiped.  It must be done within TLS_PASS_SECONDS.  False with why. */
bool tls_pass_ask(char out[static TLS_PASS_MAX], const char *command, const char *file, char *why,
	size_t size);

#endif
