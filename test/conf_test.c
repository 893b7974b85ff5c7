/* conf_test.c - parameters: grammar, values, tables, environment, reload, memory running out.
 *
 * conf_test --sample prints pgpool.conf.sample, conf_test --settings docs/settings.md; both must be
 * what the tables say. */
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

/* Every allocation counts down; the one that reaches zero fails, as do all after it. */
static long allocations = -1;

static int may_allocate(void)
{
	if (allocations > 0)
		allocations--;
	errno = allocations ? errno : ENOMEM;
	return allocations != 0;
}

static void *test_malloc(size_t n) { return may_allocate() ? malloc(n) : NULL; }
static void *test_calloc(size_t n, size_t m) { return may_allocate() ? calloc(n, m) : NULL; }
static char *test_strndup(const char *s, size_t n) { return may_allocate() ? strndup(s, n) : NULL; }

static int test_regcomp(regex_t *re, const char *s, int flags)
{
	return may_allocate() ? regcomp(re, s, flags) : REG_ESPACE;
}

#undef strndup
#define malloc test_malloc
#define calloc test_calloc
#define strndup test_strndup
#define regcomp test_regcomp
#include "conf/scan.c"
#include "conf/value.c"
#include "conf.c"
#include "conf/doc.c"
#undef malloc
#undef calloc
#undef strndup
#undef regcomp
#include "t.h"

#include <ctype.h>

static char dir[] = "/tmp/conf_test.XXXXXX", path[64];

/* --- what was told --- */

static char warnings[16384], remarks[4096], errors[65536];
static int nwarnings, nerrors;

static void remember(void *ctx, enum level v, const char *file, int line, int column,
	const char *text)
{
	char *to = v == LEVEL_WARNING ? warnings : v == LEVEL_LOG ? remarks : errors;
	size_t size = to == warnings ? sizeof warnings : to == remarks ? sizeof remarks
		: sizeof errors;
	size_t n = strlen(to);
	const char *base = file ? strrchr(file, '/') : NULL;

	(void)ctx;
	n += (size_t)snprintf(to + n, size - n, "%s:%d:", base ? base + 1 : file ? file : "-",
		line);
	if (n < size && column)
		n += (size_t)snprintf(to + n, size - n, "%d:", column);
	if (n < size)
		snprintf(to + n, size - n, " %s\n", text);
	nwarnings += v == LEVEL_WARNING;
	nerrors += v == LEVEL_FATAL;
}

static const struct conf_messages messages = { remember, NULL };

static void write_file(const char *name, const char *text, size_t n)
{
	char full[128];

	snprintf(full, sizeof full, "%s/%s", dir, name);
	FILE *f = fopen(full, "w");

	if (!f || fwrite(text, 1, n, f) != n || fclose(f))
		abort();
}

#define write_literal(name, text) write_file(name, text, sizeof text - 1)

static struct conf *load(const char *file, char *const *environment)
{
	warnings[0] = remarks[0] = errors[0] = '\0';
	nwarnings = nerrors = 0;
	return conf_load(file, environment, &messages);
}

static struct conf *load_text(const char *text)
{
	write_file("pgpool.conf", text, strlen(text));
	return load(path, NULL);
}

static const char *shown(const struct conf *c, const char *name)
{
	static char out[256];

	return c && conf_show(c, name, out, sizeof out) >= 0 ? out : "(none)";
}

/* --- cases: a text and what it must give --- */

/* A text for the name of a test: in one line. */
static const char *flat(const char *text)
{
	static char out[300];
	size_t n = 0;

	for (; text[n] && n < sizeof out - 1; n++)
		out[n] = (unsigned char)text[n] < ' ' ? ' ' : text[n];
	out[n] = '\0';
	return out;
}

struct one { const char *text, *name, *want; };

static void expect_value(const struct one *k, const char *why)
{
	struct conf *c = load_text(k->text);

	say(c && !strcmp(shown(c, k->name), k->want), "%s: %s is %s", why, flat(k->text), k->want);
	if (c && strcmp(shown(c, k->name), k->want))
		printf("# is %s\n", shown(c, k->name));
	if (!c)
		printf("# %s", errors);
	conf_free(c);
}

/* `want` is a piece of the error. */
static void expect_error(const struct one *k, const char *why)
{
	struct conf *c = load_text(k->text);

	say(!c && strstr(errors, k->want), "%s: %s refused", why, flat(k->text));
	if (c || !strstr(errors, k->want))
		printf("# %s", errors);
	conf_free(c);
}

#define EACH(array, fn, why) \
	for (size_t i_ = 0; i_ < sizeof array / sizeof *array; i_++) fn(&array[i_], why)

static void test_grammar(void)
{
	static const struct one good[] = {
		{ "listen_addresses = *", "listen_addresses", "*" },
		{ "listen_addresses '*'", "listen_addresses", "*" },
		{ "port 7000", "port", "7000" },
		{ "port=7000", "port", "7000" },
		{ "  \tport\t=\t7000\r\n", "port", "7000" },
		{ "port = 7000 # comment", "port", "7000" },
		{ "port = 7000#comment", "port", "7000" },
		{ "# comment\n\n\nport = 7000", "port", "7000" },
		{ "#port = 7000", "port", "9999" },
		{ "port = 7000 max_pool = 3", "max_pool", "3" },
		{ "port 7000 max_pool 3 num_init_children 5", "num_init_children", "5" },
		{ "port = '7000'", "port", "7000" },
		{ "port = +7000", "port", "7000" },
		{ "port = 7000\nport = 8000\n", "port", "8000" },
		{ "log_line_prefix = ''", "log_line_prefix", "" },
		{ "log_line_prefix = 'a # b'", "log_line_prefix", "a # b" },
		{ "log_line_prefix = 'a\\'b\\\\'", "log_line_prefix", "a\\'b\\\\" },
		{ "log_line_prefix = 'a\\nb'", "log_line_prefix", "a\\nb" },
		{ "log_line_prefix = on", "log_line_prefix", "on" },
		{ "log_line_prefix = a-b.c_d:e/f", "log_line_prefix", "a-b.c_d:e/f" },
		{ "log_line_prefix = 12ab", "log_line_prefix", "12ab" },
		{ "log_line_prefix = -1.5e-3", "log_line_prefix", "-1.5e-3" },
		{ "log_line_prefix = 0x1Fzz", "log_line_prefix", "0x1Fzz" },
		{ "log_line_prefix = \xc3\xa9t\xc3\xa9", "log_line_prefix", "\xc3\xa9t\xc3\xa9" },
		{ "sr_check_database='d b'", "sr_check_database", "d b" },
		{ "", "port", "9999" },
		{ "\n\r\n \t", "port", "9999" }
	};
	static const struct one bad[] = {
		{ "backend_hostname0 = 127.0.0.1", "", "pgpool.conf:1:26: syntax error" },
		{ "\n\nport =\nmax_pool = 3", "",
			"pgpool.conf:3:1: parameter \"port\" has no value" },
		{ "port", "", "parameter \"port\" has no value" },
		{ "port =", "", "parameter \"port\" has no value" },
		{ "port = # 7000", "", "parameter \"port\" has no value" },
		{ "log_line_prefix = 'abc", "",
			":1:19: parameter \"log_line_prefix\": the string has no" },
		{ "log_line_prefix = 'abc\n'", "",
			":1:19: parameter \"log_line_prefix\": the string has no" },
		{ "log_line_prefix = 'abc\\'", "", "the string has no closing quote" },
		{ "log_line_prefix = 'a''b'", "", "syntax error" },
		{ "port == 7000", "", "syntax error after parameter \"port\"" },
		{ "port = $x", "", "syntax error after parameter \"port\"" },
		{ "port = 5 min", "", "\"min\" has no value" },
		{ "= 7", "", "syntax error" }, { "'port' = 7000", "", "syntax error" },
		{ "7 = 7", "", "syntax error" }, { "-port = 7000", "", "syntax error" },
		{ "a.b = 7", "", "syntax error" }, { "*", "", "syntax error" },
		{ "port = 7000 7000", "", "syntax error" }
	};

	EACH(good, expect_value, "grammar");
	EACH(bad, expect_error, "grammar");

	struct conf *c;

	write_literal("pgpool.conf", "port = '70\0" "00'");
	say(!(c = load(path, NULL)), "a zero byte in a string is refused");
	conf_free(c);
	write_literal("pgpool.conf", "# a\0b\nport = 7000");
	say((c = load(path, NULL)) && c->port == 7000, "but not in a comment");
	conf_free(c);
	c = load_text("sr_check_password = 'hunter2''hunter3'");
	say(!c && !strstr(errors, "hunter"), "no piece of a password in a syntax error");
	conf_free(c);
}

static void test_keys(void)
{
	static const struct one good[] = {
		{ "Port = 7000", "port", "9999" },
		{ "no_such_thing = 1\nport = 7000", "port", "7000" },
		{ "backend_port0 = 5432", "backend_port0", "5432" },
		{ "backend_port127 = 5432", "backend_port127", "5432" },
		{ "backend_port00 = 5432", "backend_port0", "5432" },
		{ "connect_timeout = 5s\nbackend_port1 = 5432", "connect_timeout1", "5s" },
		{ "connect_timeout1 = 3s\nconnect_timeout = 5s\nbackend_port1 = 5432",
			"connect_timeout1", "3s" },
		{ "connect_timeout1 = 3s\nconnect_timeout = 5s\nbackend_port1 = 5432",
			"connect_timeout0", "5s" },
		{ "connect_timeout1 = 3s\nconnect_timeout = 5s", "connect_timeout", "5s" },
		{ "health_check_user = a\nbackend_port1 = 5432", "health_check_user1", "a" },
		{ "health_check_user1 = b\nhealth_check_user = a\nbackend_port1 = 5432",
			"health_check_user1", "b" },
		{ "port = 7000\nhealth_check_period_x = 1", "port", "7000" },
		{ "socket_dir = '/x'", "unix_socket_directories", "/x" },
		{ "socket_dir = '/x'", "socket_dir", "/x" },
		{ "fail_over_on_backend_error = off", "failover_on_backend_error", "off" },
		{ "black_function_list = 'f'", "write_function_list", "f" },
		{ "white_function_list = 'f'", "read_only_function_list", "f" },
		{ "black_query_pattern_list = 'f'", "primary_routing_query_pattern_list", "f" },
		{ "black_memqcache_table_list = 'f'", "cache_unsafe_memqcache_table_list", "f" },
		{ "white_memqcache_table_list = 'f'", "cache_safe_memqcache_table_list", "f" },
		{ "delegate_IP = '1.2.3.4'", "delegate_ip", "1.2.3.4" },
		{ "logdir = '/var/log'", "work_dir", "/var/log" },
		{ "wd_port1 = 9000", "wd_port1", "9000" },
		{ "wd_port1 = 9000", "wd_port0", "0" },
		{ "hostname1 = 'a'", "hostname0", "localhost" },
		{ "hostname1 = 'a'", "hostname1", "a" },
		{ "hostname1 = 'a'", "backend_hostname1", "(none)" },
		{ "heartbeat_hostname127 = 'a'", "heartbeat_hostname127", "a" },
		{ "heartbeat_hostname127 = 'a'", "heartbeat_hostname128", "(none)" },
		{ "memqcache_total_size = 1GB", "memqcache_total_size", "1GB" },
		{ "", "memqcache_total_size", "64MB" },
		{ "wd_authkey = 'x'", "wd_authkey", "*****" },
		{ "master_slave_mode = off", "backend_clustering_mode", "raw" },
		{ "master_slave_mode = on", "backend_clustering_mode", "streaming_replication" },
		{ "master_slave_mode = off\nbackend_clustering_mode = streaming_replication",
			"backend_clustering_mode", "streaming_replication" },
		{ "process_management_mode = dynamic", "process_management_mode", "dynamic" }
	};
	static const struct one bad[] = {
		{ "backend_port = 5432", "",
			"\"backend_port\": \"backend_port\" needs an index after it" },
		{ "backend_hostname = 'x'", "", "allowed: 0 .. 127" },
		{ "backend_port128 = 5432", "", "allowed: 0 .. 127" },
		{ "backend_port99999999999999999999 = 5432", "", "allowed: 0 .. 127" },
		{ "backend_portx = 5432", "", "allowed: 0 .. 127" },
		{ "backend_port_1 = 5432", "", "allowed: 0 .. 127" },
		{ "connect_timeout128 = 5", "", "allowed: 0 .. 127" },
		{ "connect_timeout1x = 5", "", "allowed: 0 .. 127" },
		{ "hostname0x = ''", "", "allowed: 0 .. 127" },
		{ "backend_data_directory = '/d'", "", "needs an index" },
		{ "heartbeat_port128 = 9000", "", "allowed: 0 .. 127" },
		{ "port = 7000 use_watchdog = maybe", "", "pgpool.conf:1:28: invalid value" },
		{ "port = 7000\n\twd_priority = '-1'", "", "pgpool.conf:2:16: invalid value" },
		{ "wd_port3 = 80", "",
			"pgpool.conf:1:12: invalid value for parameter \"wd_port3\"" },
		{ "backend_portx = 1", "", "pgpool.conf:1:1: parameter \"backend_portx\": \"backend_port\"" },
		{ "process_management_mode = dynamic\nmin_spare_children = 10", "",
			"\"min_spare_children\" must be below" },
		{ "process_management_mode = dynamic\nnum_init_children = 9", "",
			"must not exceed \"num_init_children\"" }
	};
	static const struct one warned[] = {
		{ "\nPort = 7000", "", "pgpool.conf:2:1: unknown parameter \"Port\"" },
		{ "no_such_thing = 1", "", "unknown parameter \"no_such_thing\"" },
		{ "health_check_period_x = 1", "", "unknown parameter \"health_check_period_x\"" },
		{ "port = 7000 use_watchdog = on", "",
			"pgpool.conf:1:13: parameter \"use_watchdog\" has no effect here: " },
		{ "wd_port = 9000", "", "parameter \"wd_port\" has no effect here: Kubernetes" },
		{ "failover_command = '/f'", "", "\"failover_command\" has no effect here: " },
		{ "heartbeat_destination0 = 'x'", "", "\"heartbeat_destination0\" has no effect" },
		{ "master_slave_mode = on", "", "has no effect here: backend_clustering_mode" },
		{ "master_slave_mode = off", "", "backend_clustering_mode is \"raw\"" },
		{ "wd_heartbeat_port = 9694", "", "\"wd_heartbeat_port\" has no effect here" },
		{ "fail_over_on_backend_error = on\nsocket_dir = '/x'", "",
			"\"socket_dir\" is now" },
		{ "backend_port0 = 5432\nbackend_port1 = 5433\nbackend_weight1 = 0", "",
			"node 1 gets no reads: \"backend_weight1\" is 0" },
		{ "backend_port0 = 5432\nbackend_port1 = 5433\nbackend_flag1 = ALWAYS_PRIMARY", "",
			"node 0 gets no reads: \"backend_weight0\" is not set" },
		{ "socket_dir = '/x'", "",
			"\"socket_dir\" is now called \"unix_socket_directories\"" },
		{ "backend_hostname2 = 'x'", "",
			"node 2 is left out: \"backend_port2\" is not set" },
		{ "log_destination = 'stderr, eventlog,syslog'", "",
			"nothing is logged to \"eventlog\"" },
		{ "user_redirect_preference_list = 'a:primary, b:standby'", "",
			"the blank in front of \"b\"" },
		{ "backend_port0 = 5432\nbackend_weight0 = 0\nbackend_port1 = 5433", "",
			"node 1 gets no reads: \"backend_weight1\" is not set" },
		{ "backend_port0 = 5432\nbackend_port1 = 5433\nbackend_flag0 = ALWAYS_PRIMARY\n"
			"backend_flag1 = ALWAYS_PRIMARY\nload_balance_mode = off", "",
			"\"backend_flag1\": ALWAYS_PRIMARY is ignored, node 0 has it already" }
	};

	EACH(good, expect_value, "keys");
	EACH(bad, expect_error, "keys");
	for (size_t i = 0; i < sizeof warned / sizeof *warned; i++) {
		struct conf *c = load_text(warned[i].text);

		say(c && nwarnings == 1 && strstr(warnings, warned[i].want), "one warning: %s",
			flat(warned[i].text));
		if (!c || nwarnings != 1 || !strstr(warnings, warned[i].want))
			printf("# %s%s", warnings, errors);
		conf_free(c);
	}

	struct conf *c = load_text("wd_port0 = 9001\nwd_port1 = 9002\nuse_watchdog = on\n"
		"use_watchdog = yes\nheartbeat_hostname1 = 'x'\n");

	say(c && nwarnings == 1 && !c->nnodes, "what has no effect is told once");
	say(strstr(remarks, "pgpool.conf:1:1: parameter \"wd_port0\" has no effect here: ")
		&& !strstr(remarks, "wd_port1") && strstr(remarks, "heartbeat_hostname1"),
			"what nobody misses is a remark");
	conf_free(c);
	c = load_text("use_watchdog = off\nmemory_cache_enabled = off\ninsert_lock = off\n"
		"sr_check_period = 0\nhealth_check_period = 0\ndelegate_IP = ''\nwd_port0 = 0\n"
		"delay_threshold = 0x0\npcp_port = 9898\npcp_socket_dir = '/tmp'\n"
		"failover_command = ''\nssl = off\nlog_standby_delay = if_over_threshold\n"
		"memqcache_total_size = 65536kB\nfailover_on_backend_error = off\n");
	say(c && !nwarnings && !remarks[0], "what asks for nothing is not told: %s%s", warnings,
		remarks);
	conf_free(c);
	c = load_text("backend_port0 = 5432\nbackend_weight1 = 1");
	say(c && !nwarnings && c->nnodes == 1, "one node without a weight is no reason to warn");
	conf_free(c);
}

/* Every name of Pgpool-II 4.8, written down a second time. */
static const char *const pgpool_names[] = {
	"allow_clear_text_frontend_auth", "allow_multiple_failover_requests_from_node",
	"allow_sql_comments", "app_name_redirect_preference_list", "arping_cmd", "arping_path",
	"authentication_timeout", "auto_failback", "auto_failback_interval",
	"backend_application_name#", "backend_clustering_mode", "backend_data_directory#",
	"backend_flag#", "backend_hostname#", "backend_port#", "backend_weight#",
	"cache_safe_memqcache_table_list", "cache_unsafe_memqcache_table_list", "check_temp_table",
	"check_unlogged_table", "child_life_time", "child_max_connections",
	"clear_memqcache_on_escalation", "client_idle_limit", "client_idle_limit_in_recovery",
	"client_min_messages", "connect_timeout", "connection_cache", "connection_life_time",
	"database_redirect_preference_list", "delay_threshold", "delay_threshold_by_time",
	"delegate_IP", "delegate_ip", "detach_false_primary", "disable_load_balance_on_write",
	"dml_adaptive_object_relationship_list", "enable_consensus_with_half_votes",
	"enable_pool_hba", "enable_shared_relcache", "fail_over_on_backend_error",
	"failback_command", "failover_command", "failover_if_affected_tuples_mismatch",
	"failover_on_backend_error", "failover_on_backend_shutdown", "failover_require_consensus",
	"failover_when_quorum_exists", "follow_primary_command", "health_check_database",
	"health_check_max_retries", "health_check_password", "health_check_period",
	"health_check_retry_delay", "health_check_test", "health_check_timeout",
	"health_check_user", "heartbeat_device#", "heartbeat_hostname#", "heartbeat_port#",
	"hostname#", "if_cmd_path", "if_down_cmd", "if_up_cmd", "ignore_leading_white_space",
	"insert_lock", "listen_addresses", "listen_backlog_multiplier", "load_balance_mode",
	"lobj_lock_table", "log_backend_messages", "log_client_messages", "log_connections",
	"log_destination", "log_directory", "log_disconnections", "log_error_verbosity",
	"log_file_mode", "log_filename", "log_hostname", "log_line_prefix", "log_min_messages",
	"log_pcp_processes", "log_per_node_statement", "log_rotation_age", "log_rotation_size",
	"log_standby_delay", "log_statement", "log_truncate_on_rotation", "logdir",
	"logging_collector", "max_pool", "max_spare_children", "memory_cache_enabled",
	"memqcache_auto_cache_invalidation", "memqcache_cache_block_size", "memqcache_expire",
	"memqcache_max_num_cache", "memqcache_maxcache", "memqcache_memcached_host",
	"memqcache_memcached_port", "memqcache_method", "memqcache_oiddir", "memqcache_total_size",
	"min_spare_children", "notice_per_node_statement", "num_init_children",
	"pcp_listen_addresses", "pcp_port", "pcp_socket_dir", "pgpool_port#", "pid_file_name",
	"ping_path", "pool_passwd", "port", "prefer_lower_delay_standby",
	"primary_routing_query_pattern_list", "process_management_mode",
	"process_management_strategy", "read_only_function_list", "recovery_1st_stage_command",
	"recovery_2nd_stage_command", "recovery_database", "recovery_password", "recovery_timeout",
	"recovery_user", "relcache_expire", "relcache_query_target", "relcache_size",
	"replicate_select", "replication_delay_source_cmd", "replication_delay_source_timeout",
	"replication_mode", "replication_stop_on_mismatch", "reserved_connections",
	"reset_query_list", "search_primary_node_timeout", "serialize_accept", "sr_check_database",
	"sr_check_password", "sr_check_period", "sr_check_user", "ssl", "ssl_ca_cert",
	"ssl_ca_cert_dir", "ssl_cert", "ssl_ciphers", "ssl_crl_file", "ssl_dh_params_file",
	"ssl_ecdh_curve", "ssl_key", "ssl_passphrase_command", "ssl_prefer_server_ciphers",
	"statement_level_load_balance", "syslog_facility", "syslog_ident",
	"track_table_mutation_cold_start_duration", "track_table_mutation_max_staleness",
	"track_table_mutation_table_buckets", "track_table_mutation_table_size",
	"track_table_mutation_ttl_factor", "trusted_server_command", "trusted_servers",
	"unix_socket_directories", "unix_socket_group", "unix_socket_permissions", "use_watchdog",
	"user_redirect_preference_list", "wd_authkey", "wd_de_escalation_command",
	"wd_escalation_command", "wd_heartbeat_deadtime", "wd_heartbeat_keepalive",
	"wd_heartbeat_listen_addresses", "wd_heartbeat_listen_port", "wd_interval",
	"wd_ipc_socket_dir", "wd_life_point", "wd_lifecheck_dbname", "wd_lifecheck_method",
	"wd_lifecheck_password", "wd_lifecheck_query", "wd_lifecheck_user", "wd_listen_address",
	"wd_listen_port", "wd_lost_node_removal_timeout", "wd_monitoring_interfaces_list",
	"wd_no_show_node_removal_timeout", "wd_port#", "wd_priority", "wd_remove_shutdown_nodes",
	"work_dir", "write_function_list"
};

static void test_names(void)
{
	char name[100];
	int index, ours = 0;

	for (size_t i = 0; i < COUNT(pgpool_names); i++) {
		snprintf(name, sizeof name, "%.*s%s", (int)strcspn(pgpool_names[i], "#"),
			pgpool_names[i], strchr(pgpool_names[i], '#') ? "7" : "");
		const struct conf_row *row = find_row(current_name(name), &index);

		say(row && index == (strchr(pgpool_names[i], '#') ? 7 : NO_INDEX),
			"%s is known", name);
	}
	for (const struct conf_row *row = rows; row < rows + COUNT(rows); row++) {
		snprintf(name, sizeof name, "%s%s", row->name,
			row->per_node && !row->bare ? "#" : "");
		bool theirs = false;

		for (size_t i = 0; i < COUNT(pgpool_names); i++)
			theirs |= !strcmp(pgpool_names[i], name);
		ours += !theirs;
	}
	say(COUNT(pgpool_names) == 193 && ours == 24, "193 of Pgpool-II's, %d of ours", ours);
	for (const struct conf_old *old = conf_old_names; old->name; old++) {
		snprintf(name, sizeof name, "%.*s%s", (int)strcspn(old->name, "#"), old->name,
			strchr(old->name, '#') ? "3" : "");
		say(!find_row(name, &index) || index == BAD_INDEX, "%s is no row", name);
		say(!old->now == !!old->reason && (!old->now || find_row(old->now, &index)),
			"%s has a new name or a reason", name);
		say(old == conf_old_names || strcmp(old[-1].name, old->name) < 0,
			"%s is in order", name);
	}
}

static void test_values(void)
{
	static const struct one good[] = {
		{ "ssl = true", "ssl", "on" }, { "ssl = 'ON'", "ssl", "on" }, { "ssl = t", "ssl",
			"on" },
		{ "ssl = ye", "ssl", "on" }, { "ssl = 1", "ssl", "on" }, { "ssl = Y", "ssl", "on" },
		{ "connection_cache = false", "connection_cache", "off" },
		{ "connection_cache = of", "connection_cache", "off" },
		{ "connection_cache = n", "connection_cache", "off" },
		{ "connection_cache = 0", "connection_cache", "off" },
		{ "connection_cache = FAL", "connection_cache", "off" },
		{ "max_pool = 0x1F", "max_pool", "31" }, { "max_pool = 0010", "max_pool", "8" },
		{ "max_pool = 1.6", "max_pool", "2" }, { "max_pool = 1e3", "max_pool", "1000" },
		{ "max_pool = .6", "max_pool", "1" }, { "max_pool = 2.", "max_pool", "2" },
		{ "max_pool = 2.5", "max_pool", "2" }, { "max_pool = 3.5", "max_pool", "4" },
		{ "max_pool = ' 7 '", "max_pool", "7" }, { "max_pool = 2147483647", "max_pool",
			"2147483647" },
		{ "max_pool = -0.4", "max_pool", "0" },
		{ "client_idle_limit = 90", "client_idle_limit", "90s" },
		{ "client_idle_limit = 300", "client_idle_limit", "5min" },
		{ "client_idle_limit = 2h", "client_idle_limit", "2h" },
		{ "client_idle_limit = 48h", "client_idle_limit", "2d" },
		{ "client_idle_limit = 0", "client_idle_limit", "0" },
		{ "client_idle_limit = '5 min'", "client_idle_limit", "5min" },
		{ "client_idle_limit = '5 min '", "client_idle_limit", "5min" },
		{ "client_idle_limit = '1.5min'", "client_idle_limit", "90s" },
		{ "client_idle_limit = 1500ms", "client_idle_limit", "2s" },
		{ "client_idle_limit = 2500ms", "client_idle_limit", "2s" },
		{ "client_idle_limit = 1d", "client_idle_limit", "1d" },
		{ "client_idle_limit = 400us", "client_idle_limit", "0" },
		{ "connect_timeout = 5", "connect_timeout", "5ms" },
		{ "connect_timeout = 1min", "connect_timeout", "1min" },
		{ "connect_timeout = 1500us", "connect_timeout", "2ms" },
		{ "unix_socket_permissions = 0770", "unix_socket_permissions", "0770" },
		{ "unix_socket_permissions = 511", "unix_socket_permissions", "0777" },
		{ "backend_weight0 = 0.5\nbackend_port0 = 5432", "backend_weight0", "0.5" },
		{ "backend_weight0 = 3\nbackend_port0 = 5432", "backend_weight0", "3" },
		{ "backend_weight0 = 1e2\nbackend_port0 = 5432", "backend_weight0", "100" },
		{ "log_min_messages = DEBUG1", "log_min_messages", "debug1" },
		{ "log_min_messages = debug", "log_min_messages", "debug2" },
		{ "log_min_messages = panic", "log_min_messages", "panic" },
		{ "check_temp_table = on", "check_temp_table", "catalog" },
		{ "check_temp_table = 'Off'", "check_temp_table", "none" },
		{ "check_temp_table = trace", "check_temp_table", "trace" },
		{ "disable_load_balance_on_write = 'dml_adaptive'", "disable_load_balance_on_write",
			"dml_adaptive" },
		{ "backend_clustering_mode = 'raw'", "backend_clustering_mode", "raw" },
		{ "log_error_verbosity = terse", "log_error_verbosity", "terse" },
		{ "backend_port0 = 5432", "backend_flag0", "ALLOW_TO_FAILOVER" },
		{ "backend_port0 = 5432\nbackend_flag0 = 'DISALLOW_TO_FAILOVER'", "backend_flag0",
			"DISALLOW_TO_FAILOVER" },
		{ "backend_port0 = 5432\nbackend_flag0 = 'ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER'",
			"backend_flag0", "DISALLOW_TO_FAILOVER|ALWAYS_PRIMARY" },
		{ "backend_port0 = 5432\nbackend_flag0 = 'ALWAYS_MASTER|DISALLOW_TO_FAILOVER'",
			"backend_flag0", "DISALLOW_TO_FAILOVER|ALWAYS_PRIMARY" },
		{ "backend_port0 = 5432\nbackend_flag0 = ' always_primary | '", "backend_flag0",
			"ALLOW_TO_FAILOVER|ALWAYS_PRIMARY" },
		{ "backend_port0 = 5432\nbackend_flag0 = ''", "backend_flag0",
			"ALLOW_TO_FAILOVER" },
		{ "reset_query_list = 'ABORT; DISCARD ALL'", "reset_query_list",
			"ABORT; DISCARD ALL" },
		{ "sr_check_password = 'x'", "sr_check_password", "*****" },
		{ "health_check_password3 = 'x'\nbackend_port3 = 1024", "health_check_password3",
			"*****" },
		{ "", "pool_passwd", "pool_passwd" }, { "", "child_life_time", "5min" },
		{ "", "connect_timeout", "10s" }, { "", "primary_wait_timeout", "5s" },
		{ "", "node_probe_period", "1s" }, { "", "query_wait_timeout", "2min" },
		{ "", "backend_weight0", "(none)" }, { "", "backend_weight", "(none)" },
		{ "", "nothing", "(none)" }, { "", "", "(none)" }, { "", "backend_weight128",
			"(none)" }
	};
	static const struct one bad[] = {
		{ "\n\nconnection_cache = maybe", "",
			"pgpool.conf:3:20: invalid value for parameter "
			"\"connection_cache\": \"maybe\" (allowed: on, off, true, false, yes, no, "
			"1, 0)" },
		{ "log_statement = ''", "", "\"log_statement\": \"\"" }, { "ssl = o", "", "\"o\"" },
		{ "ssl = onn", "", "\"onn\"" }, { "ssl = 10", "", "\"10\"" }, { "ssl = 2", "",
			"\"2\"" },
		{ "port = abc", "",
			"invalid value for parameter \"port\": \"abc\" (allowed: 1024 .. 65535)" },
		{ "port = ''", "", "\"port\": \"\"" }, { "port = 70000", "",
			"(allowed: 1024 .. 65535)" },
		{ "port = 99999999999999999999", "", "(allowed: 1024 .. 65535)" },
		{ "port = 1e999", "", "(allowed: 1024 .. 65535)" }, { "port = e5", "", "\"e5\"" },
		{ "port = 1024s", "", "(allowed: 1024 .. 65535)" }, { "port = '9000 x'", "",
			"\"9000 x\"" },
		{ "port = 08000", "", "\"08000\"" }, { "port = '-'", "", "\"-\"" },
		{ "port = '.'", "", "\".\"" }, { "port = *", "", "\"*\"" },
		{ "client_idle_limit = 5MB", "",
			"(allowed: 0 .. 2147483647 s; units: us ms s min h d)" },
		{ "client_idle_limit = 5S", "", "\"5S\"" }, { "client_idle_limit = '5 m in'", "",
			"\"5 m in\"" },
		{ "client_idle_limit = 30000d", "", "\"30000d\"" },
		{ "client_idle_limit = '5 '\n= 5", "", ":2:" },
		{ "client_idle_limit = 9223372036854775807d", "", "\"9223372036854775807d\"" },
		{ "unix_socket_permissions = 01000", "", "(allowed: 0000 .. 0777)" },
		{ "backend_weight0 = x", "",
			"\"backend_weight0\": \"x\" (allowed: 0 .. 100000000)" },
		{ "backend_weight0 = nan", "", "\"nan\"" }, { "backend_weight0 = -1", "",
			"\"-1\"" },
		{ "backend_weight0 = ''", "", "\"\"" }, { "backend_weight0 = 1x", "", "\"1x\"" },
		{ "backend_weight0 = 1e9", "", "(allowed: 0 .. 100000000)" },
		{ "check_temp_table = maybe", "", "(allowed: catalog, on, trace, none, off)" },
		{ "log_min_messages = ''", "",
			"(allowed: debug5, debug4, debug3, debug2, debug, debug1, log, "
			"info, notice, warning, error, fatal, panic)" },
		{ "backend_clustering_mode = native_replication", "",
			"unsupported value for parameter "
			"\"backend_clustering_mode\": \"native_replication\" (allowed: "
			"streaming_replication, raw)" },
		{ "backend_clustering_mode = Snapshot_Isolation", "", "unsupported value" },
		{ "backend_clustering_mode = logical_replication", "", "unsupported value" },
		{ "backend_clustering_mode = other", "", "invalid value" },
		{ "backend_flag0 = 'ALLOW_TO_FAILOVER|DISALLOW_TO_FAILOVER'", "",
			"exclude each other" },
		{ "backend_flag0 = 'PRIMARY'", "",
			"(allowed: ALLOW_TO_FAILOVER, DISALLOW_TO_FAILOVER, ALWAYS_PRIMARY, "
			"ALWAYS_MASTER)" },
		{ "write_function_list = 'a,b(,c'", "",
			"\"write_function_list\": \"b(\" is not a regular" },
		{ "user_redirect_preference_list = 'a'", "", "\"a\" (allowed: pattern:target" },
		{ "user_redirect_preference_list = ':primary'", "", "allowed: pattern:target" },
		{ "user_redirect_preference_list = 'a:master'", "",
			"\"master\" (allowed: primary, standby, 0" },
		{ "user_redirect_preference_list = 'a:'", "",
			"\"\" (allowed: primary, standby, 0 .. 127)" },
		{ "user_redirect_preference_list = 'a:128'", "", "\"128\"" },
		{ "user_redirect_preference_list = 'a:1x'", "", "\"1x\"" },
		{ "user_redirect_preference_list = 'a:1(2)'", "",
			"\"(2)\" (allowed: (0.0) .. (1.0))" },
		{ "user_redirect_preference_list = 'a:1()'", "", "\"()\"" },
		{ "user_redirect_preference_list = 'a:1(0.5'", "", "\"(0.5\"" },
		{ "user_redirect_preference_list = 'a:1(0.5)x'", "", "\"(0.5)x\"" },
		{ "user_redirect_preference_list = 'a:1(nan)'", "", "\"(nan)\"" },
		{ "user_redirect_preference_list = 'a(:1'", "", "is not a regular expression" },
		{ "dml_adaptive_object_relationship_list = 'a'", "",
			"\"a\" (allowed: object:object)" },
		{ "dml_adaptive_object_relationship_list = 'a:'", "", "allowed: object:object" },
		{ "dml_adaptive_object_relationship_list = 'a:b:c'", "", "allowed: object:object" }
	};

	EACH(good, expect_value, "values");
	EACH(bad, expect_error, "values");

	struct conf *c = load_text("port = 1\nssl = maybe\nmax_pool = x\n");

	say(!c && nerrors == 3, "all bad values are told in one go");
	conf_free(c);
	c = load_text("ssl = on\nssl = maybe\nport = 7000\n");
	say(!c && nerrors == 1, "a bad value is an error also where a later one wins");
	conf_free(c);
}

static bool item_is(const struct conf_list *l, size_t i, const char *want)
{
	return i < l->n && !strcmp(l->item[i], want);
}

static void test_lists(void)
{
	struct conf *c = load_text("listen_addresses = ' a , b,,c '\nreset_query_list = ''\n"
		"read_only_function_list = 'now, ^get_.*$,count$ , ^a'\n"
		"primary_routing_query_pattern_list = 'a\\;b.*; select \\'x\\'.*;.*lock\\.me.*'\n"
		"user_redirect_preference_list = "
		"'postgres:primary,app.*:standby(0.3),[[:alpha:]]+:3(1)'\n"
		"dml_adaptive_object_relationship_list = 't1:t2, f1():t2 ,s.t : f2(),,():b'\n");

	say(c, "lists load: %s", errors);
	if (!c)
		return;

	const struct conf_list *l = &c->listen_addresses,
		*p = &c->primary_routing_query_pattern_list;

	say(l->n == 3 && item_is(l, 0, "a") && item_is(l, 1, "b") && item_is(l, 2, "c"), "trimmed");
	say(!strcmp(l->text, " a , b,,c "), "the text as written");
	say(c->reset_query_list.n == 0, "an empty list");

	static const struct { const char *text; bool want; } functions[] = {
		{ "now", true }, { "NOW", true }, { "nows", false }, { "xnow", false }, { "get_x",
			true },
		{ "xget_", false }, { "count", true }, { "counts", false }, { "a", true }, { "ab",
			false },
		{ "", false }
	};

	for (size_t i = 0; i < COUNT(functions); i++)
		say(conf_matches(&c->read_only_function_list,
			functions[i].text) == functions[i].want,
			"function \"%s\"", functions[i].text);
	say(p->n == 3 && !strcmp(p->pattern[0].text, "a\\;b.*"), "\\; stays two characters");
	say(!strcmp(p->pattern[1].text, "select 'x'.*"), "\\' is a quote");
	say(conf_matches(p, "A;Bcd"), "and matches ;");
	say(conf_matches(p, "SELECT 'x' from t;"), "the whole text with its ;");
	say(conf_matches(p, "select lock.me"), "\\. is kept for the expression");
	say(!conf_matches(p, "select lock_me") && !conf_matches(p, "b"), "no match");
	say(!conf_matches(&c->write_function_list, "now"), "an empty list matches nothing");

	const struct conf_list *u = &c->user_redirect_preference_list;
	const struct conf_redirect *r = conf_redirect(u, "POSTGRES");

	say(u->n == 3 && r && r->target == TO_PRIMARY && r->weight == 1.0, "redirect to primary");
	r = conf_redirect(u, "app7");
	say(r && r->target == TO_STANDBY && r->weight > 0.29 && r->weight < 0.31, "to a standby");
	r = conf_redirect(u, "other");
	say(r && r->target == TO_NODE && r->node == 3 && r->weight == 1.0, "to a node");
	say(!conf_redirect(u, "x1"), "to nowhere");

	const struct conf_list *d = &c->dml_adaptive_object_relationship_list;
	const struct conf_relation *rel = d->relation;

	say(d->n == 4, "four relations");
	say(!strcmp(rel[0].left, "t1") && !strcmp(rel[0].right, "t2") && !rel[0].left_is_function
		&& !rel[0].right_is_function, "table to table");
	say(!strcmp(rel[1].left, "f1") && rel[1].left_is_function && !strcmp(rel[1].right, "t2"),
		"function to table");
	say(!strcmp(rel[2].left, "s.t") && !strcmp(rel[2].right, "f2") && rel[2].right_is_function,
		"table to function");
	say(!strcmp(rel[3].left, "()") && !rel[3].left_is_function, "() alone is no function");
	conf_free(c);

	c = load_text("write_function_list = 'a\\$'");
	say(c && conf_matches(&c->write_function_list, "a$")
		&& !conf_matches(&c->write_function_list, "a$b"),
		"an escaped $ is no anchor");
	conf_free(c);
	c = load_text("write_function_list = 'a,b'\nwrite_function_list = 'c'");
	say(c && c->write_function_list.n == 1 && !conf_matches(&c->write_function_list, "a"),
		"a later list replaces");
	conf_free(c);
}

static void test_nodes(void)
{
	struct conf *c = load_text("backend_hostname0 = 'p'\nbackend_port0 = 5432\n"
		"backend_flag0 = 'ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER'\nbackend_weight0 = 0\n"
		"backend_hostname2 = 'r'\nbackend_port2 = 5433\nbackend_weight2 = 2.5\n"
		"backend_application_name2 = 'r2'\nconnect_timeout = 7s\nhealth_check_user2 = u\n");

	say(c && c->nnodes == 3, "highest index + 1");
	if (!c)
		return;
	say(c->node[0].used && !c->node[1].used && c->node[2].used, "used or not");
	say(!strcmp(c->node[0].hostname, "p") && c->node[0].port == 5432 && c->node[0].weight == 0
		&& c->node[0].flag == (NODE_ALWAYS_PRIMARY | NODE_DISALLOW_TO_FAILOVER), "node 0");
	say(!strcmp(c->node[1].hostname, "") && c->node[1].port == 0 && c->node[1].flag == 1
		&& c->node[1].connect_timeout == 7000, "the gap has defaults");
	say(c->node[2].weight == 2.5 && !strcmp(c->node[2].application_name, "r2")
		&& !strcmp(c->node[2].health_check_user, "u") && c->node[2].connect_timeout == 7000
		&& !strcmp(c->node[2].health_check_database, "postgres"), "node 2");
	say(!strcmp(c->node[0].health_check_user, "") && !nwarnings && !c->from_environment,
		"no warning");
	say(!strcmp(shown(c, "backend_hostname2"), "r") && !strcmp(shown(c, "backend_weight2"),
		"2.5")
		&& !strcmp(shown(c, "backend_weight3"), "(none)"), "shown by index");

	char tiny[4];

	say(conf_show(c, "backend_clustering_mode", tiny, sizeof tiny) == 21 && !strcmp(tiny,
		"str"),
		"conf_show cuts and returns the whole length");
	conf_free(c);
	c = load_text("backend_port0 = 5432\nbackend_port0 = 0");
	say(c && c->nnodes == 0, "port 0 takes a node away");
	conf_free(c);
}

/* --- walk --- */

static struct conf *with(const struct conf_row *row, long long value)
{
	char text[200];

	snprintf(text, sizeof text, "\n%s%s = %lld\nbackend_port7 = %s", row->name, row->per_node
		? "7" : "",
		value, !strcmp(row->name, "backend_port") ? "\n" : "5432");
	if (!strcmp(row->name, "backend_port"))
		*strstr(text, "\nbackend_port7 = \n") = '\0';
	return load_text(text);
}

static void walk_range(const struct conf_row *row)
{
	long long bounds[2] = { row->min, row->max };
	char range[64], where[128];
	struct conf *c;

	for (int i = 0; i < 2; i++) {
		say((c = with(row, bounds[i])), "%s = %lld", row->name, bounds[i]);
		conf_free(c);
		if (bounds[i] == INT64_MAX)
			continue;
		c = with(row, bounds[i] + (i ? 1 : -1));
		snprintf(range, sizeof range, row->octal ? "(allowed: %04llo .. %04llo"
			: "(allowed: %lld .. %lld",
			bounds[0], bounds[1]);
		snprintf(where, sizeof where, "pgpool.conf:2:%zu: invalid value for parameter "
			"\"%s%s\"", strlen(row->name) + (row->per_node ? 5 : 4), row->name,
			row->per_node ? "7" : "");
		say(!c && strstr(errors, range) && strstr(errors, where), "%s is not %lld",
			row->name,
			bounds[i] + (i ? 1 : -1));
		conf_free(c);
	}
	say(row->min <= row->max, "%s: a range", row->name);
}

static void walk(void *ctx, const struct conf_row *row)
{
	static const char *const whens[] = { "start", "reload", "session" };
	static const char *const names[] = { "", "B", "kB", "ms", "s", "min" };
	char text[300], out[300];
	struct conf *c, *plain;
	bool known = false, unit = false;

	(*(int *)ctx)++;
	for (size_t i = 0; i < COUNT(whens); i++)
		known |= !strcmp(whens[i], row->when);
	for (size_t i = 0; i < COUNT(names); i++)
		unit |= !strcmp(names[i], row->unit);
	say(known && unit, "%s: context and unit", row->name);
	say(strlen(row->doc) > 10 && (row->doc[strlen(row->doc) - 1] == '.')
		== (row->effect == EFFECT_WORKS), "%s: a sentence, or a reason", row->name);
	for (const char *p = row->name; *p; p++)
		if (!islower((unsigned char)*p) && !isdigit((unsigned char)*p) && *p != '_')
			say(false, "%s: a name", row->name);

	/* The default, written into a file,
		changes nothing; and what is shown can be written again. */
	snprintf(text, sizeof text, "backend_port7 = 5432\n%s%s = '%s'\n", row->name,
		row->per_node ? "7" : "", !strcmp(row->name, "backend_port") ? "5432" : row->dflt);
	c = load_text(text);
	plain = load_text("backend_port7 = 5432\n");
	snprintf(text, sizeof text, "%s%s", row->name, row->per_node ? "7" : "");
	snprintf(out, sizeof out, "%s", shown(plain, text));
	say(c && !strcmp(shown(c, text), out), "%s: default '%s'", row->name, row->dflt);
	conf_free(c);
	if (strcmp(row->type, "SECRET")) {
		char again[700];

		snprintf(again, sizeof again, "backend_port7 = 5432\n%s = '%s'\n", text, out);
		say((c = load_text(again)) && !strcmp(shown(c, text), out),
			"%s: shown '%s', set again",
			row->name, out);
		conf_free(c);
	}
	conf_free(plain);

	if (!strcmp(row->type, "INT") || !strcmp(row->type, "REAL"))
		walk_range(row);
	else if (row->words && strcmp(row->type, "FLAGS"))
		for (const struct conf_word *w = row->words; w->word; w++) {
			snprintf(text, sizeof text, "%s = '%s'", row->name, w->word);
			c = load_text(text);
			say(w->how == REFUSED ? !c : c && (w->how == SECOND || !strcmp(shown(c,
				row->name), w->word)),
				"%s: %s", row->name, w->word);
			conf_free(c);
		}
}

/* As which bits, whether clear text is taken with and without TLS, or the complaint. */
static void test_require_auth(void)
{
	static const struct {
		const char *text, *shown, *error;
		unsigned methods;               /* that are allowed over TLS */
		bool plain;                     /* a password in clear text */
	} table[] = {
		{ "", "", NULL, 15, false },
		{ "scram-sha-256", "scram-sha-256", NULL, AUTH_SCRAM, false },
		{ " MD5 , password,", "password,md5", NULL, AUTH_MD5 | AUTH_PASSWORD, true },
		{ "none", "none", NULL, AUTH_NONE, false },
		{ "!password", "!password", NULL, 15 - AUTH_PASSWORD, false },
		{ "!md5, !none", "!none,!md5", NULL, AUTH_SCRAM | AUTH_PASSWORD, false },
		{ "md5,!none", NULL, "exclude each other", 0, false },
		{ "!md5,none", NULL, "exclude each other", 0, false },
		{ "md5,md5", NULL, "listed once", 0, false },
		{ "gss", NULL, "unsupported value", 0, false },
		{ "scram", NULL, "invalid value", 0, false },
		{ "! md5", NULL, "invalid value", 0, false },
	};
	char text[200];

	for (size_t i = 0; i < COUNT(table); i++) {
		snprintf(text, sizeof text, "backend_hostname0 = a\nbackend_port0 = 5432\n"
			"backend_require_auth = '%s'\n", table[i].text);
		struct conf *c = load_text(text);
		unsigned methods = 0;
		for (unsigned bit = 1; c && bit < AUTH_NOT; bit *= 2)
			methods |= conf_allows(&c->node[0], bit, true) ? bit : 0;
		if (table[i].error)
			say(!c && strstr(errors, table[i].error), "\"%s\" is refused: %s", table[i].text,
				flat(errors));
		else
			say(c && methods == table[i].methods
			    && conf_allows(&c->node[0], AUTH_PASSWORD, false) == table[i].plain
			    && !strcmp(shown(c, "backend_require_auth0"), table[i].shown),
			    "methods \"%s\"", table[i].text);
		conf_free(c);
	}
}

/* What a node's TLS comes to, or the complaint. */
static void test_sslmode(void)
{
	static const struct {
		const char *text;
		int mode;                       /* of node 1; or -1, and then: */
		const char *error;
	} table[] = {
		{ "", SSLMODE_DISABLE, NULL },
		{ "ssl = on", SSLMODE_PREFER, NULL },
		{ "ssl = on\nssl_ca_cert = 'ca.crt'", SSLMODE_VERIFY_CA, NULL },
		{ "ssl = on\nssl_ca_cert_dir = 'ca'", SSLMODE_VERIFY_CA, NULL },
		{ "ssl_ca_cert = 'ca.crt'", SSLMODE_DISABLE, NULL },
		{ "backend_sslmode = Require", SSLMODE_REQUIRE, NULL },
		{ "ssl = on\nbackend_sslmode = disable", SSLMODE_DISABLE, NULL },
		{ "ssl = on\nbackend_sslmode = disable\nbackend_sslmode1 = auto", SSLMODE_PREFER, NULL },
		{ "backend_sslmode0 = require", SSLMODE_DISABLE, NULL },
		{ "backend_sslmode1 = verify-full\nssl_ca_cert = 'ca.crt'", SSLMODE_VERIFY_FULL, NULL },
		{ "backend_hostname1 = '/tmp'\nbackend_sslmode1 = verify-full", SSLMODE_DISABLE, NULL },
		{ "backend_sslmode = require\nbackend_sslnegotiation = direct", SSLMODE_REQUIRE, NULL },
		{ "backend_hostname1 = ''\nbackend_sslnegotiation1 = direct", SSLMODE_DISABLE, NULL },
		{ "backend_sslmode1 = allow", -1, "unsupported value for parameter \"backend_sslmode1\"" },
		{ "backend_sslmode1 = always", -1, "invalid value for parameter \"backend_sslmode1\"" },
		{ "backend_sslmode1 = verify-full", -1, "\"backend_sslmode\" of node 1 is verify-full" },
		{ "backend_sslmode = verify-ca", -1, "\"backend_sslmode\" of node 0 is verify-ca" },
		{ "ssl = on\nbackend_sslnegotiation1 = direct", -1, "of node 1 is direct" },
		{ "backend_sslnegotiation1 = direct", -1, "of node 1 is direct" },
	};
	char text[400];

	for (size_t i = 0; i < COUNT(table); i++) {
		snprintf(text, sizeof text, "backend_hostname0 = a\nbackend_port0 = 5432\n"
			"backend_hostname1 = b\nbackend_port1 = 5432\n%s\n", table[i].text);
		struct conf *c = load_text(text);

		if (table[i].mode >= 0)
			say(c && (int)conf_sslmode(c, &c->node[1]) == table[i].mode, "TLS to nodes: %s%s",
				flat(table[i].text), errors);
		else
			say(!c && strstr(errors, table[i].error), "not %s: %s", flat(table[i].text),
				flat(errors));
		conf_free(c);
	}
	struct conf *c = load_text("backend_port0 = 5432\nbackend_hostname1 = b\n"
		"backend_port1 = 5432\nbackend_sslmode = require\n");
	say(c && conf_needs_tls(c), "TLS to a node alone needs a context");
	conf_free(c);
	c = load_text("backend_port0 = 5432\nbackend_sslmode = require\n");
	say(c && !conf_needs_tls(c), "a Unix socket needs none");
	conf_free(c);
}

static void test_units(void)
{
	static const struct { const char *unit, *text; long long want; } cases[] = {
		{ "B", "1", 1 }, { "B", "1kB", 1024 }, { "B", "64MB", 67108864 }, { "B", "8GB",
			8589934592 },
		{ "B", "1TB", 1099511627776 }, { "kB", "1", 1 }, { "kB", "10MB", 10240 }, { "kB",
			"512B", 0 },
		{ "kB", "1536B", 2 }, { "min", "1440", 1440 }, { "min", "1d", 1440 }, { "min",
			"90s", 2 },
		{ "min", "2h", 120 }, { "B", "9223372036854775807", INT64_MAX },
		{ "B", "8388607TB", 9223370937343148032 }, { "ms", "1", 1 }, { "B", "0x10", 16 }
	};
	struct conf_report r = { .m = &messages, .name = "x" };
	char out[64];

	for (size_t i = 0; i < COUNT(cases); i++) {
		struct conf_row row = { .name = "x", .dflt = "", .max = INT64_MAX };
		int64_t v = -1, again = -1;

		snprintf(row.unit, sizeof row.unit, "%s", cases[i].unit);

		say(parse_int(&r, &row, cases[i].text, &v) && v == cases[i].want, "%s in %s",
			cases[i].text,
			cases[i].unit);
		show_int(&row, &v, out, sizeof out);
		say(parse_int(&r, &row, out, &again) && again == v, "and back from %s", out);
	}

	static const char *const bad[] = { "8388608TB", "9223372036854775808", "1mb", "1KB", "1b",
		"1 s",
		"1MBs", "-1", "" };
	struct conf_row row = { .name = "x", .dflt = "-", .unit = "B", .max = INT64_MAX };

	for (size_t i = 0; i < COUNT(bad); i++) {
		int64_t v;

		say(!parse_int(&r, &row, bad[i], &v), "\"%s\" is refused", bad[i]);
	}
}

/* As the C library reads them. */
static void test_decimals(void)
{
	static const char *const texts[] = { "0", "1", "0.5", ".5", "5.", "-1.25", "+3", " 7", "1e3", "1E-3",
		"1.5e+2x", "1e", "1e+", "1e 5", "1.2.3", ".", "-", "", "x", "0.1", "0.333", "12345.678",
		"1700000000.123456", "9223372036854775807", "1e18", "1e400", "1e-400", "0e99999",
		"1e99999999999", "infinity", "Infinityx", "-INFINITY", "1.", "..1", "1e3.5", "00012.50" };

	for (size_t i = 0; i < COUNT(texts); i++) {
		char *end, *want_end;
		double v = (double)conf_decimal(texts[i], &end);
		double want = (double)strtold(texts[i], &want_end);

		say(v == want && end == want_end, "\"%s\" is %g", texts[i], v);
	}
}

/* --- files --- */

static void test_files(void)
{
	char name[64], text[200], full[128];
	struct conf *c;

	snprintf(full, sizeof full, "%s/none.conf", dir);
	say((c = load(full, NULL)) && nwarnings == 1 && strstr(warnings,
		"none.conf:0: there is no such file"),
		"a missing main file is a warning");
	say(c && c->port == 9999 && item_is(&c->listen_addresses, 0, "localhost"),
		"and gives defaults");
	conf_free(c);
	say((c = load(NULL, NULL)) && !nwarnings, "no file, no warning");
	conf_free(c);
	say(!load(dir, NULL) && strstr(errors, "cannot read the file: Is a directory"),
		"a directory");
	snprintf(full, sizeof full, "%s/fifo", dir);
	say(mkfifo(full, 0600) == 0 && !load(full, NULL) && strstr(errors, "it is a FIFO"),
		"a FIFO that nobody writes into");
	unlink(full);
	snprintf(full, sizeof full, "%s/pgpool.conf/x", dir);
	c = load(full, NULL);
	say(c && nwarnings == 1, "a file in a file does not exist");
	conf_free(c);

	snprintf(full, sizeof full, "%s/sub", dir);
	mkdir(full, 0700);
	write_literal("sub/a.conf", "max_pool = 11\ninclude 'b.conf'\nnum_init_children = 13\n");
	write_literal("sub/b.conf", "\n\nreserved_connections = 12\n\nno_such = 1");
	c = load_text("port = 7000\ninclude = 'sub/a.conf'\nno_such = 2\nport = 7001");
	say(c && c->port == 7001 && c->max_pool == 11 && c->reserved_connections == 12
		&& c->num_init_children == 13, "include, relative to the including file");
	say(strstr(warnings, "b.conf:5:1: unknown") && strstr(warnings, "pgpool.conf:3:1: unknown"),
		"file and line within and after an include");
	conf_free(c);
	snprintf(text, sizeof text, "include '%s/sub/b.conf'", dir);
	say((c = load_text(text)) && c->reserved_connections == 12, "include by an absolute path");
	conf_free(c);
	say(!load_text("\ninclude 'nothing.conf'") && strstr(errors, "pgpool.conf:2:9: include")
		&& strstr(errors, "nothing.conf\": there is no such file"),
			"a missing include is an error");
	say(!load_text("include 'sub'") && strstr(errors, "Is a directory"),
		"an include of a directory");
	say(!load_text("include 'pgpool.conf'") && strstr(errors, "more than 10 deep")
		&& nerrors == 1,
		"a file that includes itself");

	for (int depth = 10; depth <= 11; depth++) {
		for (int i = 1; i <= depth; i++) {
			snprintf(name, sizeof name, "i%d.conf", i);
			snprintf(text, sizeof text, i < depth ? "include 'i%d.conf'"
				: "port = 70%d", i + 1);
			write_file(name, text, strlen(text));
		}
		c = load_text("include 'i1.conf'");
		say(depth == 10 ? c && c->port == 7011 : !c, "includes %d deep", depth);
		conf_free(c);
	}

	char *big = malloc(FILE_MAX + 1);

	memset(big, '\n', FILE_MAX + 1);
	memcpy(big + FILE_MAX - 13, "\nport = 70000", 13);
	write_file("pgpool.conf", big, FILE_MAX - 1);
	say((c = load(path, NULL)) && c->port == 7000, "the largest file");
	conf_free(c);
	write_file("pgpool.conf", big, FILE_MAX);
	say(!load(path, NULL) && strstr(errors, "1048576 bytes or more"), "a larger one");
	free(big);

	if (getuid()) {
		write_literal("secret.conf", "");
		snprintf(full, sizeof full, "%s/secret.conf", dir);
		chmod(full, 0);
		say(!load(full, NULL) && strstr(errors, "cannot open the file"), "no permission");
	}
}

/* --- environment --- */

static void test_environment(void)
{
	static char *const plain[] = { "HOME=/", "PGPOOL_PARAMS_BACKEND_HOSTNAME0=db",
		"PGPOOL_PCP_USER=x",
		"PGPOOL_PARAMS_X", NULL };
	struct conf *c = load(NULL, plain);
	struct stat st;
	bool image = !stat(CONF_IMAGE_SOCKETS, &st) && S_ISDIR(st.st_mode);

	say(c && !nwarnings && c->from_environment, "one variable is enough: %s%s", errors,
		warnings);
	if (!c)
		return;
	say(c->nnodes == 1 && !strcmp(c->node[0].hostname, "db") && c->node[0].port == 5432
		&& c->node[0].weight == 1 && c->node[0].flag == NODE_ALLOW_TO_FAILOVER,
			"the image's node 0");
	say(c->port == 9999 && item_is(&c->listen_addresses, 0, "*") && c->sr_check_period == 0
		&& c->node[0].health_check_period == 0 && !c->failover_on_backend_error,
			"and its defaults");
	say(c->unix_socket_directories.n == (image ? 1 : 0)
		&& c->pcp_socket_dir.n == (image ? 1 : 0)
		&& !strcmp(c->wd_ipc_socket_dir, image ? CONF_IMAGE_SOCKETS : ""),
			"sockets only where there is a directory");
	say(!remarks[0], "and what the image sets is not told: %s", remarks);
	conf_free(c);

	static char *const rich[] = { "PGPOOL_PARAMS_BACKEND_HOSTNAME0=db", "PGPOOL_PARAMS_PORT=",
		"PGPOOL_PARAMS_BACKEND_PORT0=", "PGPOOL_PARAMS_BACKEND_WEIGHT0=",
			"PGPOOL_PARAMS_BACKEND_FLAG0=",
		"PGPOOL_PARAMS_LISTEN_ADDRESSES=", "PGPOOL_PARAMS_SOCKET_DIR=",
		"PGPOOL_PARAMS_SR_CHECK_PASSWORD=AES+a=='\n\\'x",
			"PGPOOL_PARAMS_LOG_LINE_PREFIX=a='b'\n#c",
		"PGPOOL_PARAMS_BACKEND_HOSTNAME1=ro", "PGPOOL_PARAMS_BACKEND_PORT1=5433",
		"PGPOOL_PARAMS_BACKEND_WEIGHT1=2", "PGPOOL_PARAMS_MAX_POOL=3",
			"PGPOOL_PARAMS_max_pool=5",
		"PGPOOL_PARAMS_DELEGATE_IP=10.0.0.1", "PGPOOL_PARAMS_NO_SUCH=1", "PGPOOL_PARAMS_=1",
		"PGPOOL_PARAMS_CLIENT_IDLE_LIMIT=5 min", "PGPOOL_PARAMS_RESET_QUERY_LIST=", NULL };

	c = load(NULL, rich);
	say(c, "rich: %s", errors);
	if (!c)
		return;
	say(c->port == 9999 && c->node[0].port == 5432 && c->node[0].weight == 1
		&& item_is(&c->listen_addresses, 0, "*"),
			"an empty variable leaves the image's default");
	say(c->reset_query_list.n == 0, "another empty variable is an empty value");
	say(!strcmp(c->sr_check_password, "AES+a=='\n\\'x"),
		"split at the first =, the rest verbatim");
	say(!strcmp(c->log_line_prefix, "a='b'\n#c"), "quotes and line feeds are only bytes");
	say(c->nnodes == 2 && c->node[1].weight == 2 && c->node[1].port == 5433, "node 1");
	say(c->max_pool == 5, "the last duplicate wins");
	say(c->client_idle_limit == 300, "a unit behind a blank");
	say(strstr(warnings, "PGPOOL_PARAMS_NO_SUCH:0: unknown parameter \"no_such\""),
		"unknown variable");
	say(strstr(remarks,
		"PGPOOL_PARAMS_DELEGATE_IP:0: parameter \"delegate_ip\" has no effect here: ")
		&& !strcmp(c->delegate_ip, "10.0.0.1"), "a name that had capitals, without effect");
	say(!strstr(warnings, "\"socket_dir\"") && nwarnings == 2, "two warnings: %s", warnings);
	conf_free(c);

	static char *const socket[] = { "PGPOOL_PARAMS_BACKEND_HOSTNAME0=db",
		"PGPOOL_PARAMS_SOCKET_DIR=/s",
		NULL };

	say((c = load(NULL, socket)) && item_is(&c->unix_socket_directories, 0, "/s"),
		"SOCKET_DIR");
	conf_free(c);

	static char *const bad[] = { "PGPOOL_PARAMS_BACKEND_HOSTNAME0=db",
		"PGPOOL_PARAMS_PORT=70000", NULL };
	static char *const weight[] = { "PGPOOL_PARAMS_BACKEND_HOSTNAME0=db",
		"PGPOOL_PARAMS_BACKEND_WEIGHT1=", NULL };
	static char *const nohost[] = { "PGPOOL_PARAMS_PORT=7000", NULL };
	static char *const noport[] = { "PGPOOL_PARAMS_BACKEND_HOSTNAME0=db",
		"PGPOOL_PARAMS_BACKEND_HOSTNAME1=ro", NULL };
	static char *const noweight[] = { "PGPOOL_PARAMS_BACKEND_HOSTNAME0=db",
		"PGPOOL_PARAMS_BACKEND_HOSTNAME1=ro", "PGPOOL_PARAMS_BACKEND_PORT1=5432", NULL };

	say(!load(NULL, bad) && !strcmp(errors,
		"PGPOOL_PARAMS_PORT:0: invalid value for parameter \"port\": "
		"\"70000\" (allowed: 1024 .. 65535)\n"), "a bad value names its variable");
	say(!load(NULL, weight) && strstr(errors, "PGPOOL_PARAMS_BACKEND_WEIGHT1"),
		"an empty number");
	say(!load(NULL, nohost) && !strcmp(errors,
		"PGPOOL_PARAMS_BACKEND_HOSTNAME0:0: the environment variable is not set\n"),
			"no host");
	say((c = load(NULL, noport)) && strstr(warnings, "\"backend_port1\" is not set"),
		"no port: warning");
	conf_free(c);
	say((c = load(NULL, noweight)) && strstr(warnings, "\"backend_weight1\" is not set"),
		"no weight: warning");
	conf_free(c);

	char missing[128];

	snprintf(missing, sizeof missing, "%s/none.conf", dir);
	say((c = load(missing, plain)) && !nwarnings && strstr(remarks, "the environment is used")
		&& c->from_environment, "a missing file: the environment");
	conf_free(c);
	write_literal("pgpool.conf", "port = 7000");
	say((c = load(path, plain)) && c->port == 7000 && !c->from_environment && c->nnodes == 0
		&& strstr(remarks, "\"PGPOOL_PARAMS_BACKEND_HOSTNAME0\" and any other"),
			"the file wins");
	conf_free(c);

	static char *const none[] = { "HOME=/", "PGPOOL_PARAMS_X", NULL };

	say((c = load(NULL, none)) && !c->from_environment && item_is(&c->listen_addresses, 0,
		"localhost"),
		"without variables: the defaults");
	conf_free(c);
}

/* --- reload --- */

static void test_reload(void)
{
	struct conf *old = load_text("port = 7000\nlisten_addresses = 'a,b'\npool_passwd = 'one'\n"
		"load_balance_mode = off\n"
		"log_statement = on\nwrite_function_list = 'f,g'\nbackend_port0 = 5432\n"
		"backend_weight0 = 1\n"
		"sr_check_password = 'one'\nunix_socket_group = 'g'\n");
	struct conf *fresh = load_text("port = 7001\nlisten_addresses = 'c'\npool_passwd = 'two'\n"
		"load_balance_mode = off\n"
		"write_function_list = 'g,h'\nbackend_port0 = 5432\nbackend_weight0 = 3\n"
		"sr_check_password = 'two'\nunix_socket_group = 'g'\n");

	if (!old || !fresh) {
		say(false, "reload: %s", errors);
		return;
	}

	char **items = old->listen_addresses.item;

	warnings[0] = '\0';
	nwarnings = 0;
	conf_keep_start(fresh, old, &messages);
	say(nwarnings == 3 && strstr(warnings,
		"-:0: parameter \"port\" cannot be changed without a restart")
		&& strstr(warnings, "listen_addresses") && strstr(warnings, "pool_passwd"),
			"three are told");
	say(!strstr(warnings, "two") && !strstr(warnings, "one"), "no secret is");
	say(fresh->port == 7000 && fresh->listen_addresses.n == 2 && !strcmp(fresh->pool_passwd,
		"one")
		&& !fresh->load_balance_mode, "START values stay");
	say(!fresh->log_statement && fresh->node[0].weight == 3 && !strcmp(fresh->sr_check_password,
		"two"),
		"the others are new");
	say(!conf_matches(&fresh->write_function_list, "f")
		&& conf_matches(&fresh->write_function_list, "h"),
		"patterns are replaced, not added");
	conf_free(old);
	say(fresh->listen_addresses.item == items && item_is(&fresh->listen_addresses, 1, "b"),
		"pointers to START values stay good");

	struct conf *third = load_text("port = 7000\nlisten_addresses = 'a,b'\n"
		"pool_passwd = 'one'\nload_balance_mode = off\n"
		"unix_socket_group = 'g'\n");

	nwarnings = 0;
	conf_keep_start(third, fresh, &messages);
	say(nwarnings == 0, "nothing to tell when nothing changed");
	conf_free(fresh);
	conf_free(third);
	say(!load_text("port = 7000\nbad") && nerrors == 1, "a bad file gives nothing");
	conf_free(NULL);
}

/* --- memory --- */

/* With the n-th allocation failing, for every n: an error that is told once, nothing leaked. */
static void test_memory(void)
{
	static char *const environment[] = { "PGPOOL_PARAMS_BACKEND_HOSTNAME0=db",
		"PGPOOL_PARAMS_WRITE_FUNCTION_LIST=a,b,c", "PGPOOL_PARAMS_SR_CHECK_PASSWORD=p",
			NULL };
	static const char text[] = "backend_hostname0 = 'a'\nbackend_port0 = 5432\nport = 7000\n"
		"backend_port2 = 5432\nhealth_check_user = 'u'\n"
		"user_redirect_preference_list = 'a:1,b:2'\n"
		"dml_adaptive_object_relationship_list = 'a:b,c():d'\nwrite_function_list = 'a,b'\n"
		"include 'more.conf'\nlisten_addresses = 'a,b'\nsr_check_password = 'x'\n";

	write_file("pgpool.conf", text, strlen(text));
	write_literal("more.conf", "primary_routing_query_pattern_list = 'a;b'\nno_such = 1\n");
	for (int mode = 0; mode < 2; mode++) {
		struct conf *c = NULL;
		int n, good = 0;

		for (n = 1; n < 10000 && !c; n++) {
			allocations = n;
			c = mode ? load(NULL, environment) : load(path, NULL);
			bool ok = c || (nerrors == 1 && strstr(errors, "out of memory"));

			good += ok;
			if (!ok)
				say(false, "allocation %d: %d errors: %s", n, nerrors, errors);
		}
		allocations = -1;
		say(c && good == n - 1 && n > 50, "mode %d: %d allocations, each may fail", mode,
			n - 1);
		conf_free(c);
	}
}

/* --- sample --- */

struct sample { char text[65536]; size_t n; bool active; };

static void add(struct sample *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	s->n += (size_t)vsnprintf(s->text + s->n, sizeof s->text - s->n, fmt, args);
	va_end(args);
}

static void add_row(void *ctx, const struct conf_row *row)
{
	struct sample *s = ctx;
	char allowed[300];
	bool bare_word = !strcmp(row->type, "INT") || !strcmp(row->type, "REAL")
		|| !strcmp(row->type, "BOOL") || !strcmp(row->type, "ENUM");

	if (row->effect != EFFECT_WORKS)
		return;
	conf_describe(row, allowed, sizeof allowed);
	if (!strcmp(row->type, "BOOL"))
		strcpy(allowed, "on, off");
	add(s, "\n# %s\n", row->doc);
	if (allowed[0])
		add(s, "#     %s\n", allowed);
	add(s, "#     %s\n", !strcmp(row->when, "start") ? "needs a restart" : "reload");
	if (row->bare)
		add(s, "#     with an index, of that node\n");

	int index = row->per_node && !row->bare ? 0 : -1;

	add(s, "%s%s%s = %s%s%s\n", s->active ? "" : "#", row->name, index < 0 ? "" : "0",
		bare_word ? "" : "'", row->dflt, bare_word ? "" : "'");
}

static void make_sample(struct sample *s)
{
	s->n = 0;
	add(s, "# pgpool.conf - every parameter that has an effect, with its default.\n#\n"
		"# A line is \"name = value\".  A value needs quotes unless it has only letters,\n"
		"# digits and -._:/ ; the last of several lines wins; include 'file' reads more.\n"
		"# The parameters of nodes are at the end: copy those lines for each node.\n");
	conf_each(add_row, s);
}

/* A file of the source tree, named relative to this one. */
static const char *source(const char *name)
{
	static char text[131072];
	char file[512];
	FILE *f;

	snprintf(file, sizeof file, "%.*s%s", (int)(strrchr(__FILE__, '/') - __FILE__ + 1),
		__FILE__, name);
	text[0] = '\0';
	if ((f = fopen(file, "r"))) {
		text[fread(text, 1, sizeof text - 1, f)] = '\0';
		fclose(f);
	}
	return text;
}

static void test_settings(void)
{
	char *text = NULL;
	size_t n = 0;
	FILE *f = open_memstream(&text, &n);

	conf_document(f);
	fclose(f);
	say(!strcmp(text, source("../docs/settings.md")),
		"docs/settings.md is what the tables say (conf_test --settings)");
	for (const struct conf_row *row = rows; row < rows + COUNT(rows); row++) {
		char cell[100];

		snprintf(cell, sizeof cell, "\n| `%s%s`", row->name,
			row->per_node && !row->bare ? "N" : "");
		if (!strstr(text, cell))
			say(false, "%s is documented", row->name);
	}
	free(text);
}

static void test_sample(void)
{
	static struct sample s;

	make_sample(&s);
	say(!strcmp(s.text, source("../pgpool.conf.sample")),
		"pgpool.conf.sample is what the tables say (conf_test --sample)");

	struct conf *plain = load(NULL, NULL), *c = load_text(s.text);

	say(c && !nwarnings, "the sample loads: %s%s", errors, warnings);
	conf_free(c);
	s.active = true;
	make_sample(&s);
	c = load_text(s.text);
	say(c && !nwarnings, "and with every line active: %s%s", errors, warnings);
	for (size_t i = 0; c && i < NODE_ROWS; i++) {
		char want[300];

		snprintf(want, sizeof want, "%s", shown(plain, rows[i].name));
		if (strcmp(want, shown(c, rows[i].name)))
			say(false, "%s is %s", rows[i].name, shown(c, rows[i].name));
	}
	conf_free(c);
	conf_free(plain);
}

static void remove_files(void)
{
	char command[100];

	snprintf(command, sizeof command, "rm -r %s", dir);
	if (system(command))
		printf("# %s failed\n", command);
}

int main(int argc, char **argv)
{
	static struct sample s;
	int rows_walked = 0;

	if (argc > 1 && !strcmp(argv[1], "--sample")) {
		make_sample(&s);
		fputs(s.text, stdout);
		return 0;
	}
	if (argc > 1 && !strcmp(argv[1], "--settings")) {
		conf_document(stdout);
		return 0;
	}
	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof path, "%s/pgpool.conf", dir);
	test_grammar();
	test_keys();
	test_names();
	test_values();
	test_units();
	test_decimals();
	test_lists();
	test_nodes();
	test_sslmode();
	test_require_auth();
	conf_each(walk, &rows_walked);
	say(rows_walked == (int)COUNT(rows), "%d rows", rows_walked);
	test_files();
	test_environment();
	test_reload();
	test_memory();
	test_sample();
	test_settings();
	remove_files();
	return done();
}
