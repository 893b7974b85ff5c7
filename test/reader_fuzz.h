/* reader_fuzz.h - a fuzzer of something that reads a text: fuzz_text() is the includer's. */
#ifndef READER_FUZZ_H
#define READER_FUZZ_H

static void fuzz_text(char *text, size_t len, struct auth_report *r);

static void take_warning(void *ctx, const char *file, int line, const char *text)
{
	*(size_t *)ctx += strlen(file) + strlen(text) + (size_t)line;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t seen = 0;
	struct auth_report r = { .warn = take_warning, .ctx = &seen };
	char *text = malloc(size + 1);

	if (size)
		memcpy(text, data, size);
	text[size] = '\0';
	fuzz_text(text, size, &r);
	free(text);
	return 0;
}

#endif
