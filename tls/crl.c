#include "tls/crl.h"

/* The lists' extensions.  The known ones that may be passed over are the key's identifier and the
 * list's number; for an entry, the reason and the date. */
enum extension_kind { OF_LIST, OF_ENTRY };

static const char *read_extension(struct der *d, enum extension_kind kind)
{
	struct der in = der_get(d, DER_SEQUENCE), name = der_get(&in, DER_OID);
	struct bytes oid = der_rest(&name);
	bool critical = der_tag(&in) == DER_BOOLEAN && der_boolean(&in);

	der_get(&in, DER_OCTETS);
	if (kind == OF_LIST && bytes_are(oid, BYTES("\x55\x1d\x1b")))
		return "it is a delta CRL: only whole lists can be used";
	if (kind == OF_LIST && bytes_are(oid, BYTES("\x55\x1d\x1c")))
		return "it is about a part of its issuer's certificates only (issuing distribution "
			"point): only whole lists can be used";
	if (kind == OF_ENTRY && bytes_are(oid, BYTES("\x55\x1d\x1d")))
		return "it is an indirect CRL: only lists of one issuer's certificates can be used";
	bool known = kind == OF_LIST
		? bytes_are(oid, BYTES("\x55\x1d\x14")) || bytes_are(oid, BYTES("\x55\x1d\x23"))
		: bytes_are(oid, BYTES("\x55\x1d\x15")) || bytes_are(oid, BYTES("\x55\x1d\x18"));
	return critical && !known ? "it has a critical extension that is not known here" : NULL;
}

static const char *read_extensions(struct der *d, enum extension_kind kind)
{
	const char *why = NULL;

	while (!why && der_tag(d) >= 0)
		why = read_extension(d, kind);
	return why;
}

/* The number of an entry, and the rest of it; numbers may be negative. */
static struct bytes read_entry(struct der *entries, struct der *rest)
{
	*rest = der_get(entries, DER_SEQUENCE);
	struct der serial = der_get(rest, DER_INTEGER);

	return der_rest(&serial);
}

static const char *check_entries(struct bytes list, bool *bad)
{
	struct der d = der_read(list, bad), entry, extensions;
	const char *why = NULL;

	while (!why && der_tag(&d) >= 0) {
		read_entry(&d, &entry);
		der_time(&entry);
		if (der_maybe(&entry, DER_SEQUENCE, &extensions))
			why = read_extensions(&extensions, OF_ENTRY);
		der_end(&entry);
	}
	return why;
}

static bool is_time(const struct der *d)
{
	return der_tag(d) == DER_UTC_TIME || der_tag(d) == DER_TIME;
}

/* The signed part. */
static const char *read_text(struct tls_crl *c, struct der *d)
{
	const char *why = NULL;
	struct der entries, wrapped;

	if (der_tag(d) == DER_INTEGER)
		der_number(d, 1);
	x509_signing(d);
	c->issuer = der_whole(d, DER_SEQUENCE);
	c->begins = der_time(d);
	if (is_time(d))
		c->ends = der_time(d);
	if (der_maybe(d, DER_SEQUENCE, &entries)) {
		c->revoked = der_rest(&entries);
		why = check_entries(c->revoked, d->bad);
	}
	if (!why && der_maybe(d, DER_CONTEXT + DER_CONSTRUCTED + 0, &wrapped)) {
		struct der list = der_get(&wrapped, DER_SEQUENCE);

		why = read_extensions(&list, OF_LIST);
	}
	der_end(d);
	return why;
}

const char *tls_crl_read(struct tls_crl *c, struct bytes whole)
{
	bool bad = false;
	struct der all = der_read(whole, &bad), outer = der_get(&all, DER_SEQUENCE);

	*c = (struct tls_crl){ .whole = whole };
	c->text = der_whole(&outer, DER_SEQUENCE);
	struct der text = der_read(c->text, &bad), in = der_get(&text, DER_SEQUENCE);
	const char *why = read_text(c, &in);
	c->signing = x509_signing(&outer);
	c->signature = der_bits(&outer);
	der_end(&outer);
	der_end(&all);
	return bad ? "it is not a well-formed CRL" : why;
}

bool tls_crl_has(const struct tls_crl *c, struct bytes serial)
{
	bool bad = false;
	struct der d = der_read(c->revoked, &bad), entry;

	while (der_tag(&d) >= 0)
		if (bytes_are(read_entry(&d, &entry), serial))
			return true;
	return false;
}
