/* program/tools.h - pg_md5 and pg_enc: the password forms of pool_passwd
 * and pcp.conf, made by hand.
 *
 * Both take Pgpool-II's options and print what its tools of these names print: results and prompts
 * to stdout, errors to stderr.  argv[0] is the name in the texts.  With -m they replace or append
 * the user's line of pool_passwd instead.  They write a new file that then takes the old one's
 * place.  All other bytes, mode and owner stay, and a reader sees either the old file or the new
 * one.
 *
 * They return the exit status: 0 if everything went well, else 1.
 */
#ifndef PROGRAM_TOOLS_H
#define PROGRAM_TOOLS_H

int tool_pg_md5(int argc, char **argv);
int tool_pg_enc(int argc, char **argv);

#endif
