/* crowd_test.c - who goes when there are too many. */
#include "net/crowd.c"

#include "t.h"

#include <arpa/inet.h>
#include <string.h>

enum { MEMBERS = 12 };

static struct crowd crowd;
static struct member m[MEMBERS];

static void join(int i, const char *from)
{
	struct sockaddr_storage s = { .ss_family = strchr(from, ':') ? AF_INET6 : AF_INET };

	if (s.ss_family == AF_INET6)
		inet_pton(AF_INET6, from, &((struct sockaddr_in6 *)&s)->sin6_addr);
	else
		inet_pton(AF_INET, from, &((struct sockaddr_in *)&s)->sin_addr);
	m[i].address = crowd_address(&s);
	crowd_join(&crowd, &m[i]);
}

static void test_pick(void)
{
	say(!crowd_pick(&crowd), "nobody");
	join(0, "10.0.0.1");
	join(1, "10.0.0.2");
	say(crowd_pick(&crowd) == &m[0], "one of each: the oldest");
	join(2, "10.0.0.2");
	say(crowd_pick(&crowd) == &m[1], "the oldest of the address that has two");
	crowd_leave(&crowd, &m[1]);
	say(crowd_pick(&crowd) == &m[0], "the oldest of all again");
	join(3, "10.0.0.3");
	join(4, "10.0.0.3");
	crowd_leave(&crowd, &m[3]);
	crowd_join(&crowd, &m[3]);
	say(crowd_pick(&crowd) == &m[4], "who joins again is the youngest");
	crowd_leave(&crowd, &m[3]);
	crowd_leave(&crowd, &m[0]);
	crowd_leave(&crowd, &m[2]);
	crowd_leave(&crowd, &m[4]);
	say(!crowd.n && !crowd.first && !crowd.last && !crowd_pick(&crowd), "all have left");
}

static void test_addresses(void)
{
	join(0, "10.0.0.1");
	join(1, "2001:db8::1");
	join(2, "2001:db8::2");
	say(crowd_pick(&crowd) == &m[1], "IPv6: one network of 64 bits is one address");
	join(3, "2001:db8:0:1::1");
	say(m[3].address != m[1].address, "another network");
	say(crowd_address(&(struct sockaddr_storage){ .ss_family = AF_UNIX }) == 0, "Unix sockets");
	for (int i = 0; i < 4; i++)
		crowd_leave(&crowd, &m[i]);
}

/* Against a list made by hand. */
static void test_any_order(void)
{
	int order[MEMBERS], n = 0;
	unsigned seed = 1, bad = 0;

	for (int round = 0; round < 20000; round++) {
		seed = seed * 1103515245 + 12345;
		int i = (int)(seed >> 16) % MEMBERS, at = 0;
		while (at < n && order[at] != i)
			at++;
		if (at < n) {
			crowd_leave(&crowd, &m[i]);
			memmove(order + at, order + at + 1, (size_t)(--n - at) * sizeof *order);
		} else {
			m[i].address = (uint8_t)(i % 3);
			crowd_join(&crowd, &m[i]);
			order[n++] = i;
		}
		int of[3] = { 0 }, most = 0, pick = -1;
		for (int k = 0; k < n; k++)
			if (++of[order[k] % 3] > most)
				most = of[order[k] % 3];
		for (int k = n; k-- > 0; )
			if (of[order[k] % 3] == most)
				pick = order[k];
		bad += crowd.n != (unsigned)n || crowd_pick(&crowd) != (pick < 0 ? NULL : &m[pick]);
	}
	say(!bad, "joining and leaving in any order");
}

static void test_telling(void)
{
	struct crowd c = { 0 };
	int told = 0;

	for (int64_t now = 5; now < 5 + 2 * CROWD_QUIET; now += 10)
		told += crowd_dropped(&c, now);
	say(told == 2 && c.dropped == 2 * CROWD_QUIET / 10, "the log is told once a minute");
}

int main(void)
{
	test_pick();
	test_addresses();
	test_any_order();
	test_telling();
	return done();
}
